"""Find the facts that a check reads from two snapshots of a host and that differ, and changed containers.

The check runs again on each snapshot, wrapped so that every value that it reads is noted: a mode, a key of
the daemon's configuration, the names of the containers.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hardener.checks import all_checks
from hardener.checks.lib.containers import Container, containers
from hardener.checks.lib.filters import MALFORMED, has_own_profile
from hardener.snapshot import FactAbsent, FactUnavailable, Snapshot
from hardener.workload.identity import OF_HOST, Axis, difference
from hardener.workload.observed import identity, place

_Path = tuple[str, ...]
_Notes = dict[_Path, Any]

_ABSENT = "absent"
_PRESENT = "present"
_NAMES = ("Name", "name", "path", "file", "mount_point", "Id", "id")  # identify the objects of a list
# Times of a scan, which differ every night, and of the last start.
_WHEN = frozenset({"scanned_at", "evaluated_at", "date", "since", "ExecMainStartTimestampMonotonic"})
_SETTING = {"value", "origin"}  # of the daemon, as a snapshot has them
_COUNTS = frozenset({"handle", "packets", "bytes"})
_COUNTED = re.compile(r"^#.*\n|(?<![ ])[ ]*\[\d+:\d+\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ChangedFact:
    """A fact before and after, as text: ``files /etc/docker/daemon.json mode``, ``0644``, ``0666``."""

    name: str
    before: str
    after: str


def changed_facts(slug: str, before: Snapshot, after: Snapshot) -> tuple[ChangedFact, ...]:
    """Return the facts that the check of a control reads and that differ, in reading order."""
    earlier, later = _read(slug, before), _read(slug, after)
    moved: dict[_Path, ChangedFact] = {}
    for path in (*later, *(path for path in earlier if path not in later)):
        # A fact that only one of the two runs read may be the same in the other snapshot.
        old = earlier[path] if path in earlier else _look_up(before, path)
        new = later[path] if path in later else _look_up(after, path)
        # Everything below an added or removed object has changed with it.
        if old != new and not any(path[:length] in moved for length in range(1, len(path))):
            moved[path] = _change_text(path, old, new)
    return tuple(moved.values())


def lacks_sources(slug: str, snapshot: Snapshot) -> bool:
    """Return whether the check of a control asks for a source that was not collected."""
    asked = {source for source, *_ in _read(slug, snapshot)}
    return not asked <= {*snapshot.raw["sources"], "policy"}


def _read(slug: str, snapshot: Snapshot) -> _Notes:
    """Return the facts that the check of a control reads from a snapshot."""
    traced = _Traced(snapshot.raw)
    with suppress(Exception):  # the verdict has the result
        all_checks()[slug](traced)
    return traced.notes


def _change_text(path: _Path, old: Any, new: Any) -> ChangedFact:
    name = " ".join(path)
    if isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
        old, new = frozenset(old.splitlines()), frozenset(new.splitlines())
    if isinstance(old, frozenset) and isinstance(new, frozenset):  # only the differences of long lists
        return ChangedFact(name, _text(old - new), _text(new - old))
    return ChangedFact(name, _text(old), _text(new))


def _text(value: Any) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _look_up(snapshot: Snapshot, path: _Path) -> Any:
    """Return the value in a snapshot at a path that the check read in the other snapshot."""
    traced = _Traced(snapshot.raw)
    source, *keys = path
    try:
        value = traced.policy if source == "policy" else traced.fact(source)
        for key in keys:
            value = value.named(key) if isinstance(value, _List) else value[key]
    except (FactUnavailable, LookupError, TypeError, AttributeError):
        return _ABSENT
    return _note(value)


class _Traced(Snapshot):
    """A snapshot that records the values that a check reads."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        super().__init__(raw)
        self.notes: _Notes = {}

    @property
    def policy(self) -> Mapping[str, Any]:
        return _wrap(super().policy, ("policy",), self.notes)  # type: ignore[no-any-return]

    def fact(self, source: str) -> Any:
        try:
            fact = _wrap(super().fact(source), (source,), self.notes)
        except FactAbsent:
            self.notes[source,] = _ABSENT
            raise
        except FactUnavailable as missing:
            self.notes[source,] = f"not readable: {missing.reason}"
            raise
        self.notes[source,] = _note(fact)
        return fact


class _Dict(dict[str, Any]):
    """A dict that records which of its values are read."""

    def __init__(self, value: Mapping[str, Any], path: _Path, notes: _Notes) -> None:
        super().__init__(value)
        self._path = path
        self._notes = notes

    def __getitem__(self, key: str) -> Any:
        return self._take(key, super().__getitem__(key))

    def get(self, key: str, default: Any = None) -> Any:
        if key in self:
            return self[key]
        self._notes[*self._path, str(key)] = _ABSENT
        return default

    def values(self) -> Any:
        return [self[key] for key in self]

    def items(self) -> Any:
        return [(key, self[key]) for key in self]

    def _take(self, key: str, value: Any) -> Any:
        if key in _WHEN:
            return value
        path = (*self._path, str(key))
        taken = _wrap(value, path, self._notes)
        self._notes[path] = _note(taken)
        return taken


class _List(list[Any]):
    """A list that records its content when it is read; its objects are identified by name."""

    def __init__(self, value: list[Any], path: _Path, notes: _Notes) -> None:
        self._names = [_name(each) for each in value]
        super().__init__(
            _wrap(each, (*path, name), notes) if isinstance(each, dict) else each
            for each, name in zip(value, self._names, strict=True)
        )

    def members(self) -> frozenset[str]:
        """Return the names of the objects in the list, or its values if they are not objects."""
        return frozenset(self._names)

    def named(self, name: str) -> Any:
        """Return the object with a name."""
        if name not in self._names:
            raise LookupError(name)
        return self[self._names.index(name)]


def _wrap(value: Any, path: _Path, notes: _Notes) -> Any:
    if isinstance(value, dict):
        return _Dict(value, path, notes)
    return _List(value, path, notes) if isinstance(value, list) else value


def _note(value: Any) -> Any:
    """Return the recorded form of a value: presence of an object, value and origin of a setting."""
    if isinstance(value, _List):
        return value.members()
    if isinstance(value, str):
        return _uncounted(value)
    if isinstance(value, dict):
        if value.keys() != _SETTING:
            return _PRESENT
        return f"{_text(dict.get(value, 'value'))} ({dict.get(value, 'origin')})"
    return _ABSENT if value is None else value


def _uncounted(value: Any) -> Any:
    """Remove counters and the time from a list of packet filter rules."""
    if isinstance(value, str):
        return _COUNTED.sub("", value) if "\n" in value else value
    if isinstance(value, dict):
        return {key: _uncounted(each) for key, each in value.items() if key not in _COUNTS}
    return [_uncounted(each) for each in value] if isinstance(value, list) else value


def _name(value: Any) -> str:
    """Return the name by which an element of a list is identified."""
    if not isinstance(value, dict):
        return str(value)
    inner = value["inspect"] if isinstance(value.get("inspect"), dict) else value
    found = [str(inner[key]) for key in _NAMES if inner.get(key)]
    tags = inner.get("RepoTags")
    if isinstance(tags, list) and tags:
        found.insert(0, str(tags[0]))
    if found:
        return found[0].lstrip("/")
    return json.dumps(_uncounted(inner), sort_keys=True)


_OPTIONS = "security options"
_SECCOMP = "seccomp=sha256:"


@dataclass(frozen=True, slots=True)
class ContainerChange:
    """A change of the identity of one container, or the same change in all containers of a host.

    ``container`` is its name, empty if the same axes changed for all containers of the host. ``profiled``
    names the containers that still have their earlier own seccomp profile: it was made for the earlier
    identity.
    """

    container: str
    axes: tuple[Axis, ...]
    profiled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Pair:
    name: str
    axes: tuple[Axis, ...]
    profiled: bool


def container_changes(before: Snapshot, after: Snapshot) -> tuple[ContainerChange, ...]:
    """Return the changes of identity of the containers that are in both snapshots of a host, by name."""
    pairs = sorted(_pairs(before, after), key=lambda pair: pair.name)
    common = _of_all(pairs)
    profiled = tuple(pair.name for pair in pairs if pair.profiled)
    found = [ContainerChange("", common, profiled)] if common else []
    for pair in pairs:
        own = tuple(axis for axis in pair.axes if axis not in common)
        if own:
            found.append(ContainerChange(pair.name, own, (pair.name,) if pair.profiled else ()))
    return tuple(found)


def _of_all(pairs: list[_Pair]) -> tuple[Axis, ...]:
    """Return the axes that changed in the same way for all containers of the host."""
    if not pairs:
        return ()
    return tuple(
        axis
        for axis in pairs[0].axes
        if axis.name in OF_HOST and all(axis in pair.axes for pair in pairs[1:])
    )


def _pairs(before: Snapshot, after: Snapshot) -> Iterator[_Pair]:
    earlier, later = _placed(before), _placed(after)
    for key in earlier.keys() & later.keys():
        # Malformed data of an engine are an error of the controls that read them.
        with suppress(FactUnavailable, *MALFORMED):
            old, new = identity(earlier[key]), identity(later[key])
            yield _Pair(
                name=later[key].name,
                axes=difference(old, new),
                profiled=has_own_profile(later[key]) and _profile(old) == _profile(new),
            )


def _profile(axes: Mapping[str, Any]) -> list[str]:
    return [option for option in axes[_OPTIONS] if option.startswith(_SECCOMP)]


def _placed(snapshot: Snapshot) -> dict[tuple[str, ...], Container]:
    """Index the containers of a host by service and number, or by name if these are not unique."""
    found: list[tuple[tuple[str, ...], Container]] = []
    with suppress(FactUnavailable, *MALFORMED):
        for container in containers(snapshot):
            with suppress(FactUnavailable, *MALFORMED):
                found.append((place(container), container))
    many = Counter(key for key, _ in found)
    return {key if many[key] == 1 else ("name", each.name): each for key, each in found}
