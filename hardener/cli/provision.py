"""``hardener provision``: install and configure Docker on hosts without it, then harden them."""

from __future__ import annotations

from pathlib import Path

import click

from hardener.batches import Batches
from hardener.cli.common import (
    Conversation,
    accept_weaker_option,
    batch_options,
    change_options,
    decision_options,
    home_option,
    report_options,
    selection_options,
    verbose_option,
)
from hardener.cli.fleet_options import FleetOptions, fleet_options
from hardener.cli.result_options import fail_on_option, quiet_option
from hardener.errors import ExitCode
from hardener.model import Severity
from hardener.workflows.options import Changes, DecisionFiles, ReportFiles, Selection, accepted_controls


@click.command(short_help="Install Docker on hosts without it, and harden them.")
@fleet_options
@selection_options
@decision_options
@change_options
@accept_weaker_option
@batch_options
@report_options
@fail_on_option
@quiet_option
@home_option
@verbose_option
@click.pass_obj
def provision(
    conversation: Conversation,
    *,
    hosts: FleetOptions,
    selection: Selection,
    decided: DecisionFiles,
    changes: Changes,
    accept_weaker: tuple[str, ...],
    batches: Batches,
    files: ReportFiles,
    fail_on: Severity | None,
    home: Path,
) -> ExitCode:
    """Install Docker on the hosts that have none, then do what `hardener harden` does.

    Docker does not run before its configuration is in place: its units cannot start during the installation,
    and the transaction that writes the configuration starts them. After an interrupted run they cannot start
    either, even after a reboot; the next run continues. Hosts that have Docker are only hardened.

    The reports compare the state at the end with the state before Docker was installed.

    \b
    hardener provision -i inventory.yml --allow connectivity --junit junit.xml
    """  # noqa: D301 - click reads the \b
    from hardener.workflows.change import ChangeRequest
    from hardener.workflows.provision import provision as carry_out

    request = ChangeRequest(
        target=hosts.target(conversation, home),
        selection=selection,
        decided=decided,
        changes=changes,
        accepted=accepted_controls(selection.benchmark, accept_weaker),
        batches=batches,
        files=files,
        fail_on=fail_on,
    )
    return carry_out(request, conversation.listener(*files.named().values())).exit_code
