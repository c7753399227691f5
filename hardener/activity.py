"""Read a host's answer about denials and events. The host may be compromised: malformed data are refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hardener.errors import HardenerError
from hardener.text import line, scalar

SEVERITIES = ("high", "medium", "low")

_MAX_ENTRIES = 5000
_MAX_SENTENCES = 100
_MAX_EXAMPLES = 10
_LAST_SECOND = 253402300799.0  # in the year 9999


@dataclass(frozen=True, slots=True)
class ActivityEntry:
    """The events of one kind in one container. The texts are untrusted and not yet safe to show."""

    container: str  # id of the container; empty where it is unknown
    name: str
    image: str
    source: str  # "apparmor", "selinux", "seccomp", "docker"
    kind: str
    verdict: str
    category: str
    severity: str
    attributed_by: str
    count: int
    first: datetime
    last: datetime
    targets: tuple[str, ...]
    commands: tuple[str, ...]
    unusual: bool | None  # None where there is no baseline

    @property
    def alarming(self) -> bool:
        """Return whether the entry needs attention: new for its image, or severe and without a baseline."""
        return self.unusual is True or (self.unusual is None and self.severity == "high")


@dataclass(frozen=True, slots=True)
class Window:
    """The denials and events that a host observed in a period.

    ``lost`` counts lost observations by reason; ``deaf`` describes sources that could not be read, ``blind``
    events that cannot be observed there; ``elsewhere`` counts denials of processes outside containers.
    """

    began: datetime
    ended: datetime
    entries: tuple[ActivityEntry, ...]
    lost: Mapping[str, int]
    deaf: tuple[str, ...]
    blind: tuple[str, ...]
    elsewhere: int

    @property
    def alarming(self) -> tuple[ActivityEntry, ...]:
        """Return the entries that need attention."""
        return tuple(entry for entry in self.entries if entry.alarming)

    @property
    def complete(self) -> bool:
        """Return whether no observation was lost, and every source could be read."""
        return not self.deaf and not any(self.lost.values())


@dataclass(frozen=True, slots=True)
class HostActivity:
    """The observations of a host: those of the current period, and those of its resident collector.

    ``record_problem`` is the problem of that collector or its record; empty without one.
    """

    host: str
    now: Window
    before: Window | None = None
    record_problem: str = field(default="")

    @property
    def windows(self) -> tuple[Window, ...]:
        """Return the collector's observations, if any, and those of the current period."""
        return (self.now,) if self.before is None else (self.before, self.now)

    @property
    def complete(self) -> bool:
        """Return whether both periods are complete, and the collector has no problem."""
        return not self.record_problem and all(window.complete for window in self.windows)


def read(host: str, answer: Mapping[str, Any]) -> HostActivity:
    """Parse the answer of a host about denials and events.

    Raises:
        HardenerError: it is malformed.
    """
    try:
        record = answer.get("record")
        return HostActivity(
            host,
            _window(answer),
            None if record is None else _window(_mapping(record)),
            line(_text(answer.get("record_problem", ""))),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise HardenerError(
            f"the answer about denials is malformed: {line(str(error) or type(error).__name__)}",
            hint="check hardener's collector on the host",
        ) from error


def _window(data: Mapping[str, Any]) -> Window:
    entries = _sequence(data["entries"], _MAX_ENTRIES)
    lost = _mapping(data["lost"])
    if len(lost) > _MAX_SENTENCES:
        raise ValueError(f"`lost` has more than {_MAX_SENTENCES} kinds of losses")
    return Window(
        began=_time(data["began"]),
        ended=_time(data["ended"]),
        entries=tuple(_entry(_mapping(each)) for each in entries),
        lost={_text(name): _count(number) for name, number in lost.items() if number is not None},
        deaf=tuple(_text(each) for each in _sequence(data["deaf"], _MAX_SENTENCES)),
        blind=tuple(_text(each) for each in _sequence(data["blind"], _MAX_SENTENCES)),
        elsewhere=_count(data["elsewhere"]),
    )


def _entry(data: Mapping[str, Any]) -> ActivityEntry:
    severity, unusual = _text(data["severity"]), data["unusual"]
    if severity not in SEVERITIES:
        raise ValueError(f"{severity[:40]!r} is not a severity")
    if unusual is not None and not isinstance(unusual, bool):
        raise ValueError("unusual is neither true, false nor null")
    return ActivityEntry(
        container=_text(data["container"]),
        name=_text(data["name"]),
        image=_text(data["image"]),
        source=_text(data["source"]),
        kind=_text(data["kind"]),
        verdict=_text(data["verdict"]),
        category=_text(data["class"]),
        severity=severity,
        attributed_by=_text(data["attributed_by"]),
        count=_count(data["count"]),
        first=_time(data["first"]),
        last=_time(data["last"]),
        targets=tuple(map(_text, _sequence(data["targets"], _MAX_EXAMPLES))),
        commands=tuple(map(_text, _sequence(data["commands"], _MAX_EXAMPLES))),
        unusual=unusual,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object, got {type(value).__name__}")
    return value


def _sequence(value: Any, limit: int) -> Sequence[Any]:
    if not isinstance(value, list) or len(value) > limit:
        raise TypeError(f"expected a list of at most {limit} entries")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {type(value).__name__}")
    return scalar(value, 1000)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("expected a whole number from 0 up")
    return value


def _time(value: Any) -> datetime:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError("expected a time in seconds since 1970")
    if not 0 <= value <= _LAST_SECOND:
        raise ValueError(f"a time is not within 0 to {_LAST_SECOND} seconds since 1970")
    return datetime.fromtimestamp(value, UTC)
