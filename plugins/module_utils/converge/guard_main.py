"""Run the guard: the program of its timer and its boot unit, which repeats the rollback until it succeeds.

    python3 /var/lib/hardener/backups/<run>/guard.pyz abandon

If a rollback cannot succeed, and an administrator has repaired the host in another way, this call by root
removes timer, unit and journal, and writes what remains of the run into its record. `hardener rollback` can
still roll the run back later.
"""

from __future__ import annotations

import getpass
import os
import sys
import time
from contextlib import suppress
from typing import Iterator

from ..contract import ABANDONED, UNCONFIRMED
from ..host import atomic
from ..host.layout import JOURNAL
from . import guard, rollback
from .backup import Store
from .errors import Refused
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
        abandon(sys.argv[0])
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


_ATTEMPT = 60  # seconds; an attempt of the guard ends within that time, or hangs


def abandon(script: str) -> None:
    """End a run that cannot be rolled back, and print which of its changes remain.

    Args:
        script: the program beside its backup.

    Raises:
        SystemExit: it cannot be ended; says why.
    """
    backup = os.path.dirname(os.path.realpath(script))
    run, store = os.path.basename(backup), Store(os.path.dirname(os.path.dirname(backup)))
    if os.geteuid() != 0:
        sys.exit("only root can end this run")
    try:
        with locked(store.lock, patience=_ATTEMPT):
            remaining = _end_locked(store, run)
    except Busy as busy:
        sys.exit(f"run {run} cannot be ended now: {busy}")
    except (Refused, OSError) as error:
        sys.exit(f"run {run} cannot be ended: {rollback.reason_of(error)}")
    print(
        f"run {run} will no longer be rolled back" + (", and these parts of it remain:" if remaining else "")
    )
    for each in remaining:
        print(f"  {each}")


def _end_locked(store: Store, run: str) -> list[str]:
    """End the run under the lock; return which of its changes remain."""
    backup = store.backup_folder(run)
    try:
        journal = Journal.find(store)
    except Refused as refused:
        return _unreadable(store, run, str(refused))
    if journal is None or journal.run != run:
        guard.stop(run)
        guard.disarm(run, backup=backup)
        return []
    if journal.phase != ROLLING_BACK and journal.remaining > 0:
        raise Refused(
            f"it is {journal.phase} for another {journal.remaining:.0f} s, and is not being rolled back"
        )
    try:
        remaining = rollback.remaining(store, journal)
    except (Refused, OSError) as error:
        remaining = [rollback.reason_of(error)]
    with suppress(OSError):  # a broken disk must not cause further attempts
        store.finish(run, _record(journal.why_expired, remaining))
    guard.stop(run)
    rollback.end(store, journal)
    return remaining


def _unreadable(store: Store, run: str, why: str) -> list[str]:
    """End a run whose journal cannot be read; the journal moves to the backup unchanged."""
    backup = store.backup_folder(run)
    with suppress(OSError):  # a broken disk must not cause further attempts
        store.finish(run, _record("", [why]))
    guard.stop(run)
    atomic.rename(store.journal_file, os.path.join(backup, JOURNAL))
    store.release(run)
    guard.disarm(run, backup=backup)
    return [why]


def _record(reason: str, remaining: list[str]) -> dict[str, object]:
    said = f"ended on the host by {_who()}"
    return {
        "outcome": ABANDONED,
        "reason": f"{reason}; {said}" if reason else said,
        "problems": remaining,
        "ended": time.time(),
    }


def _who() -> str:
    with suppress(KeyError, OSError):
        return os.environ.get("SUDO_USER") or getpass.getuser()
    return "root"
