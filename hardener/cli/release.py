"""``hardener release``: restore hosts to their state before hardener, and remove all files of hardener."""

from __future__ import annotations

from pathlib import Path

import click

from hardener.batches import Batches
from hardener.cli.common import (
    Conversation,
    accept_loss_option,
    batch_options,
    home_option,
    verbose_option,
)
from hardener.cli.fleet_options import FleetOptions, fleet_options
from hardener.errors import ExitCode


@click.command(short_help="Restore hosts to their state before hardener.")
@fleet_options
@click.option("--role", metavar="ROLE", default="", help="Restore only the documents of this role.")
@click.option(
    "--even-unsafe", is_flag=True, help="Give back owners and modes by which others than root can write, too."
)
@accept_loss_option
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
    even_unsafe: bool,
    accept_loss: tuple[str, ...],
    check: bool,
    diff: bool,
    batches: Batches,
    home: Path,
) -> ExitCode:
    """Restore every host to its state before hardener, and remove every file, unit and chain of hardener.

    One transaction restores files, keys, kernel settings, the packet filter and the engine to their state
    before the first run that changed them; it is confirmed over a new connection, or the host rolls it back.
    Then backups and records are removed. Later changes of others stay and are reported. hardener also reports
    what you have to undo yourself: packages, user namespaces, settings that last until the next boot. Owners
    and modes by which others than root could write stay hardened, and are listed, without --even-unsafe.

    The exit code is 0 if every host is restored, 9 if a host is not, or only in part, 8 if hosts were not
    begun, and 5 if the release broke a host and was rolled back.

    \b
    hardener release -i inventory.yml --check --diff
    hardener release -i inventory.yml --limit db01
    hardener release -i inventory.yml --role firewall
    """  # noqa: D301 - click reads the \b
    from hardener import catalogue
    from hardener.workflows.rollback import release as carry_out

    roles = sorted({*catalogue.roles(), "docker_engine"})  # provisioning alone has the latter
    if role and role not in roles:
        raise click.BadParameter(
            f"there is no role {role}; the roles are {', '.join(roles)}", param_hint="--role"
        )
    target = hosts.target(conversation, home)
    return carry_out(
        target,
        conversation.listener(),
        role=role,
        even_unsafe=even_unsafe,
        accept_losses=accept_loss,
        check=check,
        diff=diff,
        batches=batches,
    )
