"""``hardener harden``: audit, change what fails, audit again, show the difference."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from hardener.cli.common import (
    Conversation,
    FleetOptions,
    ReportFiles,
    Selection,
    allow_option,
    fleet_options,
    report_options,
    selection_options,
    verbose_option,
)
from hardener.errors import ExitCode
from hardener.model import Impact


@click.command(short_help="Change what fails, prove it by a second audit.")
@fleet_options
@selection_options
@allow_option
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Apply exactly this plan (`hardener plan --json`); a host that has moved since refuses it.",
)
@click.option("--check", is_flag=True, help="Change nothing; say what would change.")
@click.option("--diff", is_flag=True, help="Show every change as a unified diff.")
@report_options
@click.option(
    "--snapshots",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the collected facts in this folder, below before/ and after/.",
)
@verbose_option
@click.pass_obj
def harden(
    conversation: Conversation,
    *,
    hosts: FleetOptions,
    selection: Selection,
    allow: Impact | None,
    plan_file: Path | None,
    check: bool,
    diff: bool,
    files: ReportFiles,
    snapshots: Path | None,
) -> ExitCode:
    """Audit hosts, run the roles that remediate what fails, audit again and show the difference.

    All changes of a host are one transaction: one restart of the daemon, a health check, and back to what was
    before if the host is not well. Hosts where nothing fails that a role remediates are not touched.
    What costs more than --allow is not done; it is listed, and stays failing.

    The reports tell what is true at the end: after hardening, or now with --check. A JSON report gets another
    beside it with what was true before: report.before.json beside report.json.

    \b
    hardener harden -i inventory.yml --check --diff
    hardener harden -i inventory.yml --only daemon --junit junit.xml
    """  # noqa: D301 - click reads the \b
    from hardener.cli.auditing import audited
    from hardener.cli.hardening import SEVERITY, announce, apply, tell_left
    from hardener.cli.progress import echo
    from hardener.cli.reporting import exit_code, report, report_difference
    from hardener.fleet import ansible_version
    from hardener.plan import plan
    from hardener.reports import planfile

    if plan_file and allow:
        raise click.UsageError("a plan says itself what is allowed: give --plan or --allow")
    reviewed = planfile.load(plan_file) if plan_file else None
    started = datetime.now(UTC)
    plain = conversation.verbose
    fleet = hosts.fleet(echo if conversation.verbose else None)
    with audited(fleet, selection, snapshots=snapshots and snapshots / "before", plain=plain) as before:
        plans = list(map(plan, before))
        plans = [each for each in plans if (each.host in reviewed if reviewed is not None else each.steps)]
        announce(plans)
    result = apply(fleet, plans, allow=allow, reviewed=reviewed, check=check, diff=diff, plain=plain)
    tell_left(result.outlooks)
    if check or not plans:
        summary = report(before, selection, files, started=started, ansible_version=ansible_version())
        return max(exit_code(summary.counts), result.exit_code, key=SEVERITY.index)
    again = audited(
        fleet, selection, snapshots=snapshots and snapshots / "after", label="audit again", plain=plain
    )
    with again as after:
        comparison = report_difference(
            before, after, selection, files, started=started, ansible_version=ansible_version()
        )
    return max(exit_code(comparison.after), result.exit_code, key=SEVERITY.index)
