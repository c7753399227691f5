"""The identity of a recorded container: if one axis changes, the recording no longer applies to it.

An identity is plain data: the name of each axis → its value. Recordings have one, and so have the containers
of a snapshot (observed.py); all are compared by ``difference``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hardener.errors import HardenerError
from hardener.text import line, visible

if TYPE_CHECKING:
    from hardener.workload.container import Container, Host
    from hardener.workload.recording import Recording

# Axes that all containers of a host share, except those with another runtime.
OF_HOST = ("architecture", "kernel series", "engine version", "runtime", "user namespaces")
# Axes that decide what a trial of the container without its profile shows.
_RIGHTS = frozenset(
    {
        *("architecture", "image digest", "user", "privileged", "read only"),
        *("security options", "capabilities added", "capabilities dropped"),
    }
)

_ORDERED = frozenset({"entrypoint", "command"})  # lists whose order matters
_SERIES = re.compile(r"\d{1,9}\.\d{1,9}")
_SHOWN = 120
_NOTHING = "nothing"

Identity = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A property of an identity (axis) that changed, with both values."""

    name: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.name} was {_shown(self.before)} and is {_shown(self.after)}"

    @property
    def texts(self) -> tuple[str, str]:
        """Return the values before and after as text; of a set only the differences."""
        old, new = self.before, self.after
        if self.name in _ORDERED or not isinstance(old, list | dict) or not isinstance(new, type(old)):
            return _text(old), _text(new)
        gone, come = (_elements(each) for each in (old, new))
        if gone.keys() == come.keys():  # only the order or the number of repetitions differs
            return _text(old), _text(new)
        return _joined(gone, come), _joined(come, gone)


def axes(recording: Recording) -> dict[str, Any]:
    """Return the identity of the recorded container."""
    return recorded(recording.container, recording.host)


def recorded(container: Container, host: Host) -> dict[str, Any]:
    """Return the identity that a recording contains, or a profile made from recordings."""
    taken = container.model_dump(mode="json", exclude={"name", "image", "digest", "compose"})
    return {
        "image digest": container.digest,
        **{name.replace("_", " "): value for name, value in taken.items()},
        "architecture": host.architecture,
        "kernel series": kernel_series(host.kernel),
        "engine version": host.engine,
        "runtime": f"{host.runtime.name} {host.runtime.version}".rstrip(),
        "user namespaces": host.userns_remap,
    }


def kernel_series(release: str) -> str:
    """Return the part of a kernel release that can change its behaviour: 6.12 of 6.12.57+deb13-amd64."""
    series = _SERIES.match(release)
    return series[0] if series else release


def difference(before: Identity, after: Identity) -> tuple[Axis, ...]:
    """Return the axes on which two identities differ, in order; omit axes that one of them lacks."""
    return tuple(
        Axis(name=name, before=before[name], after=after[name])
        for name in before
        if name in after and _plain(name, before[name]) != _plain(name, after[name])
    )


def moved_rights(before: Identity, after: Identity) -> tuple[Axis, ...]:
    """Return the axes of another program or other rights, on which a proof and its profile must agree."""
    return tuple(axis for axis in difference(before, after) if axis.name in _RIGHTS)


def require_one(recordings: Sequence[tuple[str, Recording]]) -> None:
    """Refuse recordings of different containers, each given with the name of its file.

    Raises:
        HardenerError: two differ; names the files and the axis.
    """
    first_name, first = recordings[0]
    for name, recording in recordings[1:]:
        if differences := difference(axes(first), axes(recording)):
            more = f", and {len(differences) - 1} more differ" if len(differences) > 1 else ""
            raise HardenerError(
                f"{line(first_name)} and {line(name)} are not of the same container: {differences[0]}{more}",
                hint="make a profile for each; before you record again, take out an applied profile",
            )


def _plain(name: str, value: Any) -> str:
    """Normalise a value, so that equal values have equal forms."""
    if isinstance(value, list | tuple) and name not in _ORDERED:
        value = sorted(_json(_inert(each)) for each in value)
    return _json(_inert(value))


def _inert(value: Any) -> Any:
    """Escape invisible characters of a value, which comes from the host."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list | tuple):
        return [_inert(each) for each in value]
    return {_inert(key): _inert(each) for key, each in value.items()} if isinstance(value, dict) else value


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _elements(value: Any) -> dict[str, str]:
    """Return the elements of a set or a table: for each, the text to compare and the text to show."""
    if isinstance(value, dict):
        return {_json([key, each]): f"{key}={each}" for key, each in sorted(value.items())}
    return {_json(each): _element(each) for each in value}


def _element(value: Any) -> str:
    match value:
        case {"kind": kind, "target": target, "read_only": read_only}:
            return f"{kind} {target}{' read-only' if read_only else ''}"
        case {"container_port": port, "protocol": protocol}:
            return f"{port}/{protocol}"
    return str(value)


def _joined(elements: Mapping[str, str], others: Iterable[str]) -> str:
    return ", ".join(elements[key] for key in sorted(elements.keys() - set(others))) or _NOTHING


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(map(_element, value)) or _NOTHING
    return str(value) if value not in ("", {}, None) else _NOTHING


def _shown(value: Any) -> str:
    return line(str(value), _SHOWN) if value not in ("", [], {}, None) else _NOTHING
