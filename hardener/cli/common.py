"""Groups of options that several commands share; a command gets each group as one value."""

from __future__ import annotations

import dataclasses
import functools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click
from ansible_collections.hardener.docker.plugins.module_utils.contract import (
    CONFIRM_TIMEOUT,
    LEAST_CONFIRM_TIMEOUT,
    MOST_CONFIRM_TIMEOUT,
)

from hardener import catalogue
from hardener.batches import Batches, Share
from hardener.cli import completers
from hardener.files import STANDARD_OUTPUT, write_text
from hardener.model import Impact, Severity
from hardener.planfile import NAME_OF_LOSS
from hardener.reports.formats import FOLDERS, FORMATS, Format
from hardener.workflows.options import Changes, DecisionFiles, ReportFiles, Selection

if TYPE_CHECKING:
    from hardener.cli.listener import TerminalListener
    from hardener.history.journal import Unfinished

Decorated = Callable[..., Any]  # the function of a command


@dataclass(slots=True)
class Conversation:
    """The command line of this call, and how much it prints on standard error."""

    verbose: bool = False
    arguments: tuple[str, ...] = ()
    resumed: Unfinished | None = None  # the run that this one continues
    quiet: bool = False

    def listener(self, *written: Path | None) -> TerminalListener:
        """Return the listener that shows a workflow on the terminal.

        Args:
            written: the files that are written, which may be standard output.
        """
        from hardener.cli.listener import TerminalListener
        from hardener.cli.streams import outlive_reader

        outlive_reader()
        return TerminalListener(live=not self.verbose, quiet=self.quiet, screen=screen_beside(*written))


def screen_beside(*written: Path | None) -> TextIO:
    """Return the stream for results: standard output, or standard error if a report uses standard output."""
    return sys.stderr if STANDARD_OUTPUT in written else sys.stdout


def option_group(
    name: str, kind: type[Any], *options: Callable[[Any], Any]
) -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds options in this order; a command gets their values as one ``kind``."""
    fields = [field.name for field in dataclasses.fields(kind)]

    def decorate(function: Decorated) -> Decorated:
        @functools.wraps(function)
        def with_group(**values: Any) -> Any:
            group = kind(**{field: values.pop(field) for field in fields})
            return function(**{name: group}, **values)

        decorated: Decorated = with_group
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def _chosen_formats(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[Format, Path], ...]:
    """Split each ``FORMAT=PATH`` into its two parts."""
    chosen = []
    for value in values:
        name, _, path = value.partition("=")
        if not path:
            raise click.BadParameter(f"{value!r} is not FORMAT=PATH, such as json=report.json")
        known: dict[str, Format] = {**FORMATS, **FOLDERS}
        if name not in known:
            raise click.BadParameter(f"unknown format {name!r}; the formats are {', '.join(known)}")
        chosen.append((known[name], Path(path)))
    return tuple(chosen)


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Set the field of the conversation that has the name of the flag."""
    if value:
        setattr(context.ensure_object(Conversation), str(parameter.name), True)


verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_remember,
    help="Show the output of Ansible, and the traceback of an internal error.",
)


selection_options = option_group(
    "selection",
    Selection,
    click.option(
        "--benchmark",
        default=catalogue.DEFAULT_BENCHMARK,
        show_default=True,
        metavar="NAME",
        shell_complete=completers.benchmark,
        help="Benchmark version to judge by.",
    ),
    click.option(
        "--level",
        type=click.IntRange(1, 2),
        default=2,
        show_default=True,
        metavar="1|2",
        help="Highest level of controls to judge.",
    ),
    click.option(
        "--only",
        multiple=True,
        metavar="SLUG|CIS-ID|SECTION|ROLE",
        shell_complete=completers.selector,
        help="Judge only this control or section, or what this role remediates; repeatable. `hardener"
        " controls` lists them. Then changes apply variables of the inventory only of a role that is named"
        " here, or with `wishes` those of all roles.",
    ),
)

report_options = option_group(
    "files",
    ReportFiles,
    click.option("--junit", type=click.Path(path_type=Path), metavar="PATH", help="Write JUnit XML."),
    click.option(
        "--json", type=click.Path(path_type=Path), metavar="PATH", help="Write all findings as JSON."
    ),
    click.option(
        "--report",
        multiple=True,
        callback=_chosen_formats,
        metavar="FORMAT=PATH",
        shell_complete=completers.report,
        help=f"Write a report; repeatable. Formats: {', '.join(FORMATS)};"
        " html-dir=DIR writes a page for each host.",
    ),
    click.option(
        "--split",
        type=click.Choice(["host", "group"]),
        callback=lambda _context, _parameter, value: value or "",
        help="Write JUnit and SARIF as a file for each host or group: report-web.xml beside report.xml.",
    ),
)

decision_options = option_group(
    "decided",
    DecisionFiles,
    click.option(
        "--waivers",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="File of waivers: failing controls that are accepted until a day.  [default: waivers.yml"
        " beside the inventory]",
    ),
    click.option(
        "--attestations",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="File of attestations: the answers of people to manual controls."
        "  [default: attestations.yml beside the inventory]",
    ),
    click.option(
        "--releases",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="File of releases of the engine, its parts and distributions, newer than hardener's own"
        " (hardener/catalogue/releases.yaml shows the form).",
    ),
)

allow_option = click.option(
    "--allow",
    type=click.Choice([impact.value for impact in Impact]),
    callback=lambda _context, _parameter, value: value and Impact(value),
    help="Greatest allowed impact of a change; changes with a greater impact are held and listed."
    "  [default: converge_allow of the inventory, else daemon-restart]",
)


def _names(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not NAME_OF_LOSS.fullmatch(value):
            raise click.BadParameter(f"{value!r} is not the name of a container, network or registry")
    return values


accept_loss_option = click.option(
    "--accept-loss",
    multiple=True,
    metavar="NAME",
    callback=_names,
    help="Do not roll a change back because this container, network, service or registry no longer works."
    " Repeatable.",
)

change_options = option_group(
    "changes",
    Changes,
    allow_option,
    accept_loss_option,
    click.option(
        "--confirm-timeout",
        type=click.IntRange(LEAST_CONFIRM_TIMEOUT, MOST_CONFIRM_TIMEOUT),
        metavar="SECONDS",
        help="How long a host waits for the connection that confirms a change, before it rolls the change"
        f" back by itself.  [default: converge_confirm_timeout of the inventory, else {CONFIRM_TIMEOUT}]",
    ),
    click.option("--check", is_flag=True, help="Change nothing; show what would change."),
    click.option("--diff", is_flag=True, help="Show every change as a unified diff."),
    click.option(
        "--snapshots",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Keep the collected facts in this folder, below before/ and after/.",
    ),
)


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(value: str) -> int:
    found = re.fullmatch(r"(\d{1,6})([smhd])", value)
    return int(found[1]) * _UNITS[found[2]] if found else 0


def seconds_callback(
    *, most: str, examples: str
) -> Callable[[click.Context, click.Parameter, str | None], int | None]:
    """Return a callback that parses a time such as ``10m`` or ``7d`` into seconds."""

    def parse(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
        if value is not None and not 1 <= _seconds(value) <= _seconds(most):
            raise click.BadParameter(f"{value!r} is not a time from 1s to {most}, such as {examples}")
        return None if value is None else _seconds(value)

    return parse


def _share(*, least: int) -> Callable[[click.Context, click.Parameter, str | None], Share | None]:
    """Return a callback that parses a number of hosts or a percentage."""

    def parse(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Share | None:
        return None if value is None else Share.parse(value, least=least)

    return parse


accept_weaker_option = click.option(
    "--accept-weaker",
    multiple=True,
    metavar="CONTROL",
    help="Apply variables of the inventory although they weaken this control, or repair it although it is"
    " waived. Repeatable.",
)

batch_options = option_group(
    "batches",
    Batches,
    click.option(
        "--canary",
        default="",
        metavar="GROUP|N",
        help="Change the hosts of this group, or the first N hosts, before all others.",
    ),
    click.option(
        "--batch",
        callback=_share(least=1),
        metavar="N|P%",
        help="Then change this number of hosts at a time, or this percentage of the hosts that need a change."
        "  [default: all others at once]",
    ),
    click.option(
        "--max-fail",
        callback=_share(least=0),
        metavar="N|P%",
        help="Begin no further batch when more hosts of the run than this have failed, including unreachable"
        " hosts.  [default: 0 with --canary or --batch]",
    ),
)


def _home(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path:
    from hardener.history.home import default_home

    return value or default_home()


home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="HARDENER_HOME",
    callback=_home,
    metavar="DIR",
    help="Folder of the history.  [default: $HARDENER_HOME, else $XDG_STATE_HOME/hardener]",
)

exit_zero_option = click.option(
    "--exit-zero", is_flag=True, help="Exit with 0 instead of 3 or 4: for jobs that only report."
)

json_option = click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Write the result as JSON; - is standard output, instead of the text.",
)


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the rows of a table as lines, with columns that are as wide as their longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def write_json(document: Mapping[str, Any], path: Path | None) -> bool:
    """Write a document to the file of ``--json``; return whether that is standard output.

    Raises:
        HardenerError: it cannot be written.
    """
    from hardener.reports.lib.serial import indented

    if path is None:
        return False
    write_text(path, indented(document))
    return path == STANDARD_OUTPUT


def _severity(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Severity | None:
    return Severity(value) if value else None


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
    callback=_remember,
    help="Show no progress and no result: only warnings, errors and the exit code.",
)
