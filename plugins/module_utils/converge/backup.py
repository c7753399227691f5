"""Store the state before each run in hardener's folder on the host, and restore it.

    /var/lib/hardener/              root only
        lock
        journal.json                only while a run is changing the host, see ``journal.py``
        ownership.json              which keys of which files are ours
        number.json                 the highest number of a run that was here, see ``fencing.py``
        withdrawn.json              the last runs that must not begin, see ``fencing.py``
        backups/<run>/              the last runs, see ``pruning.py``
            manifest.json           every path touched: owner, mode, ACL, hash, or that it was absent
            files/0                 its former content, if that was changed
            guard.pyz               only while the run is armed, or its rollback has failed: see `guard`
            journal.json            what the undo of its activations needs, once the run is over
            result.json             how the run ended
        origins/                    older backups with original states that no other backup has
            left.json               path to hashes of what removed runs left there

Room is reserved for the journal, the record and every rewritten file: see `host.reserve`.
"""

from __future__ import annotations

import base64
import json
import os
import time
from calendar import timegm
from contextlib import suppress
from typing import Any, Mapping, NamedTuple, Sequence

from ..host import atomic, descriptors, layout
from ..host.atomic import Meddled
from ..host.descriptors import Untrusted
from . import files, records
from .errors import Refused
from .files import ABSENT, FILE, State
from .planning import Change, digest

_NAME = "%Y%m%dT%H%M%SZ"
_MORE = 16384  # bytes by which a journal or a record may still grow


class Store:
    """The folder of hardener on a host."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.bookkeeping = os.path.join(folder, "ownership.json")
        self.journal_file = os.path.join(folder, layout.JOURNAL)
        self.lock = os.path.join(folder, "lock")

    @property
    def exists(self) -> bool:
        """Return whether hardener's folder exists on this host."""
        return os.path.isdir(self.folder)

    def make(self) -> None:
        """Create the folder, for root only.

        Raises:
            Refused: it belongs to another user.
        """
        try:
            atomic.make_folders(self.folder, 0o700)
            with descriptors.at(self.folder, follow=True) as place:
                if place.status.st_uid != os.geteuid():
                    raise Refused(
                        f"{self.folder} belongs to another user, who could change what is restored from it"
                    )
                atomic.set_attributes(place, atomic.Attributes(0o700))
        except OSError as error:
            raise Refused(f"{self.folder} cannot be made: {error.strerror}") from error

    @property
    def backups(self) -> str:
        """Return the folder of all backups."""
        return os.path.join(self.folder, layout.BACKUPS)

    def backup_folder(self, run: str) -> str:
        """Return the backup folder of a run."""
        return os.path.join(self.backups, run)

    def new_run(self, token: str = "") -> str:
        """Return a name for a run that sorts after all others of this host.

        Args:
            token: identifies the run for the caller, even if the answer is lost.
        """
        name = time.strftime(_NAME, time.gmtime())
        newest = max(self.runs(), default="")[: len(name)]
        if newest >= name:  # the clock was set back, or both began in the same second
            name = time.strftime(_NAME, time.gmtime(timegm(_parsed(newest)) + 1))
        return f"{name}-{token or os.urandom(4).hex()}"

    def runs(self) -> list[str]:
        """Return all runs that have a backup, the oldest first."""
        try:
            return sorted(filter(layout.RUN.fullmatch, descriptors.names(self.backups)))
        except FileNotFoundError:
            return []

    def record(self, run: str) -> dict[str, Any]:
        """Return the record of a run's outcome; empty if there is none, or it cannot be read."""
        try:
            return records.outcome(records.read(self._record_file(run)))
        except (OSError, ValueError):
            return {}

    def finish(self, run: str, record: Mapping[str, Any]) -> None:
        """Write a run's record before its journal is removed; on a full disk, use the reserved room.

        Raises:
            OSError: it cannot be written, and the run is not over.
        """
        records.write(self._record_file(run), {**self.record(run), **record})

    def _record_file(self, run: str) -> str:
        return os.path.join(self.backup_folder(run), layout.OUTCOME)

    def set_aside(self, run: str, record: Mapping[str, Any]) -> None:
        """Reserve room for everything that a rollback writes.

        Args:
            run: the run, whose journal is there.
            record: how it will be recorded, as far as that is known.

        Raises:
            OSError: there is no room.
        """
        for entry in self.manifest(run):
            if entry.stored:
                stored = os.path.join(self.backup_folder(run), entry.stored)
                files.set_aside(entry.path, os.path.getsize(stored))
        files.set_aside(self.journal_file, os.path.getsize(self.journal_file) + _MORE)
        files.set_aside(self._record_file(run), len(json.dumps(record)) + _MORE)

    def release(self, run: str) -> None:
        """Free the room that was reserved for a rollback."""
        paths = [self.journal_file, self._record_file(run)]
        with suppress(Refused):
            paths += [entry.path for entry in self.manifest(run) if entry.stored]
        for path in paths:
            files.release(path)

    def clear_up(self) -> None:
        """Free the room that the last run still reserves; call it only if no run is unfinished."""
        for run in self.runs()[-1:]:
            self.release(run)

    def back_up(self, run: str, changes: Sequence[Change]) -> None:
        """Store everything that the changes will replace; if that fails, remove the incomplete backup."""
        folder = self.backup_folder(run)
        atomic.make_folders(os.path.dirname(folder), 0o700)
        atomic.make_folder(folder, 0o700)
        atomic.make_folder(os.path.join(folder, "files"), 0o700)
        try:
            made: set[str] = set()
            entries = []
            for number, change in enumerate(changes):
                stored = ""
                if change.rewrites and change.before.content is not None:
                    stored = f"files/{number}"
                    files.replace(os.path.join(folder, stored), files.own(change.before.content))
                missing = [path for path in files.missing_directories(change.path) if path not in made]
                made.update(missing)
                entries.append(entry_of(change, stored, missing))
            records.write(os.path.join(folder, "manifest.json"), {"run": run, "entries": entries})
            with descriptors.folder(os.path.dirname(folder)) as backups:
                os.fsync(backups)
        except BaseException:
            self.forget(run)
            raise

    def manifest(self, run: str) -> list[Entry]:
        """Return every path that a run was to change, in the order of the changes.

        Raises:
            Refused: it is not there or damaged.
        """
        path = os.path.join(self.backup_folder(run), "manifest.json")
        try:
            raw = records.fields(records.read(path), {"entries": list})
            return [Entry.load(entry) for entry in raw["entries"]]
        except (OSError, ValueError) as error:
            raise Refused(f"{path} cannot be read: {error}") from error

    def state_before(self, run: str, entry: Entry) -> State:
        """Return the state of a path before a run, with its content."""
        if not entry.stored:
            return entry.before
        stored = os.path.join(self.backup_folder(run), entry.stored)
        return entry.before._replace(content=descriptors.content(stored, files.MAX_SIZE))

    def never_began(self, run: str) -> None:
        """Remove the journal and the backup of a run that changed nothing."""
        self.release(run)
        atomic.remove(self.journal_file)
        self.forget(run)

    def forget(self, run: str) -> None:
        """Remove the backup of a run; files that cannot be removed stay until the next attempt."""
        with suppress(OSError):
            atomic.remove_tree(self.backup_folder(run))

    def restore(self, run: str, written: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """Restore everything that a run changed.

        Args:
            run: the run.
            written: hashes of contents that hardener wrote, beside those of the manifest.

        Returns:
            Notes about paths that were changed outside hardener since and stay as they are; and reasons why
            paths could not be restored.
        """
        notes, problems = [], {}
        for entry in reversed(self.manifest(run)):
            try:
                note = self._restore(run, entry, written)
            except (OSError, Refused) as error:
                problems[entry.path] = str(getattr(error, "strerror", None) or error)
            else:
                notes += note
        return notes, problems

    def _restore(self, run: str, entry: Entry, written: Sequence[str]) -> list[str]:
        with suppress(OSError):  # a read-only file system, or a symbolic link of another user
            atomic.remove(files.temporary_name(entry.path))
        now = entry.present()
        then, note = self.goal(run, entry, now, written)
        if now != then:
            try:
                files.put(entry.path, now, then, reserved=True, inode=entry.inode)
            # A user who can cause these errors repeatedly must not block the rest.
            except (Untrusted, Meddled):
                then, note = now, f"{entry.path} was changed by others meanwhile, and stays as it is"
        # Also after a write by an earlier process, which may have been killed before this line.
        if entry.stored and digest(then.content) == entry.before_hash:
            with suppress(Untrusted, Meddled):
                files.set_modified(entry.path, entry.modified)
        files.remove_folders(entry.made)
        return [note] if note else []

    def goal(
        self, run: str, entry: Entry, now: State, written: Sequence[str], *, in_folder: bool = True
    ) -> tuple[State, str]:
        """Return the state to which a rollback restores a path, and a note if others changed it meanwhile.

        Args:
            run: the run.
            entry: the path, in its manifest.
            now: what is there.
            written: hashes of contents that are ours beside those of the manifest.
            in_folder: a file that is gone comes back only where its folder is still there.
        """
        if entry.rewritten:
            ours = (entry.before_hash, entry.after_hash, *written)
            if now.kind not in (FILE, ABSENT) or digest(now.content) not in ours or _given_away(now, entry):
                return now, f"{entry.path} was changed by others meanwhile, and stays as it is"
            then = self.state_before(run, entry)
            if in_folder and then.exists and not now.exists and not files.has_folder(entry.path):
                return now, f"the folder of {entry.path} was removed by others meanwhile"
        else:
            then = entry.before._replace(content=now.content) if now.exists else now
        if files.between(now, entry.before, entry.after) or not (now.exists and then.exists):
            return then, ""
        note = f"owner and mode of {entry.path} were changed by others meanwhile, and stay as they are"
        return now._replace(content=then.content), note


def _given_away(now: State, entry: Entry) -> bool:
    """Return whether the file now belongs to another user, who must not get its former content."""
    owners = (entry.before.uid, entry.after.uid) if entry.before.exists else (entry.after.uid,)
    return now.exists and not descriptors.trusted(now.uid) and now.uid not in owners


def _parsed(name: str) -> tuple[int, ...]:
    """Return the time in a run's name."""
    return tuple(int(name[start:end]) for start, end in ((0, 4), (4, 6), (6, 8), (9, 11), (11, 13), (13, 15)))


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
