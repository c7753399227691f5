"""``hardener plan``: what hardening would change, what it would cost, and what it would leave."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import click

from hardener.cli.common import (
    Conversation,
    DecisionFiles,
    FleetOptions,
    Selection,
    allow_option,
    decision_options,
    fleet_options,
    require_writable,
    selection_options,
    verbose_option,
)
from hardener.errors import ExitCode
from hardener.model import Impact, Status


@click.command(short_help="Say what hardening would change and cost; change nothing.")
@fleet_options
@selection_options
@decision_options
@allow_option
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the plan as JSON; `hardener harden --plan FILE` applies exactly that.",
)
@verbose_option
@click.pass_obj
def plan(
    conversation: Conversation,
    *,
    hosts: FleetOptions,
    selection: Selection,
    decided: DecisionFiles,
    allow: Impact | None,
    json_file: Path | None,
) -> ExitCode:
    """Audit hosts, and say for every failing control what would be done about it.

    The hosts themselves are asked, in check mode: the differences are exact, and the impact is what a change
    costs there, such as the names of the containers that a restart of the engine would stop.

    The exit code is that of an audit: 0 where nothing fails, 3 where something does.

    \b
    hardener plan -i inventory.yml
    hardener plan -i inventory.yml --allow containers-stop --json plan.json
    """  # noqa: D301 - click reads the \b
    from hardener import planfile
    from hardener.cli.auditing import audited
    from hardener.cli.hardening import SEVERITY, apply
    from hardener.cli.reporting import exit_code
    from hardener.files import write_text
    from hardener.plan import outlook
    from hardener.plan import plan as plan_of
    from hardener.terminal.console import console, show_plan
    from hardener.terminal.progress import echo

    if json_file:
        require_writable(json_file)
    plain = conversation.verbose
    decisions = decided.read(datetime.now(UTC).date(), inventory=hosts.inventory)
    fleet = hosts.fleet(echo if conversation.verbose else None)
    with audited(fleet, selection, decisions, snapshots=None, plain=plain) as assessments:
        plans = {assessment.host: plan_of(assessment) for assessment in assessments}
    bounds = {"converge_allow": allow.value} if allow else {}
    asked = [each for each in plans.values() if each.steps]
    foreseen = apply(fleet, asked, bounds=bounds, check=True, plain=plain)
    answers = {each.host: each for each in foreseen.outlooks}
    outlooks = [
        answers.get(each.host) or outlook(plans[each.host], {}, failure=each.unreachable)
        for each in assessments
    ]
    show_plan(outlooks, console(sys.stdout), benchmark=selection.benchmark)
    if json_file:
        created = datetime.now(UTC)
        write_text(json_file, planfile.dump(outlooks, selection.benchmark, created=created))
    counts = sum((assessment.counts() for assessment in assessments), Counter[Status]())
    return max(exit_code(counts), foreseen.exit_code, key=SEVERITY.index)
