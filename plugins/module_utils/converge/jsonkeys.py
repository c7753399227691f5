"""Set some keys of a JSON file; leave all other keys unchanged.

Each value that hardener sets is recorded with the former value: a key that is no longer wanted returns to it,
and a key that others set (or changed since) stays. Objects are merged key by key at all levels, except those
that a document claims as a whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .errors import Refused

_MISSING = object()


class Record(NamedTuple):
    """A value that hardener set, and the former one (``had`` tells whether there was one)."""

    path: tuple[str, ...]
    value: Any
    had: bool
    former: Any

    @classmethod
    def load(cls, raw: Mapping[str, Any]) -> Record:
        """Read a record that ``dump`` wrote."""
        return cls(tuple(raw["path"]), raw["value"], "former" in raw, raw.get("former"))

    def dump(self) -> dict[str, Any]:
        """Return the record as JSON data."""
        data = {"path": list(self.path), "value": self.value}
        return {**data, "former": self.former} if self.had else data


class Wish(NamedTuple):
    """The keys that a document sets in a JSON file, and how they are merged.

    ``keys`` are always set. ``defaults`` are set only if they are not set otherwise. ``whole`` names the keys
    whose object is replaced and not merged.
    """

    keys: Mapping[str, Any]
    defaults: Mapping[str, Any] = {}
    whole: Iterable[str] = ()


def parse(content: bytes, path: str) -> dict[str, Any]:
    """Parse a JSON object strictly; an empty file is an empty object.

    Raises:
        Refused: it is not JSON, no object, or has a key twice (people read the first one, programs the last).
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise Refused(f"{path}: the key {_shown(key)} appears twice; remove one")
            found[key] = value
        return found

    def constant(name: str) -> None:
        raise Refused(f"{path} is not JSON: {name} is not a JSON value")

    if not content.strip():
        return {}
    try:
        parsed = json.loads(content.decode("utf-8-sig"), object_pairs_hook=unique, parse_constant=constant)
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is not JSON: not UTF-8 at byte {error.start}") from error
    except ValueError as error:
        raise Refused(f"{path} is not JSON: {error}") from error
    except RecursionError as error:
        raise Refused(f"{path} cannot be read: it is nested too deeply") from error
    if not isinstance(parsed, dict):
        raise Refused(f"{path} is not a JSON object")
    return parsed


def render(data: Mapping[str, Any], previous: bytes | None) -> bytes:
    """Return the JSON text, with the indentation of the former text."""
    found = re.search(rb"\n([ \t]+)\"", previous or b"")
    indent: str | int = found.group(1).decode() if found else 2
    text = json.dumps(data, indent=indent, ensure_ascii=False) + "\n"
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate: valid in JSON, not in UTF-8
        return (json.dumps(data, indent=indent) + "\n").encode()


def merge(
    current: Mapping[str, Any], records: Iterable[Record], wish: Wish
) -> tuple[dict[str, Any], list[Record]]:
    """Merge a document's keys into a copy of an object; return the copy with the new records.

    First, every value that the document set before and no longer wants is undone; then the wanted ones are
    set. So a key can move between merged, whole, default and unwanted from one run to the next.

    Raises:
        Refused: something that is no object stands where keys are to be merged.
    """
    result: dict[str, Any] = _copy(current)
    wanted = dict(leaves(wish.keys, frozenset(wish.whole)))
    offered = {
        path: value
        for path, value in leaves(wish.defaults)
        if not any(path[:length] in wanted for length in range(1, len(path) + 1))
    }
    owned: dict[tuple[str, ...], Record] = {}
    for record in records:
        if record.path in wanted or record.path in offered:
            owned[record.path] = record
        elif same(get(result, record.path), record.value):
            _set_or_remove(result, record.path, record.former if record.had else _MISSING)
    kept = []
    for path, value in wanted.items():
        present = get(result, path)
        if path in owned:
            kept.append(owned[path]._replace(value=value))
        elif same(present, value):
            continue  # another author wants the same value: it stays theirs
        elif present is _MISSING:
            kept.append(Record(path, value, had=False, former=None))
        else:
            kept.append(Record(path, value, had=True, former=present))
        _set_or_remove(result, path, value)
    for path, value in offered.items():
        present = get(result, path)
        ours = path in owned and same(present, owned[path].value)
        if ours or present is _MISSING:
            kept.append(Record(path, value, had=False, former=None))
            _set_or_remove(result, path, value)
    return result, kept


def is_ours(data: Mapping[str, Any], record: Record) -> bool:
    """Return whether the present value is the one that hardener set, or the value before that."""
    present = get(data, record.path)
    return same(present, record.value) or same(present, record.former if record.had else _MISSING)


def same(one: object, other: object) -> bool:
    """Return whether two JSON values are equal; ``true``, ``1`` and ``1.0`` are not."""
    if one is _MISSING or other is _MISSING:
        return one is other
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def leaves(
    data: Mapping[str, Any], whole: frozenset[str] = frozenset(), above: tuple[str, ...] = ()
) -> Iterable[tuple[tuple[str, ...], Any]]:
    """Yield every leaf value with its path; the object of a top-level key in ``whole`` counts as a value."""
    for key, value in data.items():
        if isinstance(value, Mapping) and value and (above or key not in whole):
            yield from leaves(value, above=(*above, key))
        else:
            yield (*above, key), value


def get(data: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Return the value at a path; if there is none, a marker that no value equals."""
    here: Any = data
    for key in path:
        if not isinstance(here, Mapping) or key not in here:
            return _MISSING
        here = here[key]
    return here


def _set_or_remove(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set a value and create the objects above it; or remove it, with objects that become empty."""
    chain = [data]
    for key in path[:-1]:
        following = chain[-1].setdefault(key, {})
        if not isinstance(following, dict):
            raise Refused(f"the key {_shown(key)} is {_shown(json.dumps(following))}; an object is needed")
        chain.append(following)
    if value is not _MISSING:
        chain[-1][path[-1]] = _copy(value)
        return
    chain[-1].pop(path[-1], None)
    for depth in range(len(chain) - 1, 0, -1):
        if not chain[depth]:
            del chain[depth - 1][path[depth - 1]]


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _shown(text: str) -> str:
    return json.dumps(text if len(text) <= 80 else text[:80] + "…")
