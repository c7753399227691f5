"""Show results in a terminal: one function for each screen, and the console that shows it.

rich is imported when something is shown, not before: most of what the command line does needs none of it.
Standard output is data, so the caller says where things go::

    show_summary(summary, console(sys.stdout), files={"JUnit": path})
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO

from hardener.comparison.runs import Comparison
from hardener.model import Decisions
from hardener.plan import Outlook
from hardener.summary import Summary

if TYPE_CHECKING:
    from rich.console import Console

    from hardener.comparison import Drift

_NARROWEST = 40  # columns
_NO_FILES: Mapping[str, Path] = MappingProxyType({})
_PLAIN = str.maketrans("█▒·→✔✘…▼▁▂▃▄▅▆▇", "#-.>+x~v__..--=")


def console(stream: TextIO, *, width: int | None = None) -> Console:
    """Return a console that shows text literally: no markup, no emoji codes, no highlighting.

    Colours only where the stream is a terminal and NO_COLOR is not set. A stream whose encoding lacks our
    shapes gets plainer ones.
    """
    from rich.console import Console

    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=_plainer.__name__)
    console = Console(file=stream, width=width, markup=False, emoji=False, highlight=False)
    console.width = max(console.width, _NARROWEST)
    return console


def show_summary(
    summary: Summary,
    console: Console,
    *,
    files: Mapping[str, Path] = _NO_FILES,
    decisions: Decisions | None = None,
    hosts_option: str = "",
) -> None:
    """Show the result of an audit.

    Args:
        summary: the totals.
        console: where to.
        files: what was written, by what it is called.
        decisions: the waivers and attestations that were applied.
        hosts_option: names the hosts in a command; empty where no command reaches them.
    """
    from hardener.terminal.audit import summary_screen

    console.print(summary_screen(summary, files, decisions, hosts_option))


def show_comparison(
    comparison: Comparison,
    console: Console,
    *,
    files: Mapping[str, Path] = _NO_FILES,
    decisions: Decisions | None = None,
) -> None:
    """Show what changed between two assessments.

    Args:
        comparison: the changes.
        console: where to.
        files: what was written, by what it is called.
        decisions: the waivers and attestations that were applied.
    """
    from hardener.terminal.comparison import comparison_screen

    console.print(comparison_screen(comparison, files, decisions))


def show_drift(drift: Drift, console: Console, *, title: str, files: Mapping[str, Path] = _NO_FILES) -> None:
    """Show the changes between two runs.

    Args:
        drift: what moved.
        console: where to.
        title: between which runs.
        files: what was written, by what it is called.
    """
    from hardener.terminal.drift import drift_screen

    console.print(drift_screen(drift, title, files))


def show_plan(outlooks: Sequence[Outlook], console: Console, *, benchmark: str) -> None:
    """Show the plans of hosts.

    Args:
        outlooks: what each host answered.
        console: where to.
        benchmark: by which ids the controls are called.
    """
    from hardener.terminal.plan import show

    show(outlooks, console, benchmark=benchmark)


def show_images(host: str, images: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Show which images of a host are trusted.

    Args:
        host: its name.
        images: what the host found (``plugins/module_utils/trust/main.py``).
        console: where to.
    """
    from hardener.terminal.images import trust_screen

    for part in trust_screen(host, images):
        console.print(part)


def _plainer(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    plain = error.object[error.start : error.end].translate(_PLAIN)
    return "".join(character if character.isascii() else "?" for character in plain), error.end


codecs.register_error(_plainer.__name__, _plainer)
