"""Confirm a run over a new connection: check the host's health, and keep the changes."""

from __future__ import annotations

import re
import time
from typing import Any, Mapping

from ..contract import CHANGED, INTERRUPTED, UNCONFIRMED, UNKNOWN, WORKING
from . import departure, fencing, health, rollback, worker
from .backup import Store
from .errors import Failed, Refused
from .journal import Journal
from .locking import Busy, locked

_TOKEN = re.compile(r"[0-9a-f]{6,32}")
_PATIENCE = 5  # seconds; the caller repeats the call


def confirm(store: Store, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Confirm a run and return its outcome; if it has already ended, only return its outcome.

    Args:
        store: hardener's folder.
        arguments: ``token`` of the run; ``forgets``: a confirmed run leaves no folder of hardener behind.

    Returns:
        The run's record, its ``outcome``: ``changed`` (confirmed), or how it was rolled back (`rollback`);
        ``working`` while changes or a rollback are in progress; ``unknown`` if it has not begun, and is
        refused from now on, or if it is forgotten.

    Raises:
        Refused: that is no token, or hardener's folder cannot be made.
        Failed: the worker was killed, or could not write that the run is confirmed or withdrawn.
    """
    token = str(arguments.get("token", ""))
    if not _TOKEN.fullmatch(token):
        raise Refused(f"{token!r} is not the token of a run")
    if not store.exists:
        ours, _others = departure.strays(())
        if arguments.get("forgets") and not ours:  # a release that begins finds nothing to do
            return {"outcome": UNKNOWN}
        store.make()
    try:
        with locked(store.lock, patience=_PATIENCE):
            return _confirm(store, token)
    except Busy:
        return {"outcome": WORKING}


def _confirm(store: Store, token: str) -> dict[str, Any]:
    journal = Journal.find(store)
    if journal is not None and journal.run.endswith(f"-{token}"):
        name = f"confirm-{journal.run}"
        if journal.phase == UNCONFIRMED and journal.remaining > 0:
            done = worker.run(lambda: _check_health(store, journal), name=name)
        else:  # its worker was killed, or its time is over and the guard is late
            done = worker.run(lambda: rollback.finished(store, journal, journal.why_expired), name=name)
        return {**done, **store.record(journal.run), "run": journal.run}
    for run in store.runs():
        if run.endswith(f"-{token}"):
            return {"outcome": INTERRUPTED, **store.record(run), "run": run}
    try:
        fencing.withdraw(store, token)
    except OSError as error:
        why = rollback.reason_of(error)
        reason = f"the run has changed nothing, and may still begin, since it cannot be withdrawn: {why}"
        raise Failed(reason) from error
    return {"outcome": UNKNOWN}


def _check_health(store: Store, journal: Journal) -> dict[str, Any]:
    """Check the host's health once more; runs in a worker."""
    problems, notes = health.compare(journal.baseline, stopped=journal.stopped, away=journal.away)
    if problems:
        return rollback.finished(store, journal, "; ".join(problems))
    known = store.record(journal.run).get("notes", [])
    notes = [*known, *(note for note in notes if note not in known)]
    record = {"outcome": CHANGED, "confirmed": time.time(), "notes": notes}
    try:
        store.finish(journal.run, record)
        rollback.end(store, journal)
    except OSError as error:
        raise Failed(f"the run cannot be confirmed: {rollback.reason_of(error)}") from error
    whole = store.record(journal.run)
    return {**whole, "notes": [*notes, *departure.part(store, journal.parting)]}
