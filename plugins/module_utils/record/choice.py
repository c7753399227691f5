"""Choose the source that counts the events of recorded containers: the best that works on this host."""

from __future__ import annotations

from typing import Callable, Iterable, Mapping

from ..host.errors import Absent, Failed, describe
from .auditlog import AuditLog
from .bpftrace import Bpftrace
from .recorder import Recorder
from .source import Source


def choose(objects: Mapping[str, bytes], *, fetch_into: str, seconds: int) -> Source:
    """Return the first source that works: the BPF objects, bpftrace, the audit log.

    The audit log shows least, and needs no tool. So it is used only where BPF programs cannot be attached,
    not where only a tool is absent that a person could install.

    Args:
        objects: the BPF objects.
        fetch_into: a folder for tools that are fetched if the host has none; empty to fetch none.
        seconds: how long they are needed at most.

    Raises:
        Failed: none works.
    """
    ways: tuple[Callable[[], Source], ...] = (
        lambda: Recorder(objects, fetch_into=fetch_into),
        lambda: Bpftrace(fetch_into=fetch_into, seconds=seconds),
    )
    refused: list[Exception] = []
    for way in (*ways, AuditLog):
        if way is AuditLog and any(isinstance(error, Absent) for error in refused):
            break
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
