"""Options that choose results of a run, for every command that shows or reports a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from hardener.cli import completers
from hardener.cli.common import option_group
from hardener.model import Severity, Status
from hardener.result_filter import ResultFilter


def _choice(
    option: str, field: str, kind: type[Status] | type[Severity], meaning: str
) -> Callable[[Any], Any]:
    return click.option(
        option,
        field,
        multiple=True,
        type=click.Choice([each.value for each in kind]),
        callback=lambda _context, _parameter, values: tuple(map(kind, values)),
        help=f"{meaning}; repeatable.",
    )


filter_options = option_group(
    "chosen",
    ResultFilter,
    click.option("--host", "hosts", multiple=True, metavar="GLOB", help="Only these hosts; repeatable."),
    click.option(
        "--group",
        "groups",
        multiple=True,
        metavar="NAME",
        help="Only hosts of this group of the inventory; repeatable.",
    ),
    _choice("--status", "statuses", Status, "Only these results"),
    _choice("--severity", "severities", Severity, "Only results of this severity"),
    click.option(
        "--section",
        "sections",
        multiple=True,
        metavar="SECTION",
        shell_complete=completers.section,
        help="Only controls of this section, such as runtime; repeatable.",
    ),
    click.option(
        "--control",
        "controls",
        multiple=True,
        metavar="SLUG|CIS-ID",
        shell_complete=completers.control,
        help="Only this control, or all controls below this part of an id, such as 5.1; repeatable.",
    ),
)
