"""Describe the paths that a run changes, as entries of its manifest."""

from __future__ import annotations

import base64
from typing import Any, Mapping, NamedTuple, Sequence

from . import files, records
from .files import State
from .planning import Change, digest


class Entry(NamedTuple):
    """A path in a manifest."""

    path: str
    before: State  # without content
    before_hash: str
    after: State  # the same
    after_hash: str
    rewritten: bool
    stored: str  # file in the backup folder that holds the content; "" if none was stored
    modified: int
    made: tuple[str, ...]  # folders that were created for it
    inode: int = 0  # inode, if only attributes change and other users could replace the file; else 0

    def present(self) -> State:
        """Return the present state of the path.

        Raises:
            Refused: it cannot be read.
        """
        return files.present(self.path, content=self.rewritten, inode=self.inode)

    @classmethod
    def load(cls, raw: Any) -> Entry:
        """Return a parsed entry of a manifest.

        Raises:
            ValueError: it is damaged.
        """
        records.entry(raw)
        before, after = raw["before"], raw["after"]
        return cls(
            raw["path"],
            load_state(before),
            before["sha256"],
            load_state(after),
            after["sha256"],
            raw["rewritten"],
            raw["stored"],
            raw["modified"],
            tuple(raw["made"]),
            raw.get("inode", 0),
        )


def entry_of(change: Change, stored: str, made: Sequence[str]) -> dict[str, Any]:
    """Return the entry of a change as JSON data.

    Args:
        change: the change, which is not made yet.
        stored: the file in the backup with the former content; empty if none is stored.
        made: folders that are created for it.
    """
    return {
        "path": change.path,
        "before": dump_state(change.before),
        "after": dump_state(change.after),
        "rewritten": change.rewrites,
        "stored": stored,
        "modified": files.modified(change.path),
        "made": list(made),
        "inode": 0 if change.rewrites else files.inode(change.path),
    }


def dump_state(state: State) -> dict[str, Any]:
    """Return a state without content as JSON data, with the hash of its content."""
    return {
        "kind": state.kind,
        "mode": f"{state.mode:04o}",
        "uid": state.uid,
        "gid": state.gid,
        "acl": base64.b64encode(state.acl).decode(),
        "sha256": digest(state.content),
    }


def load_state(raw: Mapping[str, Any]) -> State:
    """Return the state that ``dump_state`` described."""
    return State(raw["kind"], None, int(raw["mode"], 8), raw["uid"], raw["gid"], base64.b64decode(raw["acl"]))
