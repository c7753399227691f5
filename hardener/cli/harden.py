"""``hardener harden``: audit, change what fails, audit again, show the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener.cli.common import (
    Changes,
    Conversation,
    DecisionFiles,
    FleetOptions,
    ReportFiles,
    Selection,
    change_options,
    decision_options,
    fleet_options,
    home_option,
    report_options,
    selection_options,
    verbose_option,
)
from hardener.errors import ExitCode, HardenerError
from hardener.text import line

if TYPE_CHECKING:
    from hardener.plan import Plan
    from hardener.planfile import Reviewed


@click.command(short_help="Change what fails, prove it by a second audit.")
@fleet_options
@selection_options
@decision_options
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
    decided: DecisionFiles,
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
    from hardener import planfile
    from hardener.cli.auditing import audited
    from hardener.cli.changing import change
    from hardener.cli.hardening import announce, tell_withheld
    from hardener.cli.recording import Recorder
    from hardener.cli.turn import turn
    from hardener.plan import plan
    from hardener.terminal.progress import echo

    if plan_file and changes.allow:
        raise click.UsageError("a plan says itself what is allowed: give --plan or --allow")
    planned = planfile.load(plan_file) if plan_file else None
    reviewed = planned and planned.reviewed
    damaged = planned.damaged if planned else {}
    for host, problem in damaged.items():
        click.echo(f"hardener: error: {plan_file}: {line(host)}: {problem}; it is left alone", err=True)
    started = datetime.now(UTC)
    files.keep(hosts.inventory, decided.waivers, decided.attestations)
    plain = conversation.verbose
    decisions = decided.read(started.date(), inventory=hosts.inventory)
    fleet = hosts.fleet(echo if plain else None)
    with turn(home, hosts, changing=not changes.check), Recorder(home, hosts, selection) as recorder:
        kept = changes.kept("before")
        with audited(fleet, selection, decisions, snapshots=kept, recorder=recorder, plain=plain) as before:
            plans = list(map(plan, before))
            tell_withheld(plans)
            _refuse_waived(plans, reviewed or {})
            plans = [
                each for each in plans if (each.host in reviewed if reviewed is not None else each.steps)
            ]
            _see_all_there(reviewed or {}, plans, limit=hosts.limit)
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
            decisions=decisions,
            reviewed=reviewed,
            so_far=ExitCode.INCOMPLETE if damaged else ExitCode.COMPLIANT,
            plain=plain,
        )


def _refuse_waived(plans: Sequence[Plan], reviewed: Mapping[str, Reviewed]) -> None:
    """Refuse a reviewed plan that would repair what has been waived since.

    Raises:
        HardenerError: it would; names host and variable.
    """
    for plan in plans:
        variables = reviewed[plan.host].variables if plan.host in reviewed else {}
        for role, variable in plan.waived:
            if variable in variables.get(role, ()):
                raise HardenerError(
                    f"{line(plan.host)}: the plan would repair by {variable} what is waived",
                    hint="make it anew: `hardener plan --json`",
                )


def _see_all_there(reviewed: Mapping[str, Reviewed], plans: Sequence[Plan], *, limit: str) -> None:
    """See that no host of a reviewed plan is passed over, but for those that were left out on purpose.

    Raises:
        HardenerError: one is.
    """
    missing = sorted(reviewed.keys() - {plan.host for plan in plans})
    if missing and not limit:
        raise HardenerError(
            f"the plan is for hosts that the inventory does not have: {line(', '.join(missing))}",
            hint="--limit applies it to some of its hosts",
        )
