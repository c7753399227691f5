"""What the guard's timer and its boot unit run: take back a run whose time is over."""

from __future__ import annotations

import sys
import time

from host_converge import guard, rollback
from host_converge.backup import CHANGING, UNCONFIRMED, Journal, Store
from host_converge.errors import Refused
from host_converge.locking import Busy, locked

_FAILED = "rollback_failed"
_TRIES = 3
_PAUSE = 20  # seconds between them
_PATIENCE = 5  # for whoever is just confirming, or taking it back already
_LONG = 300
_BOOTED = "the host was started anew before the run was confirmed"


def main() -> None:
    """``expired`` or ``boot``, hardener's folder, the run."""
    occasion, folder, run = sys.argv[1:4]
    store = Store(folder)
    if occasion == "boot":
        _boot(store, run)
    else:
        _expired(store, run)


def _expired(store: Store, run: str) -> None:
    """Wait until the run's time is over, which may have begun anew, and take it back."""
    tries = 0
    while True:
        journal = Journal.find(store)
        if journal is None or journal.run != run:
            guard.disarm(run, backup=store.backup_folder(run))
            return
        left = journal.remaining
        if left > 0 and (journal.phase == UNCONFIRMED or _at_work(store)):
            time.sleep(min(left + 0.1, 5))
            continue
        try:
            outcome = _take_back(store, journal)
        except (OSError, Refused) as error:
            print(f"run {run}: {error}", file=sys.stderr)
            outcome = _FAILED
        if outcome != _FAILED:
            continue  # the journal says whether that was all
        tries += 1
        if tries == _TRIES:
            sys.exit(f"run {run} cannot be taken back; the next run on this host tries again")
        time.sleep(_PAUSE)


def _at_work(store: Store) -> bool:
    """Whether a run's worker is alive, which holds the lock: one that was killed needs no more time."""
    try:
        with locked(store.lock, shared=True):
            return False
    except Busy:
        return True


def _take_back(store: Store, journal: Journal) -> str:
    try:
        with locked(store.lock, patience=_PATIENCE):
            return _held(store, journal.run)
    except Busy:
        pass
    if journal.phase == CHANGING:
        guard.kill_worker(journal.run)  # it had its time, and hangs
    with locked(store.lock, patience=_LONG):
        return _held(store, journal.run)


def _held(store: Store, run: str) -> str:
    """Take it back, if it is still there to be taken back now that nobody else can do anything."""
    journal = Journal.find(store)
    if journal is None or journal.run != run or (journal.phase == UNCONFIRMED and journal.remaining > 0):
        return "over"
    return str(rollback.finished(store, journal, journal.why_expired)["outcome"])


def _boot(store: Store, run: str) -> None:
    """Put the files back before anything reads them. What was loaded went with the old kernel, or goes."""
    with locked(store.lock, patience=_LONG):
        journal = Journal.find(store)
        if journal is not None and journal.run == run:
            rollback.finished(store, journal, _BOOTED, boot=True)
        # The unit that runs us goes, so systemd reads all of them again: those that were put back count from
        # now on, and they start only after us.
        guard.disarm(run, backup=store.backup_folder(run))
