"""What was there before a run, and the journal of a run that is not over.

    /var/lib/hardener/              root only
        lock
        journal.json                only while a run is changing the host
        ownership.json              which keys of which files are ours
        backups/<run>/              the last ten
            manifest.json           every path touched: owner, mode, ACL, hash, or that it was absent
            files/0                 its content, where that was changed
            guard.pyz               only while the run is armed, or cannot be taken back yet: see `guard`
            journal.json            what its activations need to be undone, once the run is over
            result.json             how the run ended
        origins/                    older backups that alone tell what something was before any run
            left.json               path to hashes of what runs left there that are forgotten

Beside the journal, the record and every file that is rewritten lies room for it: see `host.reserve`.

The journal is on disk before the first change and moves to the backup once the run is confirmed: a run that
finds one knows that the run before it was killed, or waits for its confirmation; and from the manifest how to
take it back.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import re
import time
from calendar import timegm
from contextlib import contextmanager, suppress
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from ..contract import UNCONFIRMED
from ..host import atomic, descriptors
from ..host.atomic import Meddled
from ..host.descriptors import Untrusted
from . import files, system
from .errors import Refused
from .files import ABSENT, FILE, State
from .planning import Change, digest

KEPT = 10
# Why a folder stays that a run made: it is gone, in use, or something else has its name.
_NOT_OURS = (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EBUSY)
_LARGEST_RECORD = 1 << 28
_NAME = "%Y%m%dT%H%M%SZ"
_RUN = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6,32}")
_MORE = 16384  # bytes by which a journal or a record may still grow

# What a run is at.
CHANGING, ROLLING_BACK = "changing", "rolling back"


class Entry(NamedTuple):
    """One path of a manifest."""

    path: str
    before: State  # without content
    before_hash: str
    after: State  # the same
    after_hash: str
    rewritten: bool
    stored: str  # file below the backup that holds the content; "" where there was none to keep
    modified: int
    made: tuple[str, ...]  # folders that had to be made for it
    inode: int = 0  # what has the name, where its attributes alone change and others could exchange it

    def present(self) -> State:
        """What is there now.

        Raises:
            Refused: it cannot be read.
        """
        return files.present(self.path, content=self.rewritten, inode=self.inode)


class Store:
    """The folder that hardener keeps on a host."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.bookkeeping = os.path.join(folder, "ownership.json")
        self.journal_file = os.path.join(folder, "journal.json")
        self.lock = os.path.join(folder, "lock")

    @property
    def exists(self) -> bool:
        """Whether anything was ever changed on this host."""
        return os.path.isdir(self.folder)

    def make(self) -> None:
        """Make the folder, for root only.

        Raises:
            Refused: it belongs to somebody else.
        """
        try:
            atomic.make_folders(self.folder, 0o700)
            with descriptors.at(self.folder, follow=True) as place:
                if place.status.st_uid != os.geteuid():
                    raise Refused(
                        f"{self.folder} belongs to another user, who could change what is put back from it"
                    )
                atomic.set_attributes(place, atomic.Attributes(0o700))
        except OSError as error:
            raise Refused(f"{self.folder} cannot be made: {error.strerror}") from error

    @property
    def backups(self) -> str:
        """The folder of all backups."""
        return os.path.join(self.folder, "backups")

    def backup_folder(self, run: str) -> str:
        """Where a run's backup is."""
        return os.path.join(self.backups, run)

    def new_run(self, token: str = "") -> str:
        """A name for a run, later than all others of this host.

        Args:
            token: by what whoever asked for the run finds it, whether or not the answer reaches them.
        """
        name = time.strftime(_NAME, time.gmtime())
        newest = max(self.runs(), default="")[: len(name)]
        if newest >= name:  # the clock was set back, or it is the same second
            name = time.strftime(_NAME, time.gmtime(timegm(_parsed(newest)) + 1))
        return f"{name}-{token or os.urandom(4).hex()}"

    def runs(self) -> list[str]:
        """All runs that have a backup, the oldest first."""
        try:
            return sorted(filter(_RUN.fullmatch, descriptors.names(self.backups)))
        except FileNotFoundError:
            return []

    def record(self, run: str) -> dict[str, Any]:
        """How a run ended; empty where it left no record (a full disk), or is not over."""
        try:
            found: dict[str, Any] = read_json(self._record_file(run))
            return found
        except (OSError, ValueError):
            return {}

    def finish(self, run: str, record: Mapping[str, Any]) -> None:
        """Record how a run ends, before its journal goes: there is room for it on a full disk too.

        Raises:
            OSError: it cannot be written, and the run is not over.
        """
        write_json(self._record_file(run), {**self.record(run), **record})
        with suppress(OSError):  # what should be forgotten is for the next run
            self.prune(run)

    def _record_file(self, run: str) -> str:
        return os.path.join(self.backup_folder(run), "result.json")

    def set_aside(self, run: str, record: Mapping[str, Any]) -> None:
        """Set room aside for everything that taking a run back writes.

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
        """Give back the room that was set aside to take a run back."""
        paths = [self.journal_file, self._record_file(run)]
        with suppress(Refused):
            paths += [entry.path for entry in self.manifest(run) if entry.stored]
        for path in paths:
            files.release(path)

    def clear_up(self) -> None:
        """Give back the room of the last run where that failed at its end, while no run is unfinished."""
        for run in self.runs()[-1:]:
            self.release(run)

    def back_up(self, run: str, changes: Sequence[Change]) -> None:
        """Store what the changes will replace. Nothing of it is left where that fails."""
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
                entries.append(_dump(change, stored, missing))
            write_json(os.path.join(folder, "manifest.json"), {"run": run, "entries": entries})
            with descriptors.folder(os.path.dirname(folder)) as backups:
                os.fsync(backups)
        except BaseException:
            _forget(folder)
            raise

    def manifest(self, run: str) -> list[Entry]:
        """Every path a run was to touch, in its order.

        Raises:
            Refused: it is not there or damaged.
        """
        path = os.path.join(self.backup_folder(run), "manifest.json")
        try:
            return [_load(raw) for raw in read_json(path)["entries"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Refused(f"{path} cannot be read: {error}") from error

    def state_before(self, run: str, entry: Entry) -> State:
        """What was at a path, with its content."""
        if not entry.stored:
            return entry.before
        stored = os.path.join(self.backup_folder(run), entry.stored)
        return entry.before._replace(content=descriptors.content(stored, files.MAX_SIZE))

    def never_began(self, run: str) -> None:
        """Remove the journal and the backup of a run that changed nothing."""
        self.release(run)
        atomic.remove(self.journal_file)
        _forget(self.backup_folder(run))

    def prune(self, current: str) -> None:
        """Forget all backups but the newest ones, and those that alone tell what was there before any run."""
        from . import origin  # which knows what a run was about, and so imports this

        folder = self.backups
        others = sorted(name for name in descriptors.names(folder) if name != current)
        for name in others[: max(0, len(others) - (KEPT - 1))]:
            with suppress(Refused):  # one that cannot be read tells nothing
                origin.keep(self, name)
            _forget(os.path.join(folder, name))

    def restore(self, run: str, written: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """Put back everything a run changed.

        Args:
            run: the run.
            written: hashes of contents that are ours beside those of the manifest.

        Returns:
            Notes about paths that somebody else has changed since and that stay as they are; and why paths
            could not be put back.
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
        with suppress(OSError):  # a read-only file system, or a link of another user's: there can be none
            atomic.remove(files.temporary_name(entry.path))
        now = entry.present()
        then, note = self.goal(run, entry, now, written)
        if now != then:
            try:
                files.put(entry.path, now, then, reserved=True, inode=entry.inode)
            except (Untrusted, Meddled):  # whoever may do that again and again must not veto the rest
                then, note = now, f"{entry.path} was changed by somebody else meanwhile, and stays as it is"
        # Not only after it was written: the one who did that may have been killed before this.
        if entry.stored and digest(then.content) == entry.before_hash:
            with suppress(Untrusted, Meddled):
                files.set_modified(entry.path, entry.modified)
        for folder in reversed(entry.made):
            _remove_folder(folder)
        return [note] if note else []

    def goal(
        self, run: str, entry: Entry, now: State, written: Sequence[str], *, in_folder: bool = True
    ) -> tuple[State, str]:
        """What a path is to be once a run is taken back, and what of it stays by somebody else's hand.

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
                return now, f"{entry.path} was changed by somebody else meanwhile, and stays as it is"
            then = self.state_before(run, entry)
            if in_folder and then.exists and not now.exists and not files.has_folder(entry.path):
                return now, f"the folder of {entry.path} was removed by somebody else meanwhile"
        else:
            then = entry.before._replace(content=now.content) if now.exists else now
        if files.between(now, entry.before, entry.after) or not (now.exists and then.exists):
            return then, ""
        note = f"owner and mode of {entry.path} were changed by somebody else meanwhile, and stay as they are"
        return now._replace(content=then.content), note


class Journal:
    """The unfinished run: its phase, what has begun, and what the activations need to take it back."""

    def __init__(self, store: Store, raw: dict[str, Any]) -> None:
        self._store = store
        self._raw = raw

    @classmethod
    def begin(cls, store: Store, run: str, activations: Mapping[str, Any], *, who: str = "") -> Journal:
        """Write the journal of a run that is about to change the host."""
        raw = {"run": run, "who": who, "phase": CHANGING, "activations": dict(activations), "memory": {}}
        journal = cls(store, {**raw, "written": [], "picture": {}, "confirm_within": 0})
        journal.remember()
        return journal

    @classmethod
    def find(cls, store: Store) -> Journal | None:
        """The journal of a run that was killed or is not yet confirmed, None where there is none.

        Raises:
            Refused: it cannot be read.
        """
        return cls._load(store, store.journal_file)

    @classmethod
    def of(cls, store: Store, run: str) -> Journal | None:
        """The journal of a run that is over, None where it left none.

        Raises:
            Refused: it cannot be read.
        """
        return cls._load(store, os.path.join(store.backup_folder(run), "journal.json"))

    @classmethod
    def _load(cls, store: Store, path: str) -> Journal | None:
        try:
            return cls(store, read_json(path))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise Refused(f"{path} cannot be read: {error}") from error

    @property
    def run(self) -> str:
        """The run's name."""
        return str(self._raw["run"])

    @property
    def who(self) -> str:
        """Who began it, as they said."""
        return str(self._raw.get("who", ""))

    @property
    def phase(self) -> str:
        """What it is at."""
        return str(self._raw.get("phase", CHANGING))

    @property
    def activations(self) -> Mapping[str, Mapping[str, Any]]:
        """Settings of the run's activations."""
        found: Mapping[str, Mapping[str, Any]] = self._raw["activations"]
        return found

    @property
    def written(self) -> list[str]:
        """Hashes of contents that are ours beside those of the manifest."""
        found: list[str] = self._raw["written"]
        return found

    @property
    def picture(self) -> dict[str, Any]:
        """What the host did before the first change; see ``health``."""
        found: dict[str, Any] = self._raw.get("picture") or {}
        return found

    @property
    def look(self) -> dict[str, Any]:
        """What programs and connections worked before the first change; see ``liveness``."""
        found: dict[str, Any] = self._raw.get("look") or {}
        return found

    def undone(self, left: Sequence[str]) -> list[str]:
        """Names of the activations that were undone already, while just these paths were not put back yet.

        What was undone is not undone again with every try, such as an engine that restarts each time.
        """
        found = self._raw.get("undone") or {}
        return list(found["names"]) if found.get("left") == list(left) else []

    def note_undone(self, left: Sequence[str], names: Sequence[str]) -> None:
        """Keep that activations were undone, while these paths were not put back yet."""
        self.remember(undone={"left": list(left), "names": list(names)})

    @property
    def away(self) -> list[list[float]]:
        """From when until when the engine was away, in seconds since the epoch."""
        found: list[list[float]] = self._raw.get("away") or []
        return found

    @contextmanager
    def engine_away(self, longest: float) -> Iterator[None]:
        """Keep that the engine is away meanwhile.

        Args:
            longest: seconds for which it is believed should the worker be killed; 0 where it is not away.
        """
        if not longest:
            yield
            return
        before, begin = self.away, time.time()
        self.remember(away=[*before, [begin, begin + longest]])
        try:
            yield
        finally:
            self.remember(away=[*before, [begin, time.time()]])

    @property
    def stopped(self) -> bool:
        """Whether containers are stopped by it, as was allowed."""
        return bool(self._raw.get("stopped"))

    @property
    def parting(self) -> Mapping[str, Any]:
        """What goes from this host once the run stays; see ``departure``."""
        found: Mapping[str, Any] = self._raw.get("parting") or {}
        return found

    @property
    def confirm_within(self) -> float:
        """Seconds that its confirmation may take; 0 where nobody will confirm it."""
        return float(self._raw.get("confirm_within", 0))

    @property
    def remaining(self) -> float:
        """Seconds until it is to be taken back; not above 0 where that time has come.

        It is told on the clock that nobody can set, which begins anew with every boot.
        """
        limit = self._raw.get("limit") or {}
        if limit.get("boot") != system.boot():
            return 0
        return float(limit["at"]) - time.monotonic()

    @property
    def why_expired(self) -> str:
        """Why it is taken back when its time has come."""
        if self.phase == UNCONFIRMED:
            return f"not confirmed within {self.confirm_within:.0f} s"
        if self.phase == ROLLING_BACK:
            return str(self._raw.get("reason") or "it was interrupted")
        return "its worker was killed on the host, or hung"

    def remember(self, **what: Any) -> None:
        """Keep a fact about the run, on disk first: what only this process knows is undone by no other."""
        raw = {**self._raw, **what}
        write_json(self._store.journal_file, raw)
        self._raw = raw

    def enter(self, phase: str, *, seconds: float, **what: Any) -> None:
        """Begin a phase, which may take so long; then the guard takes the run back."""
        limit = {"boot": system.boot(), "at": time.monotonic() + seconds}
        self.remember(phase=phase, limit=limit, **what)

    def memory(self, activation: str) -> dict[str, Any] | None:
        """What an activation noted when it began; None where it has not begun."""
        found: dict[str, Any] | None = self._raw["memory"].get(activation)
        return found

    def note(self, activation: str, memory: Mapping[str, Any]) -> None:
        """Keep what an activation has to know to be undone, before it does something."""
        self.remember(memory={**self._raw["memory"], activation: dict(memory)})

    def will_write(self, content: bytes) -> None:
        """Keep the hash of a content that is about to be written beside the plan."""
        self.remember(written=[*self._raw["written"], digest(content)])

    def end(self) -> None:
        """The run is over: what its activations need to be undone goes to its backup."""
        folder = self._store.backup_folder(self.run)
        atomic.rename(self._store.journal_file, os.path.join(folder, "journal.json"))


def _given_away(now: State, entry: Entry) -> bool:
    """Whether a file belongs to a user who had nothing to do with it: what was in it is none of theirs."""
    owners = (entry.before.uid, entry.after.uid) if entry.before.exists else (entry.after.uid,)
    return now.exists and not descriptors.trusted(now.uid) and now.uid not in owners


def _remove_folder(path: str) -> None:
    """Remove a folder that a run made, unless it is gone, or others use it by now.

    Raises:
        OSError: it cannot be removed.
    """
    try:
        atomic.remove_folder(path)
    except (Untrusted, Meddled):
        return
    except OSError as error:
        if error.errno not in _NOT_OURS:
            raise


def _parsed(name: str) -> tuple[int, ...]:
    """The time in a run's name."""
    return tuple(int(name[start:end]) for start, end in ((0, 4), (4, 6), (6, 8), (9, 11), (11, 13), (13, 15)))


def read_json(path: str) -> Any:
    """Read a file of our own.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON.
    """
    return json.loads(descriptors.content(path, _LARGEST_RECORD))


def _forget(folder: str) -> None:
    """Remove a backup; what cannot be removed is forgotten another time."""
    with suppress(OSError):
        atomic.remove_tree(folder)


def write_json(path: str, data: object) -> None:
    """Replace a file of our own."""
    files.replace(path, files.own((json.dumps(data, indent=1) + "\n").encode()), reserved=True)


def _dump(change: Change, stored: str, made: Sequence[str]) -> dict[str, Any]:
    return {
        "path": change.path,
        "before": _dump_state(change.before),
        "after": _dump_state(change.after),
        "rewritten": change.rewrites,
        "stored": stored,
        "modified": files.modified(change.path),
        "made": list(made),
        "inode": 0 if change.rewrites else files.inode(change.path),
    }


def _dump_state(state: State) -> dict[str, Any]:
    return {
        "kind": state.kind,
        "mode": f"{state.mode:04o}",
        "uid": state.uid,
        "gid": state.gid,
        "acl": base64.b64encode(state.acl).decode(),
        "sha256": digest(state.content),
    }


def _load(raw: Mapping[str, Any]) -> Entry:
    before, after = raw["before"], raw["after"]
    return Entry(
        raw["path"],
        _load_state(before),
        before["sha256"],
        _load_state(after),
        after["sha256"],
        raw["rewritten"],
        raw["stored"],
        raw["modified"],
        tuple(raw["made"]),
        raw.get("inode", 0),
    )


def _load_state(raw: Mapping[str, Any]) -> State:
    return State(raw["kind"], None, int(raw["mode"], 8), raw["uid"], raw["gid"], base64.b64decode(raw["acl"]))
