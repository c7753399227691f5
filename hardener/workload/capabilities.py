"""Determine the needed capabilities with reasons, and whether another user would need none.

A check that the kernel granted is a need. Two kinds of need cause no check: a program with file capabilities
starts only with all of them, and a program that chooses among its capabilities fails if one is missing, used
or not. A program that sets all that it has anyway (setpriv) chooses none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from posixpath import dirname
from typing import Literal

from pydantic import Field

from hardener.checks.lib.capability_sets import CAPABILITIES
from hardener.workload.filesystem import WriteSet, below, nearest_mount, paths_to_write
from hardener.workload.merging import Merged, Seen
from hardener.workload.recording import Owner, Recording
from hardener.workload.shapes import Part

# Rights of root over files of other users: their owner needs no capability for the same.
OWNERSHIP = frozenset({"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID"})
_LASTING = frozenset({"bind", "volume"})


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


class User(Part):
    """A user to run as in place of root, who needs no capability."""

    uid: int
    gid: int
    paths: tuple[str, ...] = Field(description="the user's, for which root needed its capabilities")

    def __str__(self) -> str:
        return f"{self.uid}:{self.gid}"


def other_user(merged: Merged, needs: Iterable[Need], writes: WriteSet) -> User | None:
    """Return the one user whose files root accessed; None if there are several, or if root needs more.

    What is written is the user's already, or is in a folder that takes its place in memory, or everybody may
    write there. What root has made itself will be made by the user, and root's files in a volume can be given
    to the user: the folder around these counts.
    """
    kinds = {(need.capability, need.kind) for need in needs}
    identities = [each for one in merged.recordings for each in one.identities]
    if not kinds or not identities or writes.obstacles:
        return None
    if any(name not in OWNERSHIP or kind != "check" for name, kind in kinds):
        return None
    if any(each.uid != 0 or each.gid != 0 for each in identities):
        return None  # the program changes its user itself
    owners = {path: owner for one in merged.recordings for path, owner in one.files.owners.items()}
    theirs = {(owner.uid, owner.gid) for owner in owners.values() if owner.uid != 0}
    if len(theirs) != 1:
        return None
    uid, gid = theirs.pop()
    for path, _ in paths_to_write(merged):
        if any(below(path, folder.path) for folder in writes.folders):
            continue
        owner = owners.get(_decisive(path, merged, owners))
        if owner is None or not (owner.uid == uid or owner.mode & 0o002):
            return None
    paths = tuple(sorted(path for path, owner in owners.items() if owner.uid == uid))
    return User(uid=uid, gid=gid, paths=paths)


def _decisive(path: str, merged: Merged, owners: Mapping[str, Owner]) -> str:
    """Return the file or folder whose owner decides whether a path can be written."""
    roots = {mount.target.rstrip("/") for mount in merged.one.container.mounts}
    where = path if path in roots or (path in merged.written and path[-1] != "/") else dirname(path)
    while where not in {"/", *roots} and (where in merged.created or _can_be_given(where, merged, owners)):
        where = dirname(where)
    return where


def _can_be_given(path: str, merged: Merged, owners: Mapping[str, Owner]) -> bool:
    """Return whether a path is root's, and lies in a mount that lasts, so that another owner stays."""
    mount = nearest_mount(path, merged.one.container.mounts)
    return mount is not None and mount.kind in _LASTING and path in owners and owners[path].uid == 0
