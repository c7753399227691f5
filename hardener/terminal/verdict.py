"""Show the verdict of a run: the last lines on the screen, which fit into 80 columns and 24 lines.

They show how many controls pass, why others could not be decided, and the commands for the next steps.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from hardener import catalogue
from hardener.model import Severity, Status
from hardener.summary import SEVERITIES, Cause, ControlCases, Summary, compliance, percentage
from hardener.terminal.parts import SEVERITY_STYLES, STATUS_COLOURS, status_bar
from hardener.text import line, shorten

_WORDS = {
    Status.PASS: "pass",
    Status.FAIL: "fail",
    Status.ERROR: "error",
    Status.MANUAL: "manual",
    Status.NOT_APPLICABLE: "not applicable",
    Status.WAIVED: "waived",
}
_BAR = 16
_CAUSES_SHOWN = 3
_SEVERE_SHOWN = 3
_TITLE = 100  # characters of a control's title
_CAUSE = 140  # characters of a reason: two lines


def verdict(summary: Summary, hosts_option: str) -> Iterator[RenderableType]:
    """Draw the verdict of an audit: compliance, totals, causes of errors, most severe failures, next steps.

    Args:
        summary: the totals.
        hosts_option: names the hosts in a command; empty where no command reaches them.
    """
    one = summary.first
    is_fleet = summary.hosts > 1
    title = f"{summary.hosts} hosts" if is_fleet or one is None else line(one.host, 40)
    if summary.is_part:  # a share of the chosen results does not show compliance
        yield Padding(Text(f"{title}, of the chosen results only", style="bold"), (1, 1, 0, 1))
    else:
        yield score(title, summary.counts)
    yield _indented(totals(summary.counts, summary.failing))
    causes = summary.causes()
    for cause in causes[:_CAUSES_SHOWN]:
        yield _indented(Text(shorten(cause_line(cause, is_fleet=is_fleet), _CAUSE), style="magenta"))
    if len(causes) > _CAUSES_SHOWN:
        rest = f"and for other reasons ({len(causes) - _CAUSES_SHOWN} more)"
        yield _indented(Text(rest, style="magenta"))
    failing = summary.cases(Status.FAIL)
    for each in failing[:_SEVERE_SHOWN]:
        text = Text(f"{each.severity} ", style=SEVERITY_STYLES[each.severity])
        text.append(f"{each.id} {shorten(line(each.title), _TITLE)}", style="not bold default")
        yield _indented(text)
    if len(failing) > _SEVERE_SHOWN:
        yield _indented(Text(f"and {len(failing) - _SEVERE_SHOWN} more that fail", style="bright_black"))
    yield from next_steps(list(_commands(failing, summary.benchmark, hosts_option)))


def score(title: str, counts: Mapping[Status, int], before: Mapping[Status, int] | None = None) -> Padding:
    """Draw the share of passing controls and a bar; an earlier share is shown before it."""
    text = Text(f"{title}  ", style="bold")
    if before is not None:
        text.append(f"{percentage(compliance(before))} → ")
    text.append(f"{percentage(compliance(counts))} compliant  ").append_text(status_bar(counts, _BAR))
    return Padding(text, (1, 1, 0, 1))


def totals(counts: Mapping[Status, int], failing: Mapping[Severity, int] = MappingProxyType({})) -> Text:
    """Return the number of findings by status, and of failing findings by severity."""
    text = Text()
    for status, word in _WORDS.items():
        if not (count := counts.get(status, 0)) and status not in (Status.PASS, Status.FAIL):
            continue
        text.append(", " if text else "").append(f"{count} {word}", style=STATUS_COLOURS[status])
        if status is Status.FAIL and count:
            by = ", ".join(f"{failing[each]} {each}" for each in SEVERITIES if failing.get(each))
            text.append(f" ({by})" if by else "")
    return text


def next_steps(commands: Sequence[str]) -> Iterator[RenderableType]:
    """List the commands for the next steps."""
    for number, command in enumerate(commands):
        text = Text("next: " if number == 0 else "      ", style="bright_black")
        yield Padding(text.append(command, style="not bold default"), (0 if number else 1, 1, 0, 1))


def explain_command(control_id: str, benchmark: str) -> str:
    """Return the command that explains a control."""
    chosen = "" if benchmark == catalogue.DEFAULT_BENCHMARK else f" --benchmark {shlex.quote(benchmark)}"
    return f"hardener controls {shlex.quote(control_id)}{chosen}"


def cause_line(cause: Cause, *, is_fleet: bool) -> str:
    """Describe why controls could not be decided: the number of controls, the hosts, and the reason."""
    number = len(cause.controls)
    what = f"{number} control{'' if number == 1 else 's'}"
    if is_fleet:
        more = f" +{cause.hosts - len(cause.names)} more" if cause.hosts > len(cause.names) else ""
        what = f"{what} on {', '.join(cause.names)}{more}"
    why = cause.actual if number == 1 and not cause.unreachable else cause.text
    return f"{what}: {why or 'other reasons'}"


def _indented(text: Text) -> Padding:
    return Padding(text, (0, 1, 0, 3))


def _commands(failing: Sequence[ControlCases], benchmark: str, hosts: str) -> Iterator[str]:
    if hosts and any(each.control.remediation for each in failing):
        yield f"hardener plan {hosts}"
    if failing:
        yield explain_command(failing[0].id, benchmark)
