"""Choose the source that counts the events of recorded containers: the best that works on this host."""

from __future__ import annotations

from typing import Callable, Iterable, Mapping

from ..host.errors import Absent, Failed, describe
from .bpftrace import Bpftrace
from .recorder import Recorder
from .source import Source


def choose(objects: Mapping[str, bytes], *, fetch_into: str, seconds: int) -> Source:
    """Return the first source that works: the BPF objects, or bpftrace.

    Args:
        objects: the BPF objects.
        fetch_into: a folder for tools that are fetched if the host has none; empty to fetch none.
        seconds: how long they are needed at most.

    Raises:
        Failed: none works.
    """
    refused: list[Exception] = []
    ways: tuple[Callable[[], Source], ...] = (
        lambda: Recorder(objects, fetch_into=fetch_into),
        lambda: Bpftrace(fetch_into=fetch_into, seconds=seconds),
    )
    for way in ways:
        try:
            source = way()
        except (Absent, Failed) as error:
            refused.append(error)
            continue
        source.instead = _reasons(refused)
        return source
    if all(isinstance(error, Absent) for error in refused):
        refused = refused[:1]  # one tool is enough
    raise Failed(_reasons(refused))


def _reasons(errors: Iterable[Exception]) -> str:
    return "; ".join(dict.fromkeys(map(describe, errors)))
