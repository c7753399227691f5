"""The program with which root on the host stops the guard's attempts to roll a run back.

    python3 /var/lib/hardener/backups/<run>/guard.pyz abandon

The guard retries a rollback until it succeeds. If it cannot succeed, and an administrator has repaired the
host in another way, this program removes timer, unit and journal, and writes what remains of the run into its
record. `hardener rollback` can still roll the run back later.
"""

from __future__ import annotations

import getpass
import os
import sys
import time
from contextlib import suppress

from ..contract import ABANDONED
from ..host import atomic
from ..host.layout import JOURNAL
from . import guard, rollback
from .backup import Store
from .errors import Refused
from .journal import ROLLING_BACK, Journal
from .locking import Busy, locked

_PATIENCE = 60  # seconds; an attempt of the guard ends within that time, or hangs


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
        with locked(store.lock, patience=_PATIENCE):
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
