"""Determine the needed capabilities with reasons, and whether another user would need none.

A check that the kernel granted is a need. Two kinds of need cause no check: a program with file capabilities
starts only with all of them, and a program that chooses among its capabilities fails if one is missing, used
or not. A program that sets all that it has anyway (setpriv) chooses none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from hardener.checks.lib.capability_sets import CAPABILITIES
from hardener.workload.merging import Merged, Seen
from hardener.workload.recording import Recording
from hardener.workload.shapes import Part

# Rights of root over files of other users: their owner needs no capability for the same.
OWNERSHIP = frozenset({"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID"})


class Need(Part):
    """The reason for a capability: a granted check, a file's capabilities, or a program that asks for it."""

    capability: str
    kind: Literal["check", "file", "capset"]
    program: str
    call: str = ""
    seen: Seen


def needs(merged: Merged) -> tuple[Need, ...]:
    """Return the needed capabilities that the recorded container had."""
    had = held(merged)
    return tuple(sorted(need for need in _needs(merged, had) if need.capability in had))


def _needs(merged: Merged, had: frozenset[str]) -> Iterator[Need]:
    for (name, call, program), seen in merged.capabilities.items():
        yield Need(capability=name, kind="check", call=call, program=program, seen=seen)
    declared: dict[tuple[str, Literal["file", "capset"], str], int] = {}
    for recording in merged.recordings:
        for key in set(_declared(recording, had)):
            declared[key] = declared.get(key, 0) + 1
    for (name, kind, program), count in declared.items():
        yield Need(capability=name, kind=kind, program=program, seen=Seen(seen_in=count))


def _declared(
    recording: Recording, had: frozenset[str]
) -> Iterator[tuple[str, Literal["file", "capset"], str]]:
    for file in recording.file_capabilities:
        for name in file.capabilities:
            yield name, "file", file.path
    for asked in recording.capset:
        names = {*asked.effective, *asked.permitted, *asked.inheritable}
        if not names >= had:
            for name in names:
                yield name, "capset", asked.program


def held(merged: Merged) -> frozenset[str]:
    """Return the capabilities that the recorded container could use: as observed, else as declared."""
    seen = frozenset(
        name for each in merged.recordings for identity in each.identities for name in identity.bounding
    )
    if seen:
        return seen
    container = merged.one.container
    every = frozenset(f"CAP_{name}" for name in CAPABILITIES)
    if container.privileged:
        return every
    added, dropped = named(container.capabilities_added), named(container.capabilities_dropped)
    begin = merged.granted.capabilities
    if "CAP_ALL" in added:
        return every - dropped
    return (frozenset() if "CAP_ALL" in dropped else frozenset(begin) - dropped) | added


def named(names: Iterable[str]) -> frozenset[str]:
    """Return capabilities in the kernel's form: ``chown``, ``CHOWN`` and ``CAP_CHOWN`` give ``CAP_CHOWN``."""
    return frozenset(f"CAP_{name.upper().removeprefix('CAP_')}" for name in names)
