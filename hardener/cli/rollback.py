"""``hardener rollback``: restore hosts to their state before a run."""

from __future__ import annotations

from pathlib import Path

import click

from hardener.batches import Batches
from hardener.cli.common import Conversation, batch_options, home_option, verbose_option
from hardener.cli.fleet_options import FleetOptions, fleet_options
from hardener.errors import ExitCode


@click.command(short_help="Undo the changes of runs, the last run first.")
@fleet_options
@click.option(
    "--run", metavar="ID", default="", help="Undo this run and all later ones.  [default: the last run]"
)
@click.option("--list", "listing", is_flag=True, help="Change nothing; list the runs.")
@click.option("--check", is_flag=True, help="Change nothing; show what would change.")
@click.option("--diff", is_flag=True, help="Show every change as a unified diff.")
@batch_options
@home_option
@verbose_option
@click.pass_obj
def rollback(
    conversation: Conversation,
    *,
    hosts: FleetOptions,
    run: str,
    listing: bool,
    check: bool,
    diff: bool,
    batches: Batches,
    home: Path,
) -> ExitCode:
    """Roll back the last run of every host, or one run and all later ones.

    Files are restored, and so are the engine, the packet filter and the audit rules of the running host.
    Later changes of others stay and are reported. A host keeps its last runs, ten by default.

    The exit code is 0 if every host is rolled back, 9 if a host is not, or only in part, and 8 if hosts were
    not begun.

    \b
    hardener rollback -i inventory.yml --list
    hardener rollback -i inventory.yml --limit db01 --run 20261125T040000Z-1b2c3d4e
    """  # noqa: D301 - click reads the \b
    from hardener.workflows.rollback import roll_back

    if run and listing:
        raise click.UsageError("--run and --list exclude each other")
    if listing and batches.is_divided:
        raise click.UsageError("--list excludes --canary and --batch: it changes nothing")
    target = hosts.target(conversation, home)
    return roll_back(
        target, conversation.listener(), run_id=run, listing=listing, check=check, diff=diff, batches=batches
    )
