"""``hardener audit``: collect facts from hosts, judge them, report the findings."""

from __future__ import annotations

from pathlib import Path

import click

from hardener.cli.common import (
    Conversation,
    decision_options,
    exit_zero_option,
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
from hardener.workflows.options import DecisionFiles, ReportFiles, Selection


@click.command(short_help="Audit hosts; change nothing.")
@fleet_options
@selection_options
@decision_options
@report_options
@click.option(
    "--snapshots",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the collected facts in this folder, one file for each host.",
)
@fail_on_option
@quiet_option
@home_option
@exit_zero_option
@verbose_option
@click.pass_obj
def audit(
    conversation: Conversation,
    *,
    hosts: FleetOptions,
    selection: Selection,
    decided: DecisionFiles,
    files: ReportFiles,
    snapshots: Path | None,
    fail_on: Severity | None,
    home: Path,
    exit_zero: bool,
) -> ExitCode:
    """Audit hosts against the CIS Docker Benchmark. Read only.

    One Ansible task for each host collects the facts as root: directly if root logs in, otherwise with sudo
    (or as ansible_become says). Every report includes the hosts that cannot be reached.

    \b
    hardener audit -i localhost,
    hardener audit -i inventory.yml --limit web --junit junit.xml --json report.json
    """  # noqa: D301 - click reads the \b
    from hardener.workflows.audit import AuditRequest
    from hardener.workflows.audit import audit as carry_out
    from hardener.workflows.exit_codes import unless_exit_zero

    request = AuditRequest(
        target=hosts.target(conversation, home),
        selection=selection,
        decided=decided,
        files=files,
        fail_on=fail_on,
        snapshots=snapshots,
    )
    result = carry_out(request, conversation.listener(*files.named().values()))
    return unless_exit_zero(result.exit_code, exit_zero)
