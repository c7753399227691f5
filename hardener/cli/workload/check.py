"""``hardener workload check``: judge compose files before anything is deployed."""

from __future__ import annotations

from pathlib import Path

import click

from hardener.cli.common import (
    Conversation,
    decision_options,
    exit_zero_option,
    fail_on_option,
    quiet_option,
    report_options,
    selection_options,
)
from hardener.errors import ExitCode
from hardener.model import Severity
from hardener.workflows.options import DecisionFiles, ReportFiles, Selection


@click.command(short_help="Judge the containers of compose files before they are deployed.")
@click.argument("compose", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path))
@selection_options
@decision_options
@report_options
@fail_on_option
@quiet_option
@exit_zero_option
@click.pass_obj
def check(
    conversation: Conversation,
    *,
    compose: tuple[Path, ...],
    selection: Selection,
    decided: DecisionFiles,
    files: ReportFiles,
    fail_on: Severity | None,
    exit_zero: bool,
) -> ExitCode:
    """Judge compose files by the benchmark's controls for running containers, without a host or an engine.

    FILE is a compose file, compose.yaml without one; several are merged as docker compose merges them. An
    engine with default settings and AppArmor is assumed. What a compose file does not decide is manual.

    \b
    hardener workload check --fail-on high
    hardener workload check compose.yaml compose.prod.yaml --report sarif=compose.sarif
    """  # noqa: D301 - click reads the \b
    from hardener.terminal.console import console, show_summary
    from hardener.workflows.compose_check import check_project
    from hardener.workflows.exit_codes import unless_exit_zero

    listener = conversation.listener(*files.named().values())
    result = check_project(
        compose or (Path("compose.yaml"),), selection, decided, files, warn=listener.warning, fail_on=fail_on
    )
    if not conversation.quiet:
        screen = console(listener.screen)
        show_summary(result.summary, screen, files=files.named(), decisions=result.decisions)
    return unless_exit_zero(result.exit_code, exit_zero)
