"""List the runs of this host, and roll back to the state before one of them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Mapping, Sequence

from ..contract import (
    CHANGED,
    INTERRUPTED,
    OVER,
    PARTLY_ROLLED_BACK,
    ROLLBACK_FAILED,
    UNCHANGED,
    UNCONFIRMED,
    UNKNOWN,
    WOULD_CHANGE,
)
from ..subjects import owners
from . import fencing, files, guard, health, liveness, origin, roleparts, rollback, worker
from .activations.apparmor import ApparmorLoad, require_unneeded
from .activations.docker import engine_of
from .activations.interface import Begun
from .activations.modules import ModulesLoad
from .backup import Store
from .errors import Refused
from .fencing import Number
from .files import State
from .journal import ROLLING_BACK, Journal
from .locking import locked
from .planning import Change
from .serving import Finder

_UNATTENDED = 60  # seconds until the guard looks whether a rollback is at work, or is to be finished


def listed(store: Store) -> list[dict[str, Any]]:
    """List all runs that have a backup, newest first: outcome, time, reason, who began it, paths."""
    return [_described(store, run) for run in reversed(store.runs())]


def _described(store: Store, run: str) -> dict[str, Any]:
    record = store.record(run)
    found = {key: record.get(key) for key in ("outcome", "reason", "who", "started", "ended", "number")}
    if run in _unfinished(store) and found["outcome"] not in (UNCONFIRMED, ROLLBACK_FAILED):
        found["outcome"] = INTERRUPTED
    if record.get("problems"):
        found["reason"] = f"{found['reason']}; not rolled back: {'; '.join(record['problems'])}"
    try:
        paths = [entry.path for entry in store.manifest(run) if entry.path != store.bookkeeping]
    except Refused as refused:
        return {"run": run, **found, "outcome": "damaged", "reason": str(refused), "paths": []}
    return {"run": run, **found, "outcome": found["outcome"] or UNKNOWN, "paths": paths}


def back_to(
    store: Store,
    *,
    before: str,
    who: str,
    check: bool,
    number: Number | None = None,
    token: str = "",
    predicted: Sequence[str] = (),
) -> dict[str, Any]:
    """Roll back a run and all later ones, newest first.

    Args:
        store: hardener's folder.
        before: the run; empty for the last one that changed anything.
        who: who requested it.
        check: only report what would change.
        number: of the run that asks; None without one.
        token: by which the caller withdraws this rollback (``confirm``); empty without one.
        predicted: the runs that it must roll back, as a check has named them; empty for any.

    Returns:
        A result like that of a transaction, with ``runs``, those that were rolled back.

    Raises:
        Refused: there is no such run, or one of them cannot be rolled back.
    """
    if not store.exists:
        raise Refused("hardener has not changed this host, or was released from it")
    with locked(store.lock, shared=check):
        if not check:
            fencing.require_standing(store, token)
            fencing.require_newest(store, number)
            with suppress(Refused):  # a full disk must not keep a host from going back
                fencing.keep(store, number)
        runs = _runs_to_roll_back(store, before)
        if predicted and runs != list(predicted):
            raise Refused("the runs of this host have changed since the rollback was prepared: try again")
        changes, notes = _predicted(store, runs)
        gone = {change.path for change in changes if not change.after.exists}
        profiles = {name for run in runs for path, name in _profiles(store, run).items() if path in gone}
        left = [*require_unneeded(profiles, Finder()), *_left(store, runs)]
        result = {
            "changed": bool(runs),
            "runs": runs,
            "changes": [change.describe() for change in changes],
            "diff": [{"path": change.path, "prepared": change.diff()} for change in changes],
            "activations": sorted({name for run in runs for name in _activations(store, run)}),
            "notes": [*notes, *left],
        }
        if check or not runs:
            return {**result, "outcome": WOULD_CHANGE if runs else UNCHANGED}
        done = worker.run(lambda: _roll_back(store, runs, who), name=f"rollback-{runs[-1]}")
        return {**result, **done, "notes": [*done.get("notes", ()), *left]}


def _runs_to_roll_back(store: Store, before: str) -> list[str]:
    """Return the runs to roll back, newest first."""
    known = store.runs()
    unfinished = _unfinished(store)
    standing = [run for run in known if run in unfinished or _left_changes(store, run)]
    if before and before not in known:
        raise Refused(f"this host has no backup of a run {before!r}; it has {', '.join(known) or 'none'}")
    if not before:
        return standing[-1:]
    return [run for run in reversed(standing) if run >= before]


def _left_changes(store: Store, run: str) -> bool:
    """Return whether a finished run left changes on the host; a run without a journal never began."""
    return store.record(run).get("outcome") not in OVER and Journal.of(store, run) is not None


def _roll_back(store: Store, runs: Sequence[str], who: str) -> dict[str, Any]:
    """Roll the runs back; runs in a worker."""
    notes: list[str] = []
    kept: list[str] = []
    lost: list[str] = []
    reason = f"rolled back on request of {who}" if who else "rolled back on request"
    for number, run in enumerate(runs):
        journal = _journal(store, run)
        if journal is None:
            raise Refused(f"the backup of run {run} has no journal: {store.backup_folder(run)}")
        if journal.run not in _unfinished(store):  # the health before that run no longer counts
            looked_at = str(journal.baseline.get("engine") or "")  # the engine that the run itself asked
            engine = engine_of(rollback.begun(journal), Finder(looked_at))
            seen = {
                "picture": health.take_baseline(engine, login_port=0),
                "look": liveness.look(liveness.current_session()).data(),
            }
            _arm(store, run)
            journal.enter(ROLLING_BACK, seconds=rollback.LONG, reason=reason, undone={}, **seen)
        outcome = rollback.finished(store, journal, reason)
        notes += outcome["notes"]
        kept += outcome["kept"]
        lost += outcome.get("lost", [])
        if outcome["outcome"] == ROLLBACK_FAILED:
            left = "; ".join(runs[number + 1 :]) or "none"
            reason = f"run {run} was rolled back in part; not rolled back: {left}"
            problems = [*lost, *outcome["problems"]]
            return {**outcome, "reason": reason, "notes": notes, "kept": kept, "problems": problems}
    done = {"changed": True, "notes": notes, "kept": kept}
    if lost:
        reason = "everything is restored, but"
        problems = list(dict.fromkeys(lost))
        return {**done, "outcome": ROLLBACK_FAILED, "failed": True, "reason": reason, "problems": problems}
    if kept:
        reason = "later changes of others stay"
        return {**done, "outcome": PARTLY_ROLLED_BACK, "failed": True, "reason": reason}
    return {**done, "outcome": CHANGED}


def _arm(store: Store, run: str) -> None:
    """Make the guard finish the rollback if this process is killed or the host reboots.

    It is no condition: a host without room for the guard must be able to go back, too.
    """
    if guard.possible():
        with suppress(Refused):
            guard.arm(store.folder, run, backup=store.backup_folder(run), seconds=_UNATTENDED)


def _unfinished(store: Store) -> list[str]:
    journal = Journal.find(store)
    return [journal.run] if journal is not None else []


def _journal(store: Store, run: str) -> Journal | None:
    """Return the journal of a run, finished or not."""
    return Journal.find(store) if run in _unfinished(store) else Journal.of(store, run)


def _activations(store: Store, run: str) -> list[str]:
    journal = _journal(store, run)
    return [activation.name for activation in rollback.begun(journal)] if journal is not None else []


def _profiles(store: Store, run: str) -> Mapping[str, str]:
    """Return the AppArmor profiles that a run loaded: file to name."""
    journal = _journal(store, run)
    settings = journal.activations.get(ApparmorLoad.name, {}) if journal is not None else {}
    profiles: Mapping[str, str] = settings.get("profiles", {})
    return profiles


def _left(store: Store, runs: Sequence[str]) -> list[str]:
    """Return notes on what stays after a rollback although the runs may have brought it."""
    documents = (names for run in runs for names in origin.documents(store.record(run)).values())
    journals = [journal for run in runs if (journal := _journal(store, run)) is not None]
    loads = [journal.activations.get(ModulesLoad.name) for journal in journals]
    modules = ModulesLoad.former([Begun(settings, {}) for settings in loads if settings])
    names = {name for names in documents for name in names}
    written = [
        f"{path} stays: hardener's programs wrote it, and `hardener release` removes it"
        for role in owners.OUTSIDE
        if any(roleparts.belongs(name, role) for name in names)
        for path in roleparts.outside(role)
    ]
    return [*roleparts.packages(names), *roleparts.in_kernel(names), *modules.left, *written]


def _predicted(store: Store, runs: Sequence[str]) -> tuple[list[Change], list[str]]:
    """Return the predicted changes, and the paths that stay because others changed them after the run."""
    now: dict[str, State] = {}
    then: dict[str, State] = {}
    notes = []
    for run in runs:
        journal = _journal(store, run)
        written = journal.written if journal is not None else []
        for entry in reversed(store.manifest(run)):
            path = entry.path
            if path == store.bookkeeping:
                continue
            if path not in now:
                now[path] = then[path] = entry.present()
            if entry.rewritten and now[path].content is None:  # a later run changed only its attributes
                content = files.present(path).content
                now[path], then[path] = (each._replace(content=content) for each in (now[path], then[path]))
            then[path], note = store.goal(run, entry, then[path], written)
            notes += [note] if note else []
    return [Change(path, now[path], then[path], ()) for path in now if now[path] != then[path]], notes


def reported(store: Store) -> dict[str, Any]:
    """Return all runs for display."""
    return {"changed": False, "outcome": UNCHANGED, "runs": listed(store)}
