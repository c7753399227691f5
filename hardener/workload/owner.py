"""Find a user to replace root, if root was needed only to access the files of that user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from posixpath import dirname

from pydantic import Field

from hardener.workload.capabilities import OWNERSHIP, Need
from hardener.workload.filesystem import WriteSet, below, nearest_mount, paths_to_write
from hardener.workload.merging import Merged
from hardener.workload.recording import Owner
from hardener.workload.shapes import Part

_LASTING = frozenset({"bind", "volume"})


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
