"""Find a user to replace root, if root was needed only to access the files of that user."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hardener.workload.capabilities import OWNERSHIP, Need
from hardener.workload.filesystem import WriteSet, below, paths_to_write
from hardener.workload.merging import Merged


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user to run as, who needs no capability.

    Args:
        uid: its number.
        gid: that of its group.
        paths: files and folders that are this user's, for which root needed its capabilities.
    """

    uid: int
    gid: int
    paths: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.uid}:{self.gid}"


def other_user(merged: Merged, needs: Iterable[Need], writes: WriteSet) -> User | None:
    """Return the one user whose files root accessed; None if there are several, or if root needs more.

    What is written is the user's already, or is in a folder that takes its place in memory, or everybody may
    write there.
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
        where = path if path in merged.written and path[-1] != "/" else path.rpartition("/")[0] or "/"
        owner = owners.get(where)
        if owner is None or not (owner.uid == uid or owner.mode & 0o002):
            return None
    paths = tuple(sorted(path for path, owner in owners.items() if owner.uid == uid))
    return User(uid=uid, gid=gid, paths=paths)
