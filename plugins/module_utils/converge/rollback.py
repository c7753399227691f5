"""Roll a run back: its files, its activations, and the services of the host."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Mapping, Sequence

from ..contract import PARTLY_ROLLED_BACK, ROLLBACK_FAILED, ROLLED_BACK
from ..host import steps
from . import activations, guard, health, liveness, start_trials
from .activations.interface import Activation
from .backup import Store
from .engine import Engine
from .errors import Failed, Refused
from .files import State
from .journal import ROLLING_BACK, Journal
from .planning import Change

# Restarts of the engine and returning containers take time; a longer rollback hangs.
LONG = 900


def finished(
    store: Store,
    journal: Journal,
    reason: str,
    *,
    boot: bool = False,
    record: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Roll a run back, and write its record.

    It can be repeated: what is restored already stays. The record is written before the journal is removed,
    so that a rollback that is killed in between is repeated and recorded again.

    Args:
        store: hardener's folder.
        journal: the run.
        reason: why.
        boot: called during boot, before any service of the activations runs.
        record: further data for the record.

    Returns:
        ``outcome``: ``rolled_back``; ``partly_rolled_back`` if later changes of others stay, which ``kept``
        names; ``rollback_failed`` if files or activations are not restored (``problems``), which the guard
        tries again. With it ``reason`` and ``notes``; and, although everything is restored, so that a retry
        would not help: ``lost``, programs and connections that still fail, and ``missing``, these and what
        the health check misses.
    """
    steps.begin("roll back")
    outcome = _rolled_back(store, journal, reason, boot=boot)
    who = {"who": journal.who} if journal.who else {}
    try:
        store.finish(journal.run, {**(record or {}), **who, **outcome, "ended": time.time()})
    except OSError as error:  # then the journal stays, so that the host reports no other outcome
        why = f"the record of the rollback cannot be written: {reason_of(error)}"
        outcome = _failed(store, journal, outcome, [why], boot=boot)
    if outcome["outcome"] != ROLLBACK_FAILED:
        end(store, journal)
    return {**outcome, "run": journal.run}


def _rolled_back(store: Store, journal: Journal, reason: str, *, boot: bool) -> dict[str, Any]:
    with suppress(OSError):  # a full disk: the restore needs no more room than was reserved
        journal.enter(ROLLING_BACK, seconds=LONG, reason=reason)
    try:
        kept, left = store.restore(journal.run, journal.written)
    except Refused as refused:  # the manifest cannot be read, which may be a temporary disk error
        kept, left = [], {"the backup": str(refused)}
    problems = [f"{path}: {why}" for path, why in left.items()] + _undo(journal, sorted(left), boot=boot)
    outcome = {"changed": True, "failed": True, "reason": reason, "kept": kept, "problems": [], "missing": []}
    if problems:
        return _failed(store, journal, outcome, problems, boot=boot)
    missing, more = _missing(journal) if journal.baseline and not boot else ([], [])
    lost = [] if boot else liveness.lost(liveness.Look.of(journal.look))
    notes = [*kept, *(f"everything is restored, but: {each}" for each in [*missing, *more, *lost])]
    ended = PARTLY_ROLLED_BACK if kept else ROLLED_BACK
    found = {**outcome, "outcome": ended, "notes": notes, "missing": [*missing, *lost]}
    return {**found, "lost": lost} if lost else found


def _failed(
    store: Store, journal: Journal, outcome: Mapping[str, Any], problems: Sequence[str], *, boot: bool
) -> dict[str, Any]:
    """Keep the journal of a failed rollback, so that the guard or the next run can retry at once."""
    with suppress(OSError):
        journal.enter(ROLLING_BACK, seconds=0)
    ways_out = [] if boot else [guard.insist(store.folder, journal.run, store.backup_folder(journal.run))]
    notes = [*outcome["kept"], *ways_out]
    return {
        **outcome,
        "outcome": ROLLBACK_FAILED,
        "problems": [*outcome["problems"], *problems],
        "notes": notes,
    }


def _missing(journal: Journal) -> tuple[list[str], list[str]]:
    """Start containers that have stopped; return problems and notes of the health check after a restore."""
    problems: list[str] = []
    notes: list[str] = []
    try:
        pictures = [*(each.baseline for each in begun(journal)), journal.baseline]
        for picture in {tuple(sorted(each["containers"])): each for each in pictures if each}.values():
            found, more = health.recover(picture, seconds=60, undone=journal.stopped, away=journal.away)
            problems += found
            notes += more
            if picture["engine"]:
                start_trials.clear(Engine(picture["engine"]))
    except Exception as error:  # the restore has succeeded all the same
        problems.append(reason_of(error))
    return list(dict.fromkeys(problems)), list(dict.fromkeys(notes))


def end(store: Store, journal: Journal) -> None:
    """End the run, whatever its outcome."""
    store.release(journal.run)
    journal.end()  # a guard that still starts finds nothing to do
    backup = store.backup_folder(journal.run)
    if guard.stored(backup):
        guard.disarm(journal.run, backup=backup)


def bind(activation: Activation, journal: Journal) -> None:
    """Connect an activation to the journal."""
    activation.save = lambda: journal.note(activation.name, activation.memory)
    activation.will_write = journal.will_write


def begun(journal: Journal) -> list[Activation]:
    """Return the activations that the run has begun, each with the data that it stored for its undo.

    Raises:
        Refused: another version of hardener has begun an activation that this one does not know.
    """
    found = []
    for name, settings in journal.activations.items():
        memory = journal.memory(name)
        if memory is not None and name not in activations.KINDS:
            raise Refused(f"run {journal.run} has begun {name}, which this version of hardener does not know")
        if memory is not None:
            activation = activations.KINDS[name](settings)
            activation.memory = memory
            bind(activation, journal)
            found.append(activation)
    return found


def _undo(journal: Journal, left: Sequence[str], *, boot: bool) -> list[str]:
    """Undo the activations that are not undone yet, first those that can interrupt the connection.

    Args:
        journal: the run.
        left: paths that could not be restored. An activation that was undone in that state is undone again
            once one of them is restored, and not before.
        boot: undo only what a restored file does not undo during boot.
    """
    done = journal.undone(left)
    problems: list[str] = []
    try:
        known = begun(journal)
    except Refused as refused:
        return [str(refused)]
    for activation in sorted(known, key=lambda each: not each.cuts_off):
        if activation.name in done:
            continue
        try:
            with journal.engine_away(activation.longest if activation.stops_engine and not boot else 0):
                found = activation.undo_at_boot() if boot else activation.undo()
        except Exception as error:  # the others have to be undone all the same
            found = [reason_of(error)]
        problems += found
        if not found:
            done.append(activation.name)
            with suppress(OSError):
                journal.note_undone(left, done)
    return problems


def remaining(store: Store, journal: Journal) -> list[str]:
    """Return what a rollback has not restored: paths, and effects of the run's activations."""
    found = []
    for entry in store.manifest(journal.run):
        try:
            now = entry.present()
            before, _kept = store.goal(journal.run, entry, now, journal.written)
        except (OSError, Refused) as error:
            found.append(f"{entry.path}: {reason_of(error)}")
        else:
            if now != before:
                found.append(f"{entry.path} is not what it was before the run")
    done = [] if found else journal.undone([])
    return found + [
        f"the activation {activation.name} was not undone"
        for activation in begun(journal)
        if activation.name not in done
    ]


def states_before(store: Store, journal: Journal) -> dict[str, State]:
    """Return the states of a run's paths after its rollback."""
    found = {}
    for entry in store.manifest(journal.run):
        now = entry.present()
        found[entry.path], _kept = store.goal(journal.run, entry, now, journal.written)
    return found


def changes_of_rollback(store: Store, journal: Journal) -> list[Change]:
    """Return the changes that the rollback of a run will make."""
    found = []
    for entry in store.manifest(journal.run):
        now = entry.present()
        before, _kept = store.goal(journal.run, entry, now, journal.written)
        if now != before and entry.path != store.bookkeeping:
            found.append(Change(entry.path, now, before, (f"interrupted run {journal.run}",)))
    return found


def reason_of(error: BaseException) -> str:
    """Return the reason of a failure in one line."""
    if isinstance(error, (Failed, Refused)):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror}"
    return f"defect in hardener: {type(error).__name__}: {error}"
