"""Compute the state of each path after a release, from backups and bookkeeping; changes nothing."""

from __future__ import annotations

import grp
from typing import Mapping, NamedTuple, Sequence

from . import departure, files, jsonkeys, origin
from .backup import Entry, Store
from .errors import Refused
from .files import FILE, NOTHING, State
from .origin import Origin, Past
from .planning import Bookkeeping, Reader
from .roleparts import REMAP, belongs, remap_record


class Paths(NamedTuple):
    """The states of paths after a release (``wanted``), and notes about paths that are not restored.

    ``kept`` stays because it was changed outside hardener, ``left`` for another reason. ``known`` are all
    paths that were examined, ``folders`` those that runs created, ``documents`` those that were in force.
    """

    wanted: Mapping[str, State]
    kept: Sequence[str]
    left: Sequence[str]
    known: frozenset[str]
    folders: frozenset[str]
    documents: frozenset[str]
    modified: Mapping[str, int]
    bookkeeping: Bookkeeping
    configurations: Sequence[str]  # JSON files with keys of hardener, before the release


def paths(
    store: Store,
    runs: Sequence[Past],
    role: str,
    *,
    even_unsafe: bool,
    known: Mapping[str, State],
    read: Reader,
) -> Paths:
    """Compute the states of the paths that hardener has changed.

    Args:
        store: hardener's folder on this host.
        runs: those that stand, the oldest first.
        role: whose documents are released; empty for all.
        even_unsafe: give back owners and modes by which others than root can write, too.
        known: what paths will be before anything of this happens, where that is not what is there.
        read: sees them so.
    """
    book = Bookkeeping(read(store.bookkeeping).content)
    remap = remap_record(book.files)

    def chosen(_entry: Entry, documents: frozenset[str]) -> bool:
        if role and not any(belongs(name, role) for name in documents):
            return False
        return not (remap and documents and all(belongs(name, REMAP) for name in documents))

    origins = {each.path: each for each in origin.before(store, runs, known=known, chosen=chosen)}
    wanted = {path: _former(each) for path, each in origins.items() if path not in book.files}
    kept = [note for path, each in origins.items() if path in wanted for note in each.kept]
    configurations = list(book.files)
    seen = frozenset({*origins, *configurations})
    documents = frozenset(name for each in origins.values() for name in each.documents if belongs(name, role))
    for path in configurations:
        owners = [name for name in book.files[path]["documents"] if belongs(name, role)]
        documents |= frozenset(owners)
        if owners or path in origins:
            given = _Keys(book, path, owners, origins.get(path), whole=not role).back(read, remap=bool(remap))
            kept += given.kept
            if given.state is not None:
                wanted[path] = given.state
    if not role:
        book.files.clear()
        book.in_force.clear()
    left = []
    if remap and role in ("", REMAP):
        left.append(
            f"userns-remap stays in {remap}, and its ranges in /etc/subuid and /etc/subgid: without it the"
            " engine would no longer see its containers, images and volumes; move them, then remove the key"
        )
    if not even_unsafe:
        for path, state in wanted.items():
            now = read(path, content=False)
            if state.exists and now.exists and (opened := _writers(state) - _writers(now)):
                wanted[path] = state._replace(mode=now.mode, uid=now.uid, gid=now.gid, acl=now.acl)
                left.append(
                    f"owner and mode of {path} stay as they are: before hardener {', '.join(sorted(opened))}"
                    " could write there; `hardener release --even-unsafe` gives that back"
                )
    changing = {path: state for path, state in wanted.items() if _differs(path, state, origins, read)}
    return Paths(
        changing,
        list(dict.fromkeys(kept)),
        left,
        seen,
        frozenset(
            folder
            for past in runs
            for entry in past.entries
            if entry.path in origins
            for folder in entry.made
        ),
        documents,
        {path: each.modified for path, each in origins.items() if each.modified and path in changing},
        book,
        configurations,
    )


def _writers(state: State) -> frozenset[str]:
    """Return who may write, apart from root; the group that may use the engine is not meant."""
    try:
        trusted = f"gid {grp.getgrnam('docker').gr_gid}"
    except KeyError:
        trusted = ""
    return files.writers(state) - {trusted}


def _differs(path: str, state: State, origins: Mapping[str, Origin], read: Reader) -> bool:
    if path in origins and origins[path].now == state:
        return False
    return state != read(path, content=state.content is not None)


def _former(each: Origin) -> State:
    """Return the former state of a path; absent if that is an earlier version of hardener's own file."""
    then = each.then
    if each.kept or not then.exists:
        return then
    if departure.is_own(each.path) or ("hardener" in each.path and departure.is_marked(then.content)):
        return NOTHING
    return then


class _Given(NamedTuple):
    state: State | None
    kept: Sequence[str]


class _Keys:
    """The keys of a JSON file that documents have set."""

    def __init__(
        self, book: Bookkeeping, path: str, owners: Sequence[str], before: Origin | None, *, whole: bool
    ) -> None:
        self._book = book
        self._path = path
        self._owners = owners
        self._before = before
        self._whole = whole

    def back(self, read: Reader, *, remap: bool) -> _Given:
        """Return the file without hardener's keys, or the original file if nothing else has changed in it."""
        path, before = self._path, self._before
        try:
            now = read(path)
            present = jsonkeys.parse(now.content or b"", path)
            if now.kind not in (FILE, NOTHING.kind):
                raise Refused(f"{path} is no longer a file")
        except Refused as refused:
            return _Given(None, [f"{refused}: it stays as it is"])
        merged, kept = present, []
        for document in self._owners:
            if remap and belongs(document, REMAP):
                continue
            records = self._book.records(path, document)
            kept += [
                f"{path}: {'.'.join(record.path)} was changed by others meanwhile, and stays so"
                for record in records
                if not jsonkeys.is_ours(merged, record)
            ]
            merged, _records = jsonkeys.merge(merged, records, jsonkeys.Wish({}))
            self._book.keep(path, document, [])
        created = self._book.files.get(path, {}).get("created", False)
        exact = before is not None and not before.content_kept and self._is_former_file(before.then, merged)
        if exact and before is not None:
            state = before.then
        elif not merged and created:
            state = NOTHING
        elif jsonkeys.same(present, merged):
            state = now
        else:
            state = now._replace(content=jsonkeys.render(merged, now.content))
        if not state.exists:
            self._book.files.pop(path, None)
        elif before is not None and before.then.exists and self._attributes(before):
            then = before.then
            state = state._replace(mode=then.mode, uid=then.uid, gid=then.gid, acl=then.acl)
            kept += [note for note in before.kept if note.startswith("owner and mode of")]
        else:
            state = (
                state._replace(mode=now.mode, uid=now.uid, gid=now.gid, acl=now.acl) if now.exists else state
            )
        return _Given(state, kept)

    def _is_former_file(self, then: State, merged: Mapping[str, object]) -> bool:
        """Return whether a JSON object has the same content as the former file."""
        if not then.exists:
            return not merged
        if then.content is None:
            return False
        try:
            return jsonkeys.same(jsonkeys.parse(then.content, self._path), merged)
        except Refused:
            return False

    def _attributes(self, before: Origin) -> bool:
        """Return whether to restore owner and mode: in a full release, or if a released document set them."""
        return self._whole or not before.documents <= set(self._owners)
