"""Lock, plan, back up, write, activate, verify; and all the way back if anything is wrong."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from functools import partial
from typing import Any, Iterator, Mapping, Sequence

from host_converge import activations, detached, files
from host_converge.activations import Activation
from host_converge.backup import Journal, Store, write_json
from host_converge.choice import choose
from host_converge.documents import Request
from host_converge.errors import Failed, Refused
from host_converge.files import State
from host_converge.planning import Change, overlay


class Transaction:
    """One run on this host.

    Args:
        request: what is asked for.
        store: hardener's folder on this host.
    """

    def __init__(self, request: Request, store: Store) -> None:
        self._request = request
        self._store = store

    def run(self) -> dict[str, Any]:
        """Do it, and return what was done as JSON data.

        Raises:
            Refused: it was not begun.
            Failed: its worker was killed.
        """
        if self._request.check and not self._store.exists:
            return self._run()
        if not self._request.check:
            self._store.make()
        with _locked(self._store.lock, shared=self._request.check):
            return self._run()

    def _run(self) -> dict[str, Any]:
        interrupted = Journal.find(self._store)
        recovered: dict[str, Any] = {}
        if interrupted is not None and not self._request.check:
            recovered = detached.run(partial(self._recover, interrupted), name=f"recover-{interrupted.run}")
            interrupted = None
        try:
            return self._converge(interrupted, recovered)
        except Refused as refused:
            raise Refused("; ".join([*recovered.get("notes", ()), str(refused)])) from None

    def _converge(self, interrupted: Journal | None, recovered: Mapping[str, Any]) -> dict[str, Any]:
        states = self._states_before(interrupted) if interrupted else {}
        choice = choose(
            self._request, bookkeeping_file=self._store.bookkeeping, read=overlay(files.read, states)
        )
        plan, due = choice.plan, choice.due
        notes = [*choice.notes, *recovered.get("notes", ())]
        changes = self._taken_back(interrupted) + plan.changes
        result = {
            "changed": bool(changes or due or recovered),
            "documents": choice.describe(self._request),
            "changes": [
                {"path": change.path, "what": change.what, "documents": list(change.documents)}
                for change in changes
            ],
            "diff": [{"path": change.path, "prepared": change.diff()} for change in changes],
            "activations": [activation.describe() for activation in due],
            "allow": self._request.allow,
            "plan": choice.digest(),
            "notes": notes,
            "pending": choice.pending,
            "refused": self._request.refused,
            "recovered": interrupted.run if interrupted else recovered.get("run", ""),
            "outcome": "unchanged",
            "run": "",
        }
        if not self._request.possible:
            reason = "; ".join(self._request.refused)
            return {**result, "failed": True, "outcome": "refused", "reason": reason}
        if self._request.plan not in ("", choice.digest()):
            raise Refused("this host is no longer what the plan was made for: plan again, and review that")
        if not result["changed"] or self._request.check:
            return {**result, "outcome": "would_change" if result["changed"] else "unchanged"}
        all_changes = plan.all_changes
        if not all_changes and not due:
            return {**result, "outcome": "changed"}
        run = self._store.new_run()
        done = detached.run(lambda: self._apply(run, all_changes, due), name=run)
        return {
            **result,
            **done,
            "notes": [*notes, *done.get("notes", ())],
            "pending": [*choice.pending, *done.get("pending", ())],
        }

    # --- apply ----------------------------------------------------------------------------------------------

    def _apply(self, run: str, changes: Sequence[Change], due: Sequence[Activation]) -> dict[str, Any]:
        """Everything that changes the host; runs in the worker."""
        started = time.time()
        known = [note for activation in due for note in activation.pending]
        settings = {activation.name: activation.settings for activation in due}
        try:
            self._store.back_up(run, changes)
            journal = Journal.begin(self._store, run, settings)
        except OSError as error:
            raise Refused(f"no backup can be made in {self._store.folder}: {error.strerror}") from error
        try:
            for change in changes:
                _write(change)
            for activation in due:
                _bind(activation, journal)
                activation.save()
                activation.perform()
            problems = [problem for activation in due for problem in activation.problems()]
            if problems:
                raise Failed("; ".join(problems))
        except Exception as error:  # whatever it is, the host must not stay half-way
            outcome = self._roll_back(journal, _reason(error))
        else:
            journal.end()
            seen = [note for activation in due for note in activation.pending if note not in known]
            outcome = {"outcome": "changed", "pending": seen}
        outcome = {**outcome, "run": run}
        self._finish(run, {**outcome, "started": started, "ended": time.time()})
        return outcome

    def _finish(self, run: str, record: Mapping[str, Any]) -> None:
        """Leave a record; that it can't be written (a full disk) does not make the run a failure."""
        try:
            write_json(os.path.join(self._store.backup_folder(run), "result.json"), record)
            self._store.prune(run)
        except OSError:
            return

    # --- and back -------------------------------------------------------------------------------------------

    def _roll_back(self, journal: Journal, reason: str) -> dict[str, Any]:
        """Put everything back, make it effective, and look again."""
        notes, problems = self._store.restore(journal.run, journal.written)
        for name, settings in journal.activations.items():
            memory = journal.memory(name)
            if memory is None:
                continue  # it had not begun
            activation = activations.KINDS[name](settings)
            activation.memory = memory
            _bind(activation, journal)
            try:
                problems += activation.undo()
            except Exception as error:  # the others have to be undone all the same
                problems.append(_reason(error))
        outcome = {"changed": True, "failed": True, "reason": reason, "notes": notes}
        if problems:  # the journal stays: the next run tries again
            return {**outcome, "outcome": "rollback_failed", "problems": problems}
        journal.end()
        return {**outcome, "outcome": "rolled_back"}

    def _recover(self, journal: Journal) -> dict[str, Any]:
        """Take back what a killed run had begun; runs in the worker."""
        outcome = self._roll_back(journal, "it was interrupted")
        self._finish(journal.run, outcome)
        if outcome["outcome"] == "rollback_failed":
            problems = "; ".join(outcome["problems"])
            raise Refused(f"run {journal.run} was interrupted and cannot be taken back: {problems}")
        note = f"run {journal.run} had been interrupted and was taken back first"
        return {"run": journal.run, "notes": [note, *outcome["notes"]]}

    def _states_before(self, journal: Journal) -> dict[str, State]:
        found = {}
        for entry in self._store.manifest(journal.run):
            before = self._store.state_before(journal.run, entry)
            if not entry.rewritten:
                before = before._replace(content=files.read(entry.path).content)
            found[entry.path] = before
        return found

    def _taken_back(self, journal: Journal | None) -> list[Change]:
        """What taking an interrupted run back will change, for check mode."""
        if journal is None:
            return []
        found = []
        for entry in self._store.manifest(journal.run):
            now = files.read(entry.path, content=entry.rewritten)
            before = self._store.state_before(journal.run, entry)
            if now != before and entry.path != self._store.bookkeeping:
                found.append(Change(entry.path, now, before, (f"interrupted run {journal.run}",)))
        return found


def _bind(activation: Activation, journal: Journal) -> None:
    """Let an activation write to the journal."""
    activation.save = lambda: journal.note(activation.name, activation.memory)
    activation.will_write = journal.will_write


def _write(change: Change) -> None:
    """Make one change.

    Raises:
        Failed: the file system does not allow it.
    """
    try:
        if change.after.exists:
            for folder in files.missing_directories(change.path):
                os.mkdir(folder, 0o755)
        files.put(change.path, change.before, change.after)
    except OSError as error:
        raise Failed(f"{change.path} cannot be changed: {error.strerror}") from error


@contextmanager
def _locked(path: str, *, shared: bool) -> Iterator[None]:
    """Hold the host's lock; the worker inherits it and holds it on. Who only looks shares it with others.

    Raises:
        Refused: another run has it.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(f"{path} cannot be locked: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 100, 0).decode(errors="replace").strip() or "it has just begun"
            raise Refused(f"another run is changing this host ({holder}): try again later") from None
        if not shared:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"pid {os.getpid()}, since {time.strftime('%H:%M:%S')}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _reason(error: BaseException) -> str:
    if isinstance(error, (Failed, Refused)):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror}"
    return f"defect in hardener: {type(error).__name__}: {error}"
