"""Run a transaction: lock, plan, back up, write, activate, verify; roll back if anything fails."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from functools import partial
from typing import Any, Mapping, NamedTuple, Sequence

from ..contract import (
    CHANGED,
    LEAST_CONFIRM_TIMEOUT,
    MOST_CONFIRM_TIMEOUT,
    NONE,
    REFUSED,
    ROLLBACK_FAILED,
    UNCHANGED,
    UNCONFIRMED,
    WOULD_CHANGE,
)
from ..host import steps
from ..host.atomic import Meddled
from ..host.descriptors import Untrusted, trusted
from . import (
    departure,
    fencing,
    files,
    guard,
    health,
    liveness,
    origin,
    pruning,
    rollback,
    start_trials,
    wishes,
    worker,
)
from .activations.docker import engine_of
from .backup import Store
from .documents import Document, Request
from .errors import Failed, Refused
from .fencing import Number
from .files import State
from .journal import CHANGING, Journal
from .locking import locked
from .planning import Change, overlay
from .pruning import DEFAULTS, Limits
from .selection import Selection, choose
from .serving import Finder

_TOKEN = re.compile(r"[0-9a-f]{6,32}")


class Terms(NamedTuple):
    """How a run is confirmed: the caller calls ``confirm`` with its token within ``seconds``.

    Containers in ``restless`` do not count in the health check; see ``containers.excepted``. Neither does the
    loss of what ``accepted`` names.
    """

    token: str
    seconds: float
    who: str
    restless: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Terms:
        """Return the terms of a request.

        Raises:
            Refused: the terms are invalid.
        """
        who = str(raw.get("who", ""))[:200]
        restless, accepted = (tuple(map(str, raw.get(key, ()))) for key in ("restless", "accept_losses"))
        found = cls(str(raw.get("token")), float(raw.get("seconds", 0)), who, restless, accepted)
        if not _TOKEN.fullmatch(found.token):
            raise Refused(f"{found.token!r} is not the token of a run")
        if not LEAST_CONFIRM_TIMEOUT <= found.seconds <= MOST_CONFIRM_TIMEOUT:
            bounds = f"{LEAST_CONFIRM_TIMEOUT} to {MOST_CONFIRM_TIMEOUT}"
            raise Refused(
                f"the time limit of the confirmation is {found.seconds:.0f} s: it must be {bounds} s"
            )
        return found


class Transaction:
    """One run on this host.

    Args:
        request: the documents and options.
        store: hardener's folder on this host.
        terms: how it is confirmed; None without a confirmation: then its own health check decides.
        number: of the run that asks; None without one.
        limits: of the backups that this host keeps.
    """

    def __init__(
        self,
        request: Request,
        store: Store,
        terms: Terms | None = None,
        number: Number | None = None,
        limits: Limits = DEFAULTS,
    ) -> None:
        self._request = request
        self._store = store
        self._terms = terms
        self._number = number
        self._limits = limits
        self._unkept: Refused | None = None  # why the number could not be kept
        self._chosen: Sequence[Document] = ()
        self._found: Mapping[str, Any] = {}  # further data about the run, recorded as well
        self._parting: Mapping[
            str, Any
        ] = {}  # folders to remove once the run is confirmed, see ``departure``

    def run(self) -> dict[str, Any]:
        """Run the transaction, and return what was done as JSON data.

        Raises:
            Refused: it was not begun.
            Failed: its worker was killed, or failed.
        """
        if self._request.check and not self._store.exists:
            return self._run()
        if not self._request.check:
            self._store.make()
        with locked(self._store.lock, shared=self._request.check):
            return self._run()

    def _run(self) -> dict[str, Any]:
        if not self._request.check:
            if self._terms:
                fencing.require_standing(self._store, self._terms.token)
            fencing.require_newest(self._store, self._number)
            try:
                fencing.keep(self._store, self._number)
            except Refused as refused:  # that matters only if anything is changed
                self._unkept = refused
        interrupted = Journal.find(self._store)
        if interrupted is not None and interrupted.phase == UNCONFIRMED and interrupted.remaining > 0:
            whose = f" of {interrupted.who}" if interrupted.who else ""
            raise Refused(
                f"run {interrupted.run}{whose} waits to be confirmed, and is rolled back in"
                f" {interrupted.remaining:.0f} s if it is not: try again later"
            )
        recovered: dict[str, Any] = {}
        if interrupted is not None and not self._request.check:
            recovered = worker.run(partial(self._recover, interrupted), name=f"recover-{interrupted.run}")
            interrupted = None
        elif interrupted is None and not self._request.check:
            guard.clear_up(self._store.folder)
            self._store.clear_up()
        try:
            return self._converge(interrupted, recovered)
        except Refused as refused:
            raise Refused("; ".join([*recovered.get("notes", ()), str(refused)])) from None

    def _converge(self, interrupted: Journal | None, recovered: Mapping[str, Any]) -> dict[str, Any]:
        states = rollback.states_before(self._store, interrupted) if interrupted else {}
        try:
            choice = self._choose(states, interrupted)
        except Failed as failed:  # nothing of this run is changed yet
            raise Refused(str(failed)) from failed
        self._chosen = choice.documents
        plan, due = choice.plan, choice.due
        notes = [*choice.notes, *recovered.get("notes", ())]
        undone = rollback.changes_of_rollback(self._store, interrupted) if interrupted else []
        changes = undone + plan.changes
        result = {
            "changed": bool(changes or due or recovered or self._parting),
            "documents": choice.describe(self._request),
            "changes": [change.describe() for change in changes],
            "diff": [{"path": change.path, "prepared": change.diff()} for change in changes],
            "activations": [activation.describe() for activation in due],
            "plan": choice.digest(),
            "notes": notes,
            "pending": choice.pending,
            "refused": [f"{name}: {why}" for name, why in choice.refused.items()],
            "recovered": interrupted.run if interrupted else recovered.get("run", ""),
            "outcome": UNCHANGED,
            "run": "",
            **self._found,
        }
        if self._request.refused and not self._request.possible:
            reason = "; ".join(self._request.refused)
            return {**result, "failed": True, "outcome": REFUSED, "reason": reason}
        if self._request.plan not in ("", choice.digest()):
            raise Refused(
                "this host or hardener has changed since the plan was made: plan again, and review the plan"
            )
        if not self._request.check:
            with suppress(OSError):  # then the first run that changes something has its original state
                self._remember(choice)
        if not result["changed"] or self._request.check:
            if self._request.check and any(each.touches for each in due):
                result["notes"] = [*notes, *health.silent(self._baseline(choice, None))]
            elif not self._request.check:
                result["notes"] = [*notes, *self._keep_wishes("")]
            return {**result, "outcome": WOULD_CHANGE if result["changed"] else UNCHANGED}
        all_changes = plan.all_changes
        if not all_changes and not due:
            self._keep_wishes("")
            left = departure.part(self._store, self._parting)
            return {**result, "outcome": CHANGED, "notes": [*notes, *left]}
        if self._unkept is not None:
            raise self._unkept
        terms = self._terms
        run = self._store.new_run(terms.token if terms else "")
        done = worker.run(lambda: self._apply(run, choice, all_changes), name=run)
        return {
            **result,
            **done,
            "notes": [*notes, *done.get("notes", ())],
            "pending": [*choice.pending, *done.get("pending", ())],
        }

    def _choose(self, states: Mapping[str, State], interrupted: Journal | None) -> Selection:  # noqa: ARG002
        """Choose documents; ``states`` are the states of paths once an interrupted run is rolled back."""
        self._request = wishes.compared(self._request, self._store)
        read = overlay(files.read, states)
        found = {key[1:]: value for key, value in origin.found(self._store).items() if key[0] == "key"}
        return choose(self._request, bookkeeping_file=self._store.bookkeeping, read=read, known=found)

    def _remember(self, choice: Selection) -> None:
        """Store what this run finds, if it is the first that names it."""
        origin.remember(self._store, choice.plan, choice.activations)

    # --- apply ----------------------------------------------------------------------------------------------

    def _apply(self, run: str, choice: Selection, changes: Sequence[Change]) -> dict[str, Any]:
        """Make all changes to the host; runs in the worker."""
        who = self._terms.who if self._terms else ""
        record = {
            "started": time.time(),
            "who": who,
            "reason": "",
            "changes": [change.describe() for change in changes if not change.hidden],
            "activations": [activation.describe() for activation in choice.due],
            **({"number": self._number.number} if self._number else {}),
            **self._found,
        }
        settings = {activation.name: activation.settings for activation in choice.due}
        steps.begin("back up")
        try:
            self._store.back_up(run, changes)
            wishes.keep(self._store, "", {})  # before the records of runs that were rolled back are removed
            removed = self._prune(run)
            journal = Journal.begin(self._store, run, settings, who=who)
            if self._parting:
                journal.remember(parting=self._parting)
        except OSError as error:
            self._store.never_began(run)
            raise Refused(
                f"no backup can be made in {self._store.folder}: {rollback.reason_of(error)}"
            ) from error
        try:
            self._arm(journal, choice.impact)
        except Refused:
            self._store.never_began(run)
            raise

        def noted(outcome: Mapping[str, Any], *more: str) -> dict[str, Any]:
            return {**outcome, "notes": [*removed, *outcome["notes"], *more]}

        steps.begin("record the baseline")
        came_in = liveness.current_session()
        before = liveness.look(came_in)
        try:
            seen: dict[str, Any] = {"look": before.data()}
            if choice.impact != NONE:
                seen.update(picture=self._baseline(choice, came_in), stopped=choice.stops)
            journal.remember(**seen)
            self._store.set_aside(run, record)
            tried = self._tried(choice, run)
            outcome = self._change(journal, choice, changes, before, tried)
            self._store.finish(run, {**record, **noted(outcome), "ended": time.time()})
            left: Sequence[str] = ()
            removed += self._keep_wishes(run)
            if outcome["outcome"] != UNCONFIRMED:
                rollback.end(self._store, journal)
                left = departure.part(self._store, self._parting)
            return {**noted(outcome, *left), "run": run}
        except Exception as error:  # whatever the error, the host must not stay halfway
            outcome = rollback.finished(self._store, journal, rollback.reason_of(error), record=record)
            still = outcome.get("lost")
            if still:
                problems = [*outcome["problems"], *still]
                outcome = {**outcome, "outcome": ROLLBACK_FAILED, "problems": problems}
                self._store.finish(run, noted(outcome))
            return {**noted(outcome), "run": run}

    @property
    def _applied_wishes(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the wishes of the chosen documents."""
        return {each.name: each.wish for each in self._chosen if each.wish}

    def _keep_wishes(self, run: str) -> list[str]:
        """Store the applied wishes; return notes. After an error the next run stores them."""
        try:
            wishes.keep(self._store, run, self._applied_wishes)
        except OSError as error:
            return [f"the wishes of the site cannot be stored: {rollback.reason_of(error)}"]
        return []

    def _prune(self, run: str) -> list[str]:
        """Remove the oldest backups; return notes. After an error they stay, and the next run tries again."""
        try:
            return pruning.prune(self._store, run, self._limits)
        except (OSError, Refused) as error:
            return [f"the oldest backups cannot be removed: {rollback.reason_of(error)}"]

    def _arm(self, journal: Journal, impact: str) -> None:
        """Arm the guard if the run has an impact and will be confirmed."""
        if self._terms is None or impact == NONE or not guard.possible():
            return
        seconds = self._terms.seconds
        journal.enter(CHANGING, seconds=seconds, confirm_within=seconds)
        backup = self._store.backup_folder(journal.run)
        guard.arm(self._store.folder, journal.run, backup=backup, seconds=seconds)

    def _baseline(self, choice: Selection, came_in: liveness.Session | None) -> Mapping[str, Any]:
        return health.take_baseline(
            engine_of(choice.activations, Finder(self._request.socket)),
            login_port=came_in.port if came_in else 0,
            exceptions=self._terms.restless if self._terms else (),
            terms=self._loss_terms(choice),
        )

    def _loss_terms(self, choice: Selection) -> health.Terms:
        return health.Terms(
            sorted({part for each in choice.due for part in each.touches}),
            [loss for document in choice.changing for loss in document.losses],
            self._terms.accepted if self._terms else (),
        )

    def _tried(self, choice: Selection, run: str) -> start_trials.Starts | None:
        """Determine which containers start before the change; None if it does not affect starts."""
        if not any(activation.affects_starts for activation in choice.due):
            return None
        engine = engine_of(choice.activations, Finder(self._request.socket))
        if engine is None:
            return None
        steps.begin("try to start containers")
        tried = start_trials.Starts(engine, run)
        tried.try_before()
        return tried

    def _change(
        self,
        journal: Journal,
        choice: Selection,
        changes: Sequence[Change],
        before: liveness.Look,
        tried: start_trials.Starts | None,
    ) -> dict[str, Any]:
        known = list(choice.pending)
        steps.begin("write files")
        left = [why for change in changes for why in self._write(change)]
        for activation in choice.due:
            journal.enter(CHANGING, seconds=max(journal.confirm_within, activation.longest))
            rollback.bind(activation, journal)
            activation.terms = self._loss_terms(choice)
            activation.save()
            steps.begin(activation.action or activation.name)
            with journal.engine_away(activation.longest if activation.stops_engine else 0):
                activation.perform()
        longest = max([activation.longest for activation in choice.due], default=0)
        journal.enter(CHANGING, seconds=max(journal.confirm_within, longest))
        steps.begin("check health")
        problems = liveness.lost(before)
        problems += [problem for activation in choice.due for problem in activation.problems()]
        missing, notes = health.compare(journal.baseline, stopped=choice.stops, away=journal.away)
        if not problems and not missing and tried is not None:
            problems = tried.problems()
            notes = [*notes, *tried.notes]
        if problems or missing:
            raise Failed("; ".join([*problems, *missing]))
        if journal.confirm_within:
            journal.enter(UNCONFIRMED, seconds=journal.confirm_within)
        elif self._terms is not None and choice.impact != NONE:
            notes.append("systemd does not run on this host, which could not have rolled back by itself")
        return {
            "outcome": UNCONFIRMED if journal.confirm_within else CHANGED,
            "pending": [*left, *(note for note in choice.pending if note not in known)],
            "notes": notes,
        }

    def _write(self, change: Change) -> list[str]:
        """Make one change; return why it was omitted, empty if it was made."""
        return _make_change(change)

    def _recover(self, journal: Journal) -> dict[str, Any]:
        """Roll back a run that was killed or not confirmed; runs in the worker."""
        what = "was not confirmed" if journal.phase == UNCONFIRMED else "was interrupted"
        outcome = rollback.finished(self._store, journal, journal.why_expired)
        if outcome["outcome"] == ROLLBACK_FAILED:
            problems = "; ".join([*outcome["problems"], *outcome["notes"]])
            raise Refused(f"run {journal.run} {what} and cannot be rolled back: {problems}")
        note = f"run {journal.run} {what} and was rolled back first"
        return {"run": journal.run, "notes": [note, *outcome["notes"]]}


def _make_change(change: Change) -> list[str]:
    """Make one change, or return why it was left out: other users own or can replace the file.

    Owner and mode of other users' files are not essential: a user who keeps replacing a file must not block
    the other changes.

    Raises:
        Failed: the file system does not allow it, or root itself has changed it meanwhile.
    """
    try:
        if change.rewrites and change.after.exists:
            files.make_folders(change.path)
        files.put(change.path, change.before, change.after)
    except (Meddled, Untrusted, NotADirectoryError) as error:
        others = not trusted(change.before.uid) or not files.guarded(change.path)
        if others and not change.rewrites:
            return [f"{change.path} was changed by others meanwhile, and is left as it is"]
        if isinstance(error, Meddled):
            raise Failed(f"{change.path} was changed by others meanwhile: try again") from error
        why = str(error) if isinstance(error, Untrusted) else error.strerror
        raise Failed(f"{change.path} cannot be changed: {why}") from error
    except OSError as error:
        raise Failed(f"{change.path} cannot be changed: {error.strerror}") from error
    return []
