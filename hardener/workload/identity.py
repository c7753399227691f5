"""What a recording is of: where one of these axes moves, it says nothing of the container any more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hardener.errors import HardenerError
from hardener.text import line
from hardener.workload.recording import Recording

_SERIES = re.compile(r"\d{1,9}\.\d{1,9}")
_SHOWN = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis that moved."""

    name: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.name} was {_shown(self.before)} and is {_shown(self.after)}"


def axes(recording: Recording) -> dict[str, Any]:
    """The identity of what was recorded, by the name of each axis, as plain data."""
    container, host = recording.container, recording.host
    series = _SERIES.match(host.kernel)
    taken = container.model_dump(mode="json", exclude={"name", "image", "digest", "compose"})
    return {
        "image digest": container.digest,
        **{name.replace("_", " "): value for name, value in taken.items()},
        "architecture": host.architecture,
        "kernel series": series[0] if series else host.kernel,
        "engine version": host.engine,
        "runtime": f"{host.runtime.name} {host.runtime.version}",
        "user namespaces": host.userns_remap,
    }


def moved(before: Recording, after: Recording) -> tuple[Axis, ...]:
    """The axes on which two recordings differ."""
    old, new = axes(before), axes(after)
    return tuple(Axis(name=name, before=old[name], after=new[name]) for name in old if old[name] != new[name])


def require_one(recordings: Sequence[tuple[str, Recording]]) -> None:
    """Refuse recordings of different containers, each given with the name of its file.

    Raises:
        HardenerError: two differ; names the files and the axis.
    """
    first_name, first = recordings[0]
    for name, recording in recordings[1:]:
        if differences := moved(first, recording):
            more = f", and {len(differences) - 1} more differ" if len(differences) > 1 else ""
            raise HardenerError(
                f"{line(first_name)} and {line(name)} are not of the same container: {differences[0]}{more}",
                hint="make a profile of each",
            )


def _shown(value: Any) -> str:
    return line(str(value), _SHOWN) if value not in ("", [], {}, None) else "nothing"
