"""Show the observations of a host with rich. All text is passed as ``Text``, and made safe to show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener.activity import ActivityEntry, HostActivity, Window
from hardener.text import line, utc

_COLOUR = {"high": "red", "medium": "yellow", "low": "bright_black"}
_SHOWN = 50
_LONGEST = 100
_LOST = {
    "kernel": "records that the kernel dropped (its audit backlog was full)",
    "overruns": "times that the kernel dropped records, because the buffer of the collector was full",
    "events": "events missing in the kernel's sequence",
    "engine_cuts": "interruptions of the engine's event stream",
    "engine_events": "events of the engine that exceed the limits of number or length",
    "not_told": "entries beyond the size limit of the answer",
    "no_room": "observations beyond the size limit of the record",
    "silent": "seconds without a running collector",
}


def screen(activity: HostActivity) -> Iterator[RenderableType]:
    """Return the screen of a host."""
    host = line(activity.host)
    if activity.before is not None:
        yield Text(f"{host}: since {utc(activity.before.began)}, recorded by its collector", style="bold")
        yield from _window(activity.before)
    if activity.record_problem:
        yield Text(f"{host}: problem of its collector: {line(activity.record_problem)}", style="red")
    seconds = (activity.now.ended - activity.now.began).total_seconds()
    yield Text(f"{host}: observed for {seconds:.0f} s until {utc(activity.now.ended)}", style="bold")
    yield from _window(activity.now)


def _window(window: Window) -> Iterator[RenderableType]:
    unusual = [entry for entry in window.entries if entry.unusual]
    usual = [entry for entry in window.entries if entry.unusual is False]
    unknown = [entry for entry in window.entries if entry.unusual is None]
    yield from _part("Unusual: new for their image", unusual)
    yield from _part("Usual", usual)
    yield from _part("No baseline to tell whether this is usual", unknown)
    if not window.entries:
        yield _indented("nothing was seen")
    if window.elsewhere:
        yield _indented(f"{window.elsewhere} denials were of processes outside containers")
    for name, count in window.lost.items():
        if count:
            yield _indented(f"lost: {count} {_LOST.get(name, line(name))}", "red")
    for sentence in window.deaf:
        yield _indented(line(sentence), "red")
    for sentence in window.blind:
        yield _indented(f"cannot be seen: {line(sentence, 1000)}", "bright_black")


def _part(title: str, entries: Sequence[ActivityEntry]) -> Iterator[RenderableType]:
    if not entries:
        return
    yield _indented(title)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bright_black")
    for heading in ("severity", "container", "what"):
        table.add_column(heading, overflow="fold")
    table.add_column("times", justify="right", no_wrap=True)
    table.add_column("last (UTC)", no_wrap=True)
    for entry in entries[:_SHOWN]:
        table.add_row(
            Text(entry.severity, style=_COLOUR[entry.severity]),
            Text(_container_name(entry)),
            Text(_description(entry)),
            Text(str(entry.count)),
            Text(f"{entry.last:%m-%d %H:%M:%S}"),
        )
    yield Padding(table, (0, 0, 0, 4))
    if len(entries) > _SHOWN:
        yield _indented(f"  and {len(entries) - _SHOWN} more: --json has them all")


def _container_name(entry: ActivityEntry) -> str:
    if not entry.container:
        return line(entry.attributed_by)
    name = line(entry.name or entry.container[:12], _LONGEST)
    return f"{name} ({line(entry.image, _LONGEST)})" if entry.image else name


def _description(entry: ActivityEntry) -> str:
    text = line(f"{entry.source}: {entry.kind} ({entry.verdict})")
    of_it = ", ".join(line(each, _LONGEST) for each in entry.targets)
    by = ", ".join(line(each, _LONGEST) for each in entry.commands)
    return "\n  ".join([text, *([of_it] if of_it else []), *([f"by {by}"] if by else [])])


def _indented(text: str, style: str = "") -> Padding:
    return Padding(Text(text, style=style), (0, 0, 0, 2))
