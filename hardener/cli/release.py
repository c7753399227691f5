"""``hardener release``: restore hosts to their state before hardener, and remove all files of hardener."""

from __future__ import annotations

from pathlib import Path

import click

from hardener.batches import Batches
from hardener.cli.common import (
    Conversation,
    FleetOptions,
    batch_options,
    fleet_options,
    home_option,
    verbose_option,
)
from hardener.errors import ExitCode


@click.command(short_help="Restore hosts to their state before hardener.")
@fleet_options
@click.option("--role", metavar="ROLE", default="", help="Restore only the documents of this role.")
@click.option("--check", is_flag=True, help="Change nothing; show what would change.")
@click.option("--diff", is_flag=True, help="Show every change as a unified diff.")
@batch_options
@home_option
@verbose_option
@click.pass_obj
def release(
    conversation: Conversation,
    *,
    hosts: FleetOptions,
    role: str,
    check: bool,
    diff: bool,
    batches: Batches,
    home: Path,
) -> ExitCode:
    """Give every host back: as it was before hardener, without a file, unit or chain of it.

    Files, keys, kernel settings, the packet filter and the engine are what they were before the first run
    that touched them, in one transaction that is confirmed over a new connection, or taken back by the host.
    Then backups and records go as well. What somebody else has changed meanwhile stays as it is, and a line
    says so; another one says what only you can undo: packages, user namespaces, what holds until the next
    boot.

    The exit code is 0 where every host is given back, 4 where one is not, or not in all, 5 where the
    release broke a host and was undone, and 8 where hosts were not begun.

    \b
    hardener release -i inventory.yml --check --diff
    hardener release -i inventory.yml --limit db01
    hardener release -i inventory.yml --role firewall
    """  # noqa: D301 - click reads the \b
    from hardener.workflows.rollback import release as carry_out

    target = hosts.target(conversation, home)
    return carry_out(target, conversation.listener(), role=role, check=check, diff=diff, batches=batches)
