"""What every path was before the first run that touched it, as far as the host's backups still tell.

Every run kept what it replaced. To go back over several of them is to start from what is there now and to ask
each run, the newest first, what the path was before it. Where somebody else has changed a path in between,
their change stays, and the path goes back no further.
"""

from __future__ import annotations

from typing import Callable, Iterable, Mapping, NamedTuple, Sequence

from ..contract import PARTLY_ROLLED_BACK, ROLLED_BACK
from . import files
from .backup import Entry, Journal, Store
from .errors import Refused
from .files import DIRECTORY, FILE, State

# Outcomes of runs that left nothing to take back.
OVER = frozenset({ROLLED_BACK, PARTLY_ROLLED_BACK})


class Origin(NamedTuple):
    """A path that runs have touched.

    ``kept`` says what stays by somebody else's hand, ``modified`` when the former file was last written (0
    where that is not known), ``documents`` who wanted it otherwise.
    """

    path: str
    now: State
    then: State
    kept: tuple[str, ...] = ()
    modified: int = 0
    documents: frozenset[str] = frozenset()

    @property
    def content_kept(self) -> bool:
        """Whether the content stays as somebody else has left it."""
        return any(note.startswith(self.path) for note in self.kept)


class Past(NamedTuple):
    """A run that stands: its journal, the paths it touched, and the documents that wanted each."""

    run: str
    journal: Journal
    entries: Sequence[Entry]
    documents: Mapping[str, frozenset[str]]


Chosen = Callable[[Entry, "frozenset[str]"], bool]


def standing(store: Store, *, but: str = "") -> tuple[list[Past], list[str]]:
    """The runs that stand, the oldest first, and those whose backup cannot be read.

    Args:
        store: hardener's folder on this host.
        but: a run that is taken back first, and counts no more.
    """
    found: list[Past] = []
    damaged: list[str] = []
    for run in store.runs():
        if run == but:
            continue
        try:
            record = store.record(run)
            journal = Journal.of(store, run)
            if record.get("outcome") in OVER or journal is None:
                continue
            if journal.parting.get("whole"):  # the host was given back, and what came before counts no more
                found.clear()
                continue
            found.append(Past(run, journal, store.manifest(run), _documents(record)))
        except Refused as refused:
            damaged.append(f"what run {run} has changed is not known any more: {refused}")
    return found, damaged


def _documents(record: Mapping[str, object]) -> dict[str, frozenset[str]]:
    changes = record.get("changes")
    return {
        str(change["path"]): frozenset(map(str, change.get("documents", ())))
        for change in (changes if isinstance(changes, list) else ())
    }


def before(
    store: Store,
    runs: Iterable[Past],
    *,
    known: Mapping[str, State],
    chosen: Chosen | None = None,
) -> list[Origin]:
    """What the paths of some runs were before the first of them.

    Args:
        store: hardener's folder on this host.
        runs: the runs, the oldest first.
        known: what paths will be before anything of this happens, where that is not what is there.
        chosen: which entries go back; None for all.
    """
    found: dict[str, Origin] = {}
    for past in reversed(list(runs)):
        for entry in reversed(past.entries):
            documents = past.documents.get(entry.path, frozenset())
            if entry.path == store.bookkeeping or not (chosen is None or chosen(entry, documents)):
                continue
            origin = found.get(entry.path)
            if origin is None:
                now = known.get(entry.path) or entry.present()
                origin = Origin(entry.path, now, now)
            found[entry.path] = _back(store, past, entry, origin)._replace(
                documents=origin.documents | documents
            )
    return list(found.values())


def _back(store: Store, past: Past, entry: Entry, origin: Origin) -> Origin:
    """A step further back."""
    if origin.content_kept:  # owner and mode may be ours all the same
        if not entry.before.exists or origin.now.kind not in (FILE, DIRECTORY):
            return origin
        entry = entry._replace(rewritten=False, stored="")
    if entry.rewritten and origin.now.content is None:  # a later run changed its attributes alone
        content = files.present(entry.path).content
        origin = origin._replace(
            now=origin.now._replace(content=content), then=origin.then._replace(content=content)
        )
    try:
        then, note = store.goal(past.run, entry, origin.then, past.journal.written, in_folder=False)
    except OSError:
        then, note = origin.then, f"{entry.path} stays as it is: what it was is lost with its backup"
    kept = (*origin.kept, note) if note and note not in origin.kept else origin.kept
    return origin._replace(then=then, kept=kept, modified=entry.modified if entry.stored else 0)
