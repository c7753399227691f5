"""``hardener harden``: audit, change what fails, audit again, show the difference."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from hardener.cli.common import (
    Changes,
    Conversation,
    FleetOptions,
    ReportFiles,
    Selection,
    change_options,
    fleet_options,
    home_option,
    report_options,
    selection_options,
    verbose_option,
)
from hardener.errors import ExitCode


@click.command(short_help="Change what fails, prove it by a second audit.")
@fleet_options
@selection_options
@change_options
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Apply exactly this plan (`hardener plan --json`); a host that has moved since refuses it.",
)
@report_options
@home_option
@verbose_option
@click.pass_obj
def harden(
    conversation: Conversation,
    *,
    hosts: FleetOptions,
    selection: Selection,
    changes: Changes,
    plan_file: Path | None,
    files: ReportFiles,
    home: Path,
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
    from hardener.cli.changing import change
    from hardener.cli.hardening import announce
    from hardener.cli.progress import echo
    from hardener.cli.recording import Recorder
    from hardener.cli.turn import turn
    from hardener.plan import plan
    from hardener.reports import planfile

    if plan_file and changes.allow:
        raise click.UsageError("a plan says itself what is allowed: give --plan or --allow")
    reviewed = planfile.load(plan_file) if plan_file else None
    started = datetime.now(UTC)
    plain = conversation.verbose
    fleet = hosts.fleet(echo if plain else None)
    with turn(home, hosts, changing=not changes.check), Recorder(home, hosts, selection) as recorder:
        kept = changes.kept("before")
        with audited(fleet, selection, snapshots=kept, recorder=recorder, plain=plain) as before:
            plans = list(map(plan, before))
            plans = [
                each for each in plans if (each.host in reviewed if reviewed is not None else each.steps)
            ]
            announce(plans)
        return change(
            fleet,
            plans,
            selection,
            changes,
            files,
            recorder=recorder,
            verb="harden",
            before=before,
            started=started,
            reviewed=reviewed,
            plain=plain,
        )
