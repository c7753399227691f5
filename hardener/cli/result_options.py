"""Options for the exit code of an audit and for its output on the terminal."""

from __future__ import annotations

import click

from hardener.cli.common import Conversation
from hardener.model import Severity


def _severity(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Severity | None:
    return Severity(value) if value else None


def _be_quiet(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Conversation).quiet = True


fail_on_option = click.option(
    "--fail-on",
    type=click.Choice([each.value for each in Severity]),
    callback=_severity,
    help="Lowest severity of a result that decides the exit code.  [default: low]",
)

quiet_option = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    expose_value=False,
    callback=_be_quiet,
    help="Show no progress and no result: only warnings, errors and the exit code.",
)
