"""What the guard's timer and its boot unit run: take back a run whose time is over, until that works."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Iterator

from ..contract import UNCONFIRMED
from . import abandon, guard, rollback
from .backup import CHANGING, Journal, Store
from .locking import Busy, locked

_FIRST, _LONGEST = 20, 900  # seconds between two tries, each time twice as many
_LOOK = 5  # seconds after which it sees that somebody else has ended the run
_PATIENCE = 5  # for whoever is just confirming, or taking it back already
_LONG = 300
_BOOTED = "the host was started anew before the run was confirmed"


def main() -> None:
    """``expired``, ``boot`` or ``booted``, hardener's folder, the run; or ``abandon``."""
    if sys.argv[1:] == ["abandon"]:
        abandon.abandon(sys.argv[0])
        return
    if len(sys.argv) != 4:
        sys.exit(f"usage: {sys.argv[0]} abandon   (by root: no longer try to take this run back)")
    occasion, folder, run = sys.argv[1:]
    store = Store(folder)
    if occasion == "boot":
        _boot(store, run)
    elif occasion == "booted":
        _booted(store, run)
    else:
        _expired(store, run)


def _expired(store: Store, run: str) -> None:
    """Wait until the run's time is over, which may have begun anew, and take it back; try until it is."""
    pauses = _pauses()
    while True:
        try:
            journal = Journal.find(store)
            if journal is None or journal.run != run:
                guard.disarm(run, backup=store.backup_folder(run))
                return
            left = journal.remaining
            if left > 0 and (journal.phase == UNCONFIRMED or _at_work(store)):
                time.sleep(min(left + 0.1, 5))
                continue
            problems = _take_back(store, journal)
        except Exception as error:  # whatever it is, it may be gone the next time
            problems = [rollback.reason_of(error)]
        if problems:  # without any the journal says whether that was all
            pause = next(pauses)
            way_out = guard.abandoning(store.backup_folder(run))
            said = f"run {run} cannot be taken back yet, next try in {pause} s: {'; '.join(problems)}"
            print(f"{said}; to leave it as it is: {way_out}", file=sys.stderr, flush=True)
            _wait(store, run, pause)


def _pauses() -> Iterator[int]:
    pause = _FIRST
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST)


def _wait(store: Store, run: str, seconds: float) -> None:
    """Wait for the next try, no longer than the run is unfinished."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(_LOOK, seconds))
        with suppress(Exception):  # a journal that cannot be read is for the next try
            journal = Journal.find(store)
            if journal is None or journal.run != run:
                return


def _at_work(store: Store) -> bool:
    """Whether a run's worker is alive, which holds the lock: one that was killed needs no more time."""
    try:
        with locked(store.lock, shared=True):
            return False
    except Busy:
        return True


def _take_back(store: Store, journal: Journal) -> list[str]:
    """Take a run back; why that did not work."""
    try:
        with locked(store.lock, patience=_PATIENCE):
            return _held(store, journal.run)
    except Busy:
        pass
    if journal.phase == CHANGING:
        guard.kill_worker(journal.run)  # it had its time, and hangs
    with locked(store.lock, patience=_LONG):
        return _held(store, journal.run)


def _held(store: Store, run: str) -> list[str]:
    """Take it back, if it is still there to be taken back now that nobody else can do anything."""
    journal = Journal.find(store)
    if journal is None or journal.run != run or (journal.phase == UNCONFIRMED and journal.remaining > 0):
        return []
    problems: list[str] = rollback.finished(store, journal, journal.why_expired)["problems"]
    return problems


def _boot(store: Store, run: str) -> None:
    """Put the files back before anything reads them. What was loaded went with the old kernel, or goes."""
    with locked(store.lock, patience=_LONG):
        journal = Journal.find(store)
        if journal is not None and journal.run == run:
            problems = rollback.finished(store, journal, _BOOTED, boot=True)["problems"]
            if problems:
                print(f"run {run} cannot be taken back yet: {'; '.join(problems)}", file=sys.stderr)
                return
        # The unit that runs us goes, so systemd reads all of them again: those that were put back count from
        # now on, and they start only after us.
        guard.disarm(run, backup=store.backup_folder(run))


def _booted(store: Store, run: str) -> None:
    """Have what could not be taken back while the host started tried again, whatever the cause."""
    unfinished = True
    with suppress(Exception):  # a journal that cannot be read is no end
        journal = Journal.find(store)
        unfinished = journal is not None and journal.run == run
    if unfinished:
        guard.retry(store.folder, run, store.backup_folder(run))
