"""Show results in a terminal: one function for each screen, and the console that shows it.

rich is imported when something is shown, not before: most of what the command line does needs none of it.
Standard output is for results, so the caller passes the console::

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

    Colours are used only if the stream is a terminal and NO_COLOR is not set. A stream whose encoding lacks
    the symbols of the screens gets ASCII characters.
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
        console: the output.
        files: the written reports, by title.
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
        console: the output.
        files: the written reports, by title.
        decisions: the waivers and attestations that were applied.
    """
    from hardener.terminal.comparison import comparison_screen

    console.print(comparison_screen(comparison, files, decisions))


def show_drift(drift: Drift, console: Console, *, title: str, files: Mapping[str, Path] = _NO_FILES) -> None:
    """Show the changes between two runs.

    Args:
        drift: the changes.
        console: the output.
        title: the names of the two runs.
        files: the written reports, by title.
    """
    from hardener.terminal.drift import drift_screen

    console.print(drift_screen(drift, title, files))


def show_plan(outlooks: Sequence[Outlook], console: Console, *, benchmark: str) -> None:
    """Show the plans of hosts.

    Args:
        outlooks: the answer of each host.
        console: the output.
        benchmark: the benchmark version whose ids name the controls.
    """
    from hardener.terminal.plan import show

    show(outlooks, console, benchmark=benchmark)


def show_images(host: str, images: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Show which images of a host are trusted.

    Args:
        host: its name.
        images: the answer of the host (``plugins/module_utils/trust/main.py``).
        console: the output.
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
