"""Add a waiver to a file that people edit; the rest of the file stays unchanged, comments included.

The entry is inserted after the last one with the same indentation. The result is parsed before it is written:
it must be the old content and one more entry, otherwise nothing is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import yaml

from hardener.decisions.document import DocumentError, parse
from hardener.decisions.waivers import KEY, Waivers, waivers_of
from hardener.errors import HardenerError
from hardener.text import line

_HEAD = "# Failing controls that are accepted for a while; `hardener waivers lint` checks this file.\n"
_INDENT = 2
_NUMBERED = re.compile(r"W-([0-9]{1,9})")
# Plain scalars that every YAML parser reads as text.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*( [A-Za-z0-9._/-]+)*|[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})

Fields = Mapping[str, str | Sequence[str] | Mapping[str, Sequence[str]]]


def with_waiver(data: bytes, fields: Fields, *, path: Path, today: date) -> bytes:
    """Return a file's content with one more waiver.

    Args:
        data: what it holds; nothing where the file is yet to be.
        fields: the waiver's keys and values, in the order they are to be written; what is empty is left out.
            An ``id`` that is empty becomes the next free one, such as W-007.
        path: says in errors which file.
        today: the day by which dates are judged.

    Raises:
        HardenerError: the file or the waiver is not right, or the file is written in a way that one cannot be
            added to it.
    """
    before = waivers_of(parse(data, path), today)
    text = data.decode() or _HEAD
    end = "\r\n" if "\r\n" in text else "\n"
    lines = (text if text.endswith("\n") else text + end).splitlines(keepends=True)
    place = _find(text.removeprefix("\ufeff"), lines, path)
    if place.opened is not None:  # waivers: []
        lines[place.opened] = re.sub(r"\[\s*\]", "", lines[place.opened], count=1).rstrip() + end
    entry = _entry({**fields, "id": fields.get("id") or _next(before)}, place.indent, end)
    head = [] if place.listed else [f"{KEY}:{end}"]
    after = "".join([*lines[: place.line], *head, *entry, *lines[place.line :]]).encode()
    try:
        found = waivers_of(parse(after, path), today)
    except DocumentError as error:
        slips = "; ".join(f"{each.key}: {each.message}" for each in error.problems)
        raise HardenerError(f"the waiver was not written: {slips}") from error
    if found.entries[:-1] != before.entries or found.horizon != before.horizon:
        raise _unsupported_layout(path)
    return after


@dataclass(frozen=True, slots=True)
class _Place:
    """The position in a file at which an entry is inserted."""

    line: int  # index of the line before which it is inserted
    indent: int
    listed: bool = True  # the key of the list exists
    opened: int | None = None  # index of the line with an empty list in brackets


def _find(text: str, lines: Sequence[str], path: Path) -> _Place:
    """Find the position after the last entry of the list; without a list, the end of the file."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    flows: list[bool] = []  # of the enclosing collections
    key, begin, last = "", None, 0
    for event in yaml.parse(text, loader):
        depth = len(flows)
        if isinstance(event, yaml.CollectionStartEvent):
            if depth == 1 and key == KEY:
                begin = event
            flows.append(bool(event.flow_style))
        if begin is not None and (isinstance(event, yaml.ScalarEvent) or (flows and flows[-1])):
            last = max(last, _last_line(event))
        if isinstance(event, yaml.CollectionEndEvent):
            flows.pop()
            if begin is not None and len(flows) == 1:
                return _insertion_place(begin, last, lines, path)
            key = "" if len(flows) == 1 else key
        elif isinstance(event, yaml.ScalarEvent) and depth == 1:
            if key == KEY:  # `waivers:` without a value
                return _Place(_last_line(event) + 1, _INDENT)
            key = "" if key else event.value
    return _Place(len(lines), _INDENT, listed=False)


def _insertion_place(begin: yaml.CollectionStartEvent, last: int, lines: Sequence[str], path: Path) -> _Place:
    assert begin.start_mark is not None
    first, indent = begin.start_mark.line, begin.start_mark.column
    if begin.flow_style:
        if not re.search(r"\[\s*\]", lines[first]):
            raise _unsupported_layout(path)
        return _Place(first + 1, _INDENT, opened=first)
    while not lines[last].strip():
        last -= 1
    return _Place(last + 1, indent)


def _last_line(event: yaml.Event) -> int:
    """Return the index of the last line that a YAML event covers."""
    assert event.start_mark is not None
    assert event.end_mark is not None
    ends_before = event.end_mark.column == 0 and event.end_mark.line > event.start_mark.line
    return event.end_mark.line - ends_before


def _unsupported_layout(path: Path) -> HardenerError:
    return HardenerError(
        f"cannot add a waiver to {line(str(path))}: its list has an unsupported layout",
        hint=f"write the list as `{KEY}:` with one entry below the other, each beginning with `- `",
    )


def _next(waivers: Waivers) -> str:
    numbers = [int(found[1]) for each in waivers.entries if (found := _NUMBERED.fullmatch(each.id))]
    return f"W-{max(numbers, default=0) + 1:03}"


def _entry(fields: Fields, indent: int, end: str) -> Iterator[str]:
    lead = f"{' ' * indent}- "
    for key, value in sorted(fields.items(), key=lambda item: item[0] != "id"):
        if value:
            yield f"{lead}{key}: {_written(value)}{end}"
            lead = " " * (indent + 2)


def _written(value: str | Sequence[str] | Mapping[str, Sequence[str]]) -> str:
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
            return value
        quoted: str = yaml.dump(value, default_style='"', allow_unicode=True, width=1_000_000)
        return quoted.rstrip("\n")
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_written(each)}' for key, each in value.items())}}}"
    return f"[{', '.join(map(_written, value))}]"
