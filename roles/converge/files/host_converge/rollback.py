"""Take a run back: its files, what its activations did, and what the host did before."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from host_converge import activations, files, guard, health
from host_converge.activations.interface import Activation
from host_converge.backup import ROLLING_BACK, Journal, Store
from host_converge.errors import Failed, Refused
from host_converge.files import State
from host_converge.planning import Change

# Restarts of the engine, and containers that have to come back: whoever still works after that hangs.
LONG = 900


def finished(store: Store, journal: Journal, reason: str, *, boot: bool = False) -> dict[str, Any]:
    """Take a run back, and leave a record of that.

    Args:
        store: hardener's folder.
        journal: the run.
        reason: why.
        boot: this host starts, and nothing that the activations are about runs yet.

    Returns:
        ``outcome``: ``rolled_back``, or ``rollback_failed`` with ``problems``; ``reason`` and ``notes``.
    """
    outcome = roll_back(store, journal, reason, boot=boot)
    who = {"who": journal.who} if journal.who else {}
    store.finish(journal.run, {**outcome, **who, "ended": time.time()})
    return {**outcome, "run": journal.run}


def roll_back(store: Store, journal: Journal, reason: str, *, boot: bool = False) -> dict[str, Any]:
    """The same without a record."""
    with suppress(OSError):  # a full disk: what is to be put back needs no more room than was there
        journal.enter(ROLLING_BACK, seconds=LONG, reason=reason)
    notes, problems = store.restore(journal.run, journal.written)
    problems += _undo_at_boot(journal) if boot else _undo(journal)
    outcome = {"changed": True, "failed": True, "reason": reason, "notes": notes}
    if problems:  # the journal stays: the guard and the next run try again, at once if they like
        with suppress(OSError):
            journal.enter(ROLLING_BACK, seconds=0)
        return {**outcome, "outcome": "rollback_failed", "problems": problems}
    if journal.picture and not boot:
        problems = _missing(journal)
    end(store, journal)
    if problems:  # everything is back, and whoever tried again could do no more
        return {**outcome, "outcome": "rollback_failed", "problems": problems}
    return {**outcome, "outcome": "rolled_back"}


def _missing(journal: Journal) -> list[str]:
    """What the host does not do again, though everything is back."""
    try:
        health.revive(journal.picture)
        return health.compare(journal.picture, seconds=60)[0]
    except Exception as error:  # it is back all the same
        return [reason_of(error)]


def end(store: Store, journal: Journal) -> None:
    """The run is over, one way or the other."""
    journal.end()  # first: whoever still comes by the guard then finds nothing to do
    if journal.confirm_within:
        guard.disarm(journal.run, backup=store.backup_folder(journal.run))


def bind(activation: Activation, journal: Journal) -> None:
    """Let an activation write to the journal."""
    activation.save = lambda: journal.note(activation.name, activation.memory)
    activation.will_write = journal.will_write


def begun(journal: Journal) -> list[Activation]:
    """The activations that had begun, with their memories."""
    found = []
    for name, settings in journal.activations.items():
        memory = journal.memory(name)
        if memory is not None:
            activation = activations.KINDS[name](settings)
            activation.memory = memory
            bind(activation, journal)
            found.append(activation)
    return found


def _undo(journal: Journal) -> list[str]:
    problems: list[str] = []
    for activation in sorted(begun(journal), key=lambda each: not each.cuts_off):
        try:
            problems += activation.undo()
        except Exception as error:  # the others have to be undone all the same
            problems.append(reason_of(error))
    return problems


def _undo_at_boot(journal: Journal) -> list[str]:
    """What a restored file does not undo by itself while the host starts."""
    problems: list[str] = []
    for activation in begun(journal):
        try:
            problems += activation.undo_at_boot()
        except Exception as error:  # the others have to be undone all the same
            problems.append(reason_of(error))
    return problems


def states_before(store: Store, journal: Journal) -> dict[str, State]:
    """What the paths of a run will be once it is taken back."""
    found = {}
    for entry in store.manifest(journal.run):
        now = files.read(entry.path)
        found[entry.path], _ = store.goal(journal.run, entry, now, journal.written)
    return found


def taken_back(store: Store, journal: Journal) -> list[Change]:
    """What taking a run back will change."""
    found = []
    for entry in store.manifest(journal.run):
        now = files.read(entry.path, content=entry.rewritten)
        before, _ = store.goal(journal.run, entry, now, journal.written)
        if now != before and entry.path != store.bookkeeping:
            found.append(Change(entry.path, now, before, (f"interrupted run {journal.run}",)))
    return found


def reason_of(error: BaseException) -> str:
    """Why something failed, in a line."""
    if isinstance(error, (Failed, Refused)):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror}"
    return f"defect in hardener: {type(error).__name__}: {error}"
