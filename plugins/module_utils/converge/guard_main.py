"""Run the guard: the program of its timer and its boot unit, which repeats the rollback until it succeeds."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Iterator

from ..contract import UNCONFIRMED
from . import abandon, guard, rollback
from .backup import Store
from .journal import CHANGING, ROLLING_BACK, Journal
from .locking import Busy, locked

_LONGEST = 900  # seconds between two attempts, which double from guard.RETRY on
_LOOK = 5  # seconds until it notices that another process has ended the run
_PATIENCE = 5  # seconds for a confirmation or rollback that is in progress
_LONG = 300
_BOOTED = "the host was rebooted before the run was confirmed"


def main() -> None:
    """Parse the arguments (``expired``, ``boot`` or ``booted``, folder, run; or ``abandon``) and act."""
    if sys.argv[1:] == ["abandon"]:
        abandon.abandon(sys.argv[0])
        return
    if len(sys.argv) != 4:
        sys.exit(f"usage: {sys.argv[0]} abandon   (by root: no longer try to roll this run back)")
    occasion, folder, run = sys.argv[1:]
    store = Store(folder)
    if occasion == "boot":
        _boot(store, run)
    elif occasion == "booted":
        _booted(store, run)
    else:
        _expired(store, run)


def _expired(store: Store, run: str) -> None:
    """Wait until the time limit of the run's phase has passed; then roll back until that succeeds."""
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
            problems = _roll_back(store, journal)
        except Exception as error:  # whatever the error, it may be gone at the next attempt
            problems = [rollback.reason_of(error)]
        if problems:  # without problems, the journal tells whether the rollback is complete
            pause = next(pauses)
            way_out = guard.abandoning(store.backup_folder(run))
            said = f"run {run} cannot be rolled back yet, next try in {pause} s: {'; '.join(problems)}"
            print(f"{said}; to leave the host as it is: {way_out}", file=sys.stderr, flush=True)
            _wait(store, run, pause)


def _pauses() -> Iterator[int]:
    pause = guard.RETRY
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST)


def _wait(store: Store, run: str, seconds: float) -> None:
    """Wait for the next attempt, or until another process has ended the run."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(_LOOK, seconds))
        with suppress(Exception):  # an unreadable journal is left to the next attempt
            journal = Journal.find(store)
            if journal is None or journal.run != run:
                return


def _at_work(store: Store) -> bool:
    """Return whether a run's worker is alive and holds the lock; only such a worker gets more time."""
    try:
        with locked(store.lock, shared=True):
            return False
    except Busy:
        return True


def _roll_back(store: Store, journal: Journal) -> list[str]:
    """Roll a run back; return the reasons if it failed."""
    try:
        with locked(store.lock, patience=_PATIENCE):
            return _roll_back_locked(store, journal.run)
    except Busy:
        pass
    if journal.phase == CHANGING:
        guard.kill_worker(journal.run)  # its time is over, so it hangs
    with locked(store.lock, patience=_LONG):
        return _roll_back_locked(store, journal.run)


def _roll_back_locked(store: Store, run: str) -> list[str]:
    """Roll the run back under the lock, if it is still unfinished."""
    journal = Journal.find(store)
    if journal is None or journal.run != run or (journal.phase == UNCONFIRMED and journal.remaining > 0):
        return []
    problems: list[str] = rollback.finished(store, journal, journal.why_expired)["problems"]
    return problems


def _boot(store: Store, run: str) -> None:
    """Restore the files during boot, before services read them; the reboot has reset the kernel's state."""
    with locked(store.lock, patience=guard.BOOT_PATIENCE):
        journal = Journal.find(store)
        if journal is not None and journal.run == run:
            reason = journal.why_expired if journal.phase == ROLLING_BACK else _BOOTED
            problems = rollback.finished(store, journal, reason, boot=True)["problems"]
            if problems:
                print(f"run {run} cannot be rolled back yet: {'; '.join(problems)}", file=sys.stderr)
                return
        # This unit is removed, so systemd reloads all units: restored ones take effect now, and start only
        # after this one.
        guard.disarm(run, backup=store.backup_folder(run))


def _booted(store: Store, run: str) -> None:
    """Retry after boot a rollback that failed during boot, whatever the cause."""
    unfinished = True
    with suppress(Exception):  # an unreadable journal must not end it
        journal = Journal.find(store)
        unfinished = journal is not None and journal.run == run
    if unfinished:
        guard.retry(store.folder, run, store.backup_folder(run))
