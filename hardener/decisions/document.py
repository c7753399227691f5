"""Read YAML that a person wrote, with file, line and key in every error.

Every scalar is read as text: ``control: 5.10`` stays ``5.10``, ``owner: no`` stays ``no``, and numbers have
no limit. Anchors, aliases and tags are refused: they are not needed, and a small file could expand to a huge
one. A duplicate key is an error; YAML parsers keep the last one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from hardener.errors import HardenerError
from hardener.text import line

_LARGEST = 1024 * 1024  # bytes; enough for thousands of waivers
_DEEPEST = 8
# Limits of a file's content, so that reading it and reporting its errors take seconds.
_MOST_VALUES = 100_000
_MOST_ENTRIES = 10_000  # of one list
_MOST_PROBLEMS = 1000
_NULL = ("", "~", "null", "Null", "NULL")
# Characters that YAML 1.1 forbids in a document; NUL and escape sequences are among them.
_FORBIDDEN = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Value = Any  # None, str, or a list or dict of these
Path_ = tuple[str | int, ...]  # keys and indices


@dataclass(frozen=True, slots=True)
class Problem:
    """An error at one place of a file; ``key`` is empty where it is not about a key."""

    line: int  # from 1; 0 is the whole file
    key: str
    message: str

    def at(self, path: Path) -> str:
        """Return the error with its place: ``waivers.yml:12: expires: is before created``."""
        place = f"{path}:{self.line}" if self.line else str(path)
        return line(": ".join(part for part in (place, self.key, self.message) if part), 1000)


class DocumentError(HardenerError):
    """A file that a person wrote has errors; the message has the first error, ``problems`` has all."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.path = path
        self.problems = tuple(problems)
        more = len(problems) - 1
        hint = f"and {more} more: `hardener waivers lint` lists them all" if more else ""
        super().__init__(problems[0].at(path), hint=hint)


@dataclass(frozen=True, slots=True)
class Document:
    """The content of a file, with the line of each value."""

    path: Path
    content: Value
    lines: dict[Path_, int] = field(repr=False)  # for a value with a key the line of the key
    data: bytes = field(repr=False)

    def line_of(self, path: Path_) -> int:
        """Return the line of a value, or of its nearest existing parent."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def error(self, problems: Iterable[tuple[Path_, str]]) -> DocumentError:
        """Return an error with the problems at these values, in the order of the file.

        Of more problems than a person reads, the first are told, and that there are others.
        """
        told = iter(problems)
        found = {
            Problem(self.line_of(path), _name(path), message)
            for path, message in islice(told, _MOST_PROBLEMS)
        }
        listed = sorted(found, key=lambda each: (each.line, each.key, each.message))
        if next(told, None) is not None:
            listed.append(Problem(listed[-1].line, "", "more problems follow, which are not listed"))
        return DocumentError(self.path, listed)


def read(path: Path) -> Document:
    """Read a YAML file that a person wrote.

    Raises:
        HardenerError: it cannot be read, is too large, or is not the YAML described above.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise HardenerError(f"cannot read {line(str(path))}: {error.strerror}") from error
    return parse(data, path)


def parse(data: bytes, path: Path) -> Document:
    """Parse the content of a file; ``path`` is its name in errors.

    Raises:
        HardenerError: it is too large, or not the YAML described above.
    """
    if len(data) > _LARGEST:
        raise DocumentError(path, [Problem(0, "", f"is larger than {_LARGEST // 1024} KiB")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise DocumentError(path, [Problem(number, "", "is not UTF-8")]) from error
    if found := _FORBIDDEN.search(text):
        number = text.count("\n", 0, found.start()) + 1
        raise DocumentError(path, [Problem(number, "", _forbidden(found[0]))])
    composer = _Composer(_events(text, path))
    try:
        content = composer.document()
    except _Refused as refused:
        raise DocumentError(path, [refused.problem]) from None
    return Document(path, content, composer.lines, data)


def _events(text: str, path: Path) -> Iterator[yaml.Event]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        yield from yaml.parse(text, loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        if "alias" in what:
            what += ' (a glob that begins with * is quoted: "*")'
        raise DocumentError(path, [Problem(mark.line + 1 if mark else 0, "", what)]) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise DocumentError(path, [Problem(0, "", f"is not YAML: {error}")]) from error


class _Refused(Exception):  # noqa: N818 - caught a few lines above
    def __init__(self, event: yaml.Event, message: str, key: str = "") -> None:
        self.problem = Problem(_line(event), key, message)
        super().__init__(message)


def _forbidden(character: str) -> str:
    return f"holds a character that YAML forbids: {character.encode('unicode_escape').decode('ascii')}"


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


class _Composer:
    """Builds values from YAML's events, with the line of each."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._values = 0
        self.lines: dict[Path_, int] = {}

    def document(self) -> Value:
        """Return the one document of a stream; None where it is empty."""
        content: Value = None
        seen = False
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if seen:
                    raise _Refused(event, "holds a second YAML document")
                seen = True
                content = self._value(next(self._events), ())
        return content

    def _value(self, event: yaml.Event, path: Path_) -> Value:
        self.lines.setdefault(path, _line(event))
        self._values += 1
        if self._values > _MOST_VALUES:
            raise _Refused(event, f"holds more than {_MOST_VALUES} values")
        if len(path) > _DEEPEST:
            raise _Refused(event, "is nested too deeply")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _Refused(event, "anchors and aliases are not supported: write the value out", _name(path))
        if tag := getattr(event, "tag", None):
            raise _Refused(event, f"the tag {tag} is not supported", _name(path))
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        assert isinstance(event, yaml.ScalarEvent)
        text: str = event.value
        if found := _FORBIDDEN.search(text):  # a quoted scalar can contain it as an escape
            raise _Refused(event, _forbidden(found[0]), _name(path))
        return None if not event.style and text in _NULL else text

    def _list(self, path: Path_) -> list[Value]:
        items: list[Value] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            if len(items) == _MOST_ENTRIES:
                raise _Refused(event, f"holds more than {_MOST_ENTRIES} entries", _name(path))
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path_) -> dict[str, Value]:
        items: dict[str, Value] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise _Refused(event, "a key must be a string", _name(path))
            key = event.value
            if key in items:
                first = self.lines[(*path, key)]
                raise _Refused(event, f"appears twice, first in line {first}", _name((*path, key)))
            self.lines[(*path, key)] = _line(event)
            items[key] = self._value(next(self._events), (*path, key))
        return items


def _name(path: Path_) -> str:
    """Return the name of a value for errors: ``expires`` in ``waivers[3].expires``, ``objects.container``."""
    names = [part for part in path if isinstance(part, str)]
    return ".".join(names[1:] or names)
