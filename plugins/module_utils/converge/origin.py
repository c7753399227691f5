"""Determine the state of each path before the first run that changed it, from the host's backups.

Every run stored what it replaced. The way back over several runs starts from the present state and asks each
run, newest first, for the state before it. If a path was changed outside hardener in between, that change
stays, and the path goes back no further.

The first run whose documents name something stores what it finds (`found`), also where it changes nothing:
what an accident or an attacker changes afterwards, and a later run repairs, is no original state.

Only the newest backups are kept for rollbacks. Older ones are kept in a separate folder if only they have the
original state of a path, a kernel setting, a unit or a group member, or the last state of a path that was
changed outside hardener; of all others, the hashes of what they left at each path. Nothing in that folder
grows with the number of runs: of each path it has at most these two states, and the hashes between them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

from ..contract import OVER
from ..host import atomic, layout
from . import activations, files, records
from .activations.interface import Activation
from .backup import Entry, Store, dump_state, load_state
from .errors import Refused
from .files import DIRECTORY, FILE, NOTHING, State
from .journal import Journal
from .planning import Plan
from .roleparts import belongs, role_of

_LEFT = "left.json"


class Origins(Store):
    """The backups of removed runs, kept because they alone have the original states of some paths.

    Args:
        store: hardener's folder on this host.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store.folder)
        self._above = os.path.join(store.folder, layout.ORIGINS)

    @property
    def backups(self) -> str:
        """Return the folder of the kept backups."""
        return self._above

    def left(self) -> dict[str, list[str]]:
        """Return, by path, the hashes of contents that removed runs wrote, in the order of the runs."""
        with suppress(OSError, ValueError):
            found = records.fields(records.read(os.path.join(self.backups, _LEFT)), {})
            records.each(found.values(), list, "list")
            return found
        return {}

    def note(self, left: Mapping[str, Sequence[str]]) -> None:
        """Store the hashes that ``left`` returns.

        Raises:
            OSError: it cannot be written.
        """
        atomic.make_folders(self.backups, 0o700)
        records.write(os.path.join(self.backups, _LEFT), left)


# What the first runs that named something found, also where they changed nothing: by ("path", path) owner
# and mode, or absence; by ("key", file, document, *keys) a value that others had set as wanted; by ("state",
# activation, subject) the state of a subject.
Found = Mapping["tuple[str, ...]", Any]


def found(store: Store) -> Found:
    """Return what the first runs have found; nothing if nothing is stored, or the file is damaged."""
    with suppress(OSError, ValueError, TypeError):
        return {tuple(key): value for key, value in records.read(os.path.join(store.folder, layout.FOUND))}
    return {}


def of(found: Found, *key: str) -> dict[str, Any]:
    """Return the entries below a key by its next part."""
    return {each[len(key)]: value for each, value in found.items() if each[: len(key)] == key}


def remember(store: Store, plan: Plan, chosen: Iterable[Activation]) -> None:
    """Store what no run has named before.

    Args:
        store: hardener's folder on this host, whose lock is held.
        plan: of the run, before any change.
        chosen: the activations of the run.

    Raises:
        OSError: it cannot be written.
    """
    known = found(store)
    present: dict[tuple[str, ...], Any] = {
        **{("path", path): dump_state(state) for path, state in plan.tightened().items()},
        **{("key", *key): value for key, value in plan.as_wanted.items()},
    }
    for each in chosen:
        states = each.found(of(known, "state", each.name))
        present.update({("state", each.name, subject): state for subject, state in states.items()})
    if not present.keys() - known.keys():
        return
    past = standing(store)[0]
    # An older version stored nothing: what it has changed is in its backups alone.
    changed = {("path", entry.path) for each in past for entry in each.entries}
    kinds = {subject.split()[0] for each in past for subject in _subjects(each) if subject[0] != "/"}
    old = {kind for kind in kinds if not of(known, "state", kind)}
    new = {key: value for key, value in present.items() if key not in changed and key[1] not in old}
    if new.keys() - known.keys():
        _write_found(store, {**new, **known})


def forget(store: Store, role: str, paths: Iterable[str]) -> None:
    """Forget what the first runs of a role have found, when the role is released.

    Args:
        store: hardener's folder on this host, whose lock is held.
        role: its name; empty for all.
        paths: the paths that the release has examined.

    Raises:
        OSError: it cannot be written.
    """
    known = found(store)
    gone = {("path", path) for path in paths}

    def stays(key: tuple[str, ...]) -> bool:
        if key[0] == "key":
            return not belongs(key[2], role)
        return key not in gone if key[0] == "path" else bool(role) and role != role_of(key[1], key[2])

    kept = {key: value for key, value in known.items() if stays(key)}
    if kept != known:
        _write_found(store, kept)


def _write_found(store: Store, what: Found) -> None:
    content = [[list(key), value] for key, value in sorted(what.items())]
    records.write(os.path.join(store.folder, layout.FOUND), content)


class Origin(NamedTuple):
    """A path that runs have changed.

    ``kept`` says what stays because it was changed outside hardener, ``modified`` when the former file was
    last written (0 if unknown), ``documents`` which documents changed it.
    """

    path: str
    now: State
    then: State
    kept: tuple[str, ...] = ()
    modified: int = 0
    documents: frozenset[str] = frozenset()

    @property
    def content_kept(self) -> bool:
        """Return whether the content stays because it was changed outside hardener."""
        return any(note.startswith(self.path) for note in self.kept)


class Past(NamedTuple):
    """A run whose changes still apply: its backup folder, journal and paths, and each path's documents.

    ``written`` are contents that removed runs left at its paths.
    """

    store: Store
    run: str
    journal: Journal
    entries: Sequence[Entry]
    documents: Mapping[str, frozenset[str]]
    written: Mapping[str, Sequence[str]]


Chosen = Callable[[Entry, "frozenset[str]"], bool]


def standing(store: Store, *, but: str = "") -> tuple[list[Past], list[str]]:
    """Return the runs whose changes still apply, oldest first, and those whose backup cannot be read.

    Args:
        store: hardener's folder on this host.
        but: a run that is rolled back first, and does not count.
    """
    found: list[Past] = []
    damaged: list[str] = []
    origins = Origins(store)
    nothing: dict[str, list[str]] = {}
    for place, written in ((origins, origins.left()), (store, nothing)):
        for run in place.runs():
            if run == but:
                continue
            try:
                past = _past(place, run, written)
            except Refused as refused:
                damaged.append(f"the changes of run {run} are unknown: {refused}")
                continue
            if past is not None and past.journal.parting.get("whole"):
                found.clear()  # after a release, earlier runs do not count
            elif past is not None:
                found.append(past)
    return found, damaged


def _past(store: Store, run: str, written: Mapping[str, Sequence[str]]) -> Past | None:
    record = store.record(run)
    journal = Journal.of(store, run)
    if record.get("outcome") in OVER or journal is None:
        return None
    return Past(store, run, journal, store.manifest(run), documents(record), written)


def documents(record: Mapping[str, object]) -> dict[str, frozenset[str]]:
    """Return the documents of each path that a run has changed, from its record; omit damaged entries."""
    changes = record.get("changes")
    return {
        str(change.get("path")): frozenset(map(str, change["documents"]))
        for change in (changes if isinstance(changes, list) else ())
        if isinstance(change, dict) and isinstance(change.get("documents"), list)
    }


def keep(store: Store, run: str) -> None:
    """Keep the original states that only this backup has, before the backup is removed.

    Raises:
        OSError: it cannot be kept.
        Refused: it cannot be read.
    """
    past = _past(store, run, {})
    if past is None:
        return
    origins = Origins(store)
    left = origins.left()
    earlier = _readable(origins, left)
    is_kept = run in _needed([*earlier, past], left)
    found: dict[str, set[str]] = {}  # what kept runs found at a path was left by removed runs
    for each in [*earlier, past] if is_kept else earlier:
        for entry in _contents(each):
            found.setdefault(entry.path, set()).add(entry.before_hash)
    for entry in _contents(past):
        before = found.get(entry.path, set()) - {entry.after_hash}
        left[entry.path] = [*filter(before.__contains__, left.get(entry.path, ())), entry.after_hash]
    origins.note(left)
    if is_kept:
        atomic.rename(store.backup_folder(run), origins.backup_folder(run))
        needed = _needed(_readable(origins, left), left)
        for each in earlier:
            if each.run not in needed:
                origins.forget(each.run)


def _readable(origins: Origins, left: Mapping[str, Sequence[str]]) -> list[Past]:
    """Return the kept runs, the oldest first, except those that cannot be read."""
    found = []
    for run in origins.runs():
        with suppress(Refused):
            past = _past(origins, run, left)
            found += [past] if past is not None else []
    return found


def _needed(runs: Sequence[Past], left: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Return the runs whose backups have a state to which a release can restore a path.

    These are the first run of each subject, and of each path the last run that found a content which
    hardener has not left there: earlier contents of that path stay away, whatever becomes of it.

    Args:
        runs: the oldest first.
        left: by path the hashes of contents that removed runs left.
    """
    subjects: set[str] = set()
    first: set[str] = set()
    ours: dict[str, set[str]] = {}
    changed: dict[str, str] = {}  # path to the last run that found it changed
    for past in runs:
        own = _subjects(past)
        if not own <= subjects:
            first.add(past.run)
        subjects |= own
        for entry in _contents(past):
            known = ours.get(entry.path)
            if known is not None and entry.before_hash not in known | set(left.get(entry.path, ())):
                changed[entry.path] = past.run
            ours[entry.path] = {entry.before_hash, entry.after_hash, *past.journal.written}
    return frozenset(first) | frozenset(changed.values())


def _contents(past: Past) -> list[Entry]:
    """Return the paths whose content a run has changed."""
    return [entry for entry in past.entries if entry.rewritten and entry.path != past.store.bookkeeping]


def _subjects(past: Past) -> frozenset[str]:
    """Return what a run changed: its paths, and the subjects of its activations."""
    found = {entry.path for entry in past.entries if entry.path != past.store.bookkeeping}
    for name, kind in activations.KINDS.items():
        memory = past.journal.memory(name) or {}
        found |= {f"{name} {subject}" for subject in kind.subjects(memory)}
    return frozenset(found)


def before(
    store: Store,
    runs: Iterable[Past],
    *,
    known: Mapping[str, State],
    chosen: Chosen | None = None,
) -> list[Origin]:
    """Return the states of paths before the first of the given runs.

    Args:
        store: hardener's folder on this host.
        runs: the runs, the oldest first.
        known: states of paths that will differ from the present ones by then.
        chosen: which entries go back; None for all.
    """
    found: dict[str, Origin] = {}
    first = _first(store)
    for past in reversed(list(runs)):
        for entry in reversed(past.entries):
            documents = past.documents.get(entry.path, frozenset())
            if entry.path == store.bookkeeping or not (chosen is None or chosen(entry, documents)):
                continue
            origin = found.get(entry.path)
            if origin is None:
                now = known.get(entry.path) or entry.present()
                origin = Origin(entry.path, now, now)
            last = entry.path not in found
            found[entry.path] = _back(past, entry, origin)._replace(documents=origin.documents | documents)
            if last and found[entry.path].kept:
                first.pop(entry.path, None)  # changed after the last run
    return [_owned_as(each, first[path]) if path in first else each for path, each in found.items()]


def _first(store: Store) -> dict[str, State]:
    """Return the owners and modes, or the absence, that the first runs have found, by path."""
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        return {path: load_state(state) for path, state in of(found(store), "path").items()}
    return {}


def _owned_as(origin: Origin, first: State) -> Origin:
    """Return an original state with the owner and mode that the first run has found."""
    if first == NOTHING and not origin.content_kept:
        return origin._replace(then=NOTHING)
    if origin.content_kept or origin.then.kind != first.kind:
        return origin
    then = origin.then._replace(mode=first.mode, uid=first.uid, gid=first.gid, acl=first.acl)
    return origin._replace(then=then, kept=())


def _back(past: Past, entry: Entry, origin: Origin) -> Origin:
    """Compute the original state of a path before a run from its original state before the next run."""
    if origin.content_kept:  # owner and mode may be hardener's nevertheless
        if not entry.before.exists or origin.now.kind not in (FILE, DIRECTORY):
            return origin
        entry = entry._replace(rewritten=False, stored="")
    if entry.rewritten and origin.now.content is None:  # a later run changed only its attributes
        content = files.present(entry.path).content
        origin = origin._replace(
            now=origin.now._replace(content=content), then=origin.then._replace(content=content)
        )
    written = [*past.journal.written, *past.written.get(entry.path, ())]
    try:
        then, note = past.store.goal(past.run, entry, origin.then, written, in_folder=False)
    except OSError:
        then, note = origin.then, f"{entry.path} stays as it is: its former content is lost with its backup"
    kept = (*origin.kept, note) if note and note not in origin.kept else origin.kept
    return origin._replace(then=then, kept=kept, modified=entry.modified if entry.stored else 0)
