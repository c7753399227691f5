"""``hardener harden``: audit, remediate failing controls, audit again, show the difference."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardener.batches import Batches
from hardener.cli.common import (
    Conversation,
    Decorated,
    accept_weaker_option,
    batch_options,
    change_options,
    decision_options,
    fail_on_option,
    home_option,
    quiet_option,
    report_options,
    selection_options,
    verbose_option,
)
from hardener.cli.fleet_options import FleetOptions, fleet_options
from hardener.errors import ExitCode
from hardener.model import Severity
from hardener.workflows.options import Changes, DecisionFiles, ReportFiles, Selection, accepted_controls

if TYPE_CHECKING:
    from hardener.workflows.change import ChangeRequest


def change_request_options(*own: Callable[[Any], Any]) -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds the options of a ``ChangeRequest``; ``own`` ones stand before reports."""
    options = (
        *(fleet_options, selection_options, decision_options, change_options, accept_weaker_option),
        *(batch_options, *own, report_options, fail_on_option, quiet_option, home_option, verbose_option),
    )

    def decorate(function: Decorated) -> Decorated:
        @functools.wraps(function)
        def with_request(
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
            **values: Any,
        ) -> Any:
            from hardener.workflows.change import ChangeRequest

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
            return function(conversation, request, **values)

        decorated: Decorated = click.pass_obj(with_request)
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


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
