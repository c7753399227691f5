"""``hardener harden``: audit, remediate failing controls, audit again, show the difference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener.cli.change_request import change_request_options
from hardener.cli.common import Conversation
from hardener.errors import ExitCode

if TYPE_CHECKING:
    from hardener.workflows.change import ChangeRequest


@click.command(short_help="Remediate failing controls, and audit again.")
@change_request_options(
    click.option(
        "--plan",
        "plan_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Apply exactly this plan (`hardener plan --json`); a host that has changed since refuses it.",
    )
)
def harden(conversation: Conversation, request: ChangeRequest, *, plan_file: Path | None) -> ExitCode:
    """Audit hosts, run the roles that remediate what fails, audit again and show the difference.

    All changes of a host are one transaction: one restart of the daemon, a health check, and a rollback if
    the host is not healthy. Hosts without a failing control that a role remediates are not touched. Changes
    with a greater impact than --allow are not made; they are listed, and their controls keep failing.

    Reports describe the state at the end: after hardening, or now with --check. A JSON report gets a second
    file with the state before: report.before.json beside report.json.

    \b
    hardener harden -i inventory.yml --check --diff
    hardener harden -i inventory.yml --only daemon --junit junit.xml
    """  # noqa: D301 - click reads the \b
    from hardener.workflows.harden import harden as carry_out

    if plan_file and request.changes.allow:
        raise click.UsageError("--plan and --allow exclude each other: a plan contains its --allow")
    listener = conversation.listener(*request.files.named().values())
    return carry_out(request, listener, plan_file=plan_file).exit_code
