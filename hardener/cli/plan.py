"""``hardener plan``: show what hardening would change, its impact, and what it would not change."""

from __future__ import annotations

from pathlib import Path

import click

from hardener.cli.common import (
    Conversation,
    accept_loss_option,
    accept_weaker_option,
    allow_option,
    decision_options,
    fail_on_option,
    screen_beside,
    selection_options,
    verbose_option,
)
from hardener.cli.fleet_options import FleetOptions, fleet_options
from hardener.errors import ExitCode
from hardener.model import Impact, Severity
from hardener.workflows.options import DecisionFiles, Selection, accepted_controls


@click.command(short_help="Show what hardening would change, and its impact; change nothing.")
@fleet_options
@selection_options
@decision_options
@allow_option
@accept_loss_option
@accept_weaker_option
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Write the plan as JSON; `hardener harden --plan FILE` applies exactly this plan.",
)
@fail_on_option
@verbose_option
@click.pass_obj
def plan(
    conversation: Conversation,
    *,
    hosts: FleetOptions,
    selection: Selection,
    decided: DecisionFiles,
    allow: Impact | None,
    accept_loss: tuple[str, ...],
    accept_weaker: tuple[str, ...],
    json_file: Path | None,
    fail_on: Severity | None,
) -> ExitCode:
    """Audit hosts, and show for every failing control what `hardener harden` would change.

    Each host computes its own changes, in check mode: the differences are exact, and the impact is that on
    this host, such as the names of the containers that a restart of the engine would stop.

    The exit code is 9 if a host gives no plan; otherwise it is that of an audit: 0 if no control fails, 3 if
    one does.

    \b
    hardener plan -i inventory.yml
    hardener plan -i inventory.yml --allow containers-stop --json plan.json
    """  # noqa: D301 - click reads the \b
    from hardener.terminal.console import console, show_plan
    from hardener.workflows.plan import PlanRequest, write_plan
    from hardener.workflows.plan import plan as carry_out

    request = PlanRequest(
        reach=lambda: hosts.fleet(conversation),
        inventory=hosts.inventory,
        selection=selection,
        decided=decided,
        allow=allow,
        accept_losses=accept_loss,
        accepted=accepted_controls(selection.benchmark, accept_weaker),
        json_file=json_file,
        fail_on=fail_on,
    )
    result = carry_out(request, conversation.listener(json_file))
    show_plan(result.outlooks, console(screen_beside(json_file)), benchmark=selection.benchmark)
    write_plan(request, result)
    return result.exit_code
