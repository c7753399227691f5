"""Add a waiver to a file that people edit; the rest of the file stays unchanged, comments included.

The entry is inserted after the last one with the same indentation. The result is parsed before it is written:
it must be the old content and one more entry, otherwise nothing is changed.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import yaml

from hardener.decisions.document import DocumentError, parse, read
from hardener.decisions.waivers import KEY, Waivers, waivers_of
from hardener.errors import HardenerError
from hardener.files import require_writable, write_text
from hardener.text import line

_HEAD = "# Failing controls that are accepted for a while; `hardener waivers lint` checks this file.\n"
_INDENT = 2
_NUMBERED = re.compile(r"W-([0-9]{1,9})")
# Plain scalars that every YAML parser reads as text.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*( [A-Za-z0-9._/-]+)*|[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})

Fields = Mapping[str, str | Sequence[str] | Mapping[str, Sequence[str]]]


def add_waiver(file: Path, fields: Fields, *, today: date) -> str:
    """Append a waiver to a file, which is created if it is missing; return its id.

    Args:
        file: the file of waivers; its content stays.
        fields: the fields of the waiver.
        today: the present day in UTC.

    Raises:
        HardenerError: the waiver is invalid, or the file cannot be written.
    """
    require_writable(file)
    with _locked(file):
        content = read(file).data if file.exists() else b""
        data = with_waiver(content, fields, path=file, today=today)
        write_text(file, data.decode(), shared=True)
    *_, written = waivers_of(parse(data, file), today).entries
    return written.id


def with_waiver(data: bytes, fields: Fields, *, path: Path, today: date) -> bytes:
    """Return a file's content with one more waiver.

    Args:
        data: the content of the file; empty if it does not exist.
        fields: the waiver's keys and values, in the order they are to be written; what is empty is left out.
            An ``id`` that is empty becomes the next free one, such as W-007.
        path: the file, for error messages.
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


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold a lock, so that concurrent writers do not overwrite each other's waiver."""
    folder = os.open(file.resolve().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # The file itself is replaced by the write.
        yield
    finally:
        os.close(folder)


@dataclass(frozen=True, slots=True)
class _Place:
    """The position in a file at which an entry is inserted."""

    line: int  # index of the line before which it is inserted
    indent: int
    listed: bool = True  # the key of the list exists
    opened: int | None = None  # index of the line with an empty list in brackets


def _find(text: str, lines: Sequence[str], path: Path) -> _Place:
    """Find the position after the last entry of the list; without a list, the end of the file."""
    root = yaml.compose(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    keys = [key.value for key, _ in pairs]
    if KEY not in keys:
        return _Place(len(lines), _INDENT, listed=False)
    key, node = pairs[keys.index(KEY)]
    first = node.start_mark.line
    if isinstance(node, yaml.ScalarNode):  # `waivers:` without a value
        return _Place(key.end_mark.line + 1, _INDENT)
    if node.flow_style:
        if not re.search(r"\[\s*\]", lines[first]):
            raise _unsupported_layout(path)
        return _Place(first + 1, _INDENT, opened=first)
    column = node.start_mark.column
    last = next((key.start_mark.line for key, _ in pairs if key.start_mark.line > first), len(lines))
    # A line with ``#`` that is deeper than the list can be text of the last entry.
    while not lines[last - 1].strip() or lines[last - 1][: column + 1].lstrip(" ")[:1] in ("#", "."):
        last -= 1
    return _Place(last, column)


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
