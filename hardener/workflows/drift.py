"""Compare a fleet with an earlier run, repair drift on request, and compare again."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from hardener.batches import AT_ONCE, Batches
from hardener.comparison import Drift
from hardener.comparison.finding import ChangeKind
from hardener.comparison.wishes import WishComparison, compare_wishes
from hardener.errors import ExitCode, HardenerError
from hardener.fleet import Fleet, inventory_name
from hardener.history import DRIFT_VERBS, AssessmentStore, History, StoredRun
from hardener.model import Assessment, Finding, Severity
from hardener.notify import Target as NotifyTarget
from hardener.plan import Plan, plan
from hardener.reports.interface import write_reports
from hardener.text import line
from hardener.workflows import exit_codes
from hardener.workflows.change import ChangeRequest, ChangeResultListener, Session
from hardener.workflows.change_run import ChangeRun
from hardener.workflows.compare_runs import compare_with
from hardener.workflows.inventory_lock import inventory_lock
from hardener.workflows.notification import Notification
from hardener.workflows.options import Changes, DecisionFiles, ReportFiles, Selection, Target
from hardener.workflows.recorder import Recorder
from hardener.workflows.remediate import RemediationResult, remediate
from hardener.workflows.resume import confirmed_before
from hardener.workflows.rollout import canary_group

_VERB, _BEFORE = DRIFT_VERBS
# Others are not spared: what a host names becomes a variable of Ansible, which evaluates templates.
_PATH = re.compile(r"/[\w./@:+,=~-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRequest:
    """A request for a comparison: hosts, earlier run, repair, notifications.

    Args:
        target: the hosts.
        against: the user's name for the earlier run; empty for the baseline or the last complete run.
        decided: the waivers and attestations.
        changes: what a repair may change.
        files: which reports are written.
        repair: whether drift is repaired.
        notify: the targets of the notification.
        batches: how the hosts to repair are divided, and how many may fail.
        fail_on: the lowest severity of a change that decides the exit code; None for all.
    """

    target: Target
    against: str
    decided: DecisionFiles
    changes: Changes
    files: ReportFiles
    repair: bool = False
    notify: Sequence[NotifyTarget] = ()
    batches: Batches = AT_ONCE
    fail_on: Severity | None = None


@dataclass(slots=True)
class DriftResult:
    """The result of a comparison; its fields are set step by step.

    Attributes:
        before: the earlier run.
        found: the changes before a repair; None until they are known.
        remaining: the changes that are left after a repair.
        wishes: the last comparison with the wishes of the inventory.
        run_id: the id of the run in the history; empty until it is recorded.
        exit_code: the exit code.
        is_known: whether only hosts are missing that the last comparison missed too: nothing new to notify.
    """

    before: StoredRun
    found: Drift | None = None
    remaining: Drift | None = None
    wishes: WishComparison = field(default_factory=WishComparison)
    run_id: str = ""
    exit_code: ExitCode = field(default=ExitCode.COMPLIANT)
    is_known: bool = False


class DriftListener(ChangeResultListener, Protocol):
    """Receives the progress of a comparison with an earlier run."""

    def wishes_compared(self, found: WishComparison) -> None:
        """Report the differences between hosts and the wishes of their inventory."""

    def compared(self, drift: Drift, before: StoredRun, files: ReportFiles | None) -> None:
        """Report that the hosts were compared; ``files`` are the reports that were written."""


def drift(request: DriftRequest, listener: DriftListener) -> DriftResult:
    """Audit hosts by the controls of an earlier run, and compare; repair what has drifted on request.

    Args:
        request: what is compared.
        listener: receives the progress.

    Raises:
        HardenerError: an option is invalid, there is no earlier run, or Ansible stopped before any host.
    """
    started = datetime.now(UTC)
    target, decided = request.target, request.decided
    request.files.keep(target.inventory, *decided.named)
    fleet = target.reach()
    with (
        Notification(request.notify, target.inventory, warn=listener.warning) as notification,
        inventory_lock(target, listener, changing=request.repair and not request.changes.check),
    ):
        decisions = decided.read(started.date(), inventory=target.inventory, found=listener.file_found)
        canaries = canary_group(target, request.batches)
        before = reference_run(History(target.home), target.inventory, request.against)
        selection = Selection(
            benchmark=before.info.benchmark, level=before.record.level, only=before.record.only
        )
        result = notification.result = DriftResult(before)
        with Recorder(target, selection, verb=_VERB, warn=listener.warning) as recorder:
            confirmed = confirmed_before(target, fleet, listener) if request.repair else frozenset()
            with ChangeRun(target, fleet, listener=listener, confirmed=confirmed) as change_run:
                session = Session(
                    verb=_VERB,
                    request=ChangeRequest(
                        target=target,
                        selection=selection,
                        decided=decided,
                        changes=request.changes,
                        files=request.files,
                        batches=request.batches,
                    ),
                    fleet=fleet,
                    change_run=change_run,
                    recorder=recorder,
                    decisions=decisions,
                    canaries=canaries,
                    started=started,
                    listener=listener,
                )
                result.exit_code = _Comparing(request, listener, result, session).run()
        notification.ended = True
    return result


def reference_run(history: History, inventory: str, against: str) -> StoredRun:
    """Choose the run that an inventory is compared with.

    Args:
        history: the history.
        inventory: as the user gave it.
        against: the user's name for the run; empty for the baseline or the latest state.

    Raises:
        HardenerError: there is none.
    """
    name = inventory_name(inventory)
    if against not in ("", "baseline"):
        return history.run(against, name)
    if chosen := history.moved_baseline(name):
        return chosen
    reference = None if against else history.state(name, reference=True)
    if reference and reference.is_whole:
        return reference
    what = "baseline" if against else "run over all hosts and controls"
    raise HardenerError(
        f"there is no {what} of {line(name, 1000)} to compare with",
        hint="`hardener audit` makes a run, `hardener runs baseline RUN` a baseline; --against names a run",
    )


@dataclass(frozen=True, slots=True)
class _Comparing:
    """One run of ``drift``; its result is filled as soon as each part is known."""

    request: DriftRequest
    listener: DriftListener
    result: DriftResult
    session: Session

    def run(self) -> ExitCode:
        """Audit and compare; repair what has drifted, audit again and compare again."""
        request, listener, session = self.request, self.listener, self.session
        with session.assess_fleet(snapshots="before", wishes=True) as assessments:
            found = self.result.found = self._compare(assessments)
            wishes = self._compare_wishes(assessments)
            plans: list[Plan] = []
            if request.repair:
                plans = _plans(assessments, found, wishes, self.result.before)
                listener.withheld(plans)
                plans = [
                    each
                    for each in plans
                    if not each.is_empty and each.host not in session.change_run.confirmed
                ]
        if request.repair and (found.is_drift or wishes.left):
            listener.planned(plans)
        changing = bool(plans) and not request.changes.check
        if changing:  # Record the drift now, in case this process is killed.
            before = session.run_info()
            session.recorder.finish(_BEFORE, before, assessments, ExitCode.DRIFTED)
            hosts = [each.host for each in plans]
            session.change_run.begin(before.run_id, seen=session.recorder.seen, hosts=hosts)
            listener.compared(found, self.result.before, None)
        remediation = self._remediate(plans, assessments)
        listener.remaining(remediation.outlooks)
        if request.repair and not request.changes.check:
            session.change_run.ended([each.host for each in plans], remediation)
            session.change_run.close(left=bool(remediation.failed or remediation.not_begun))
        if not changing:
            code = exit_codes.highest(
                exit_codes.of_drift(found, request.fail_on),
                exit_codes.of_wishes(wishes),
                remediation.exit_code,
            )
            return self._end(assessments, found, code)
        with session.assess_fleet(
            snapshots="after", label="audit again", done=remediation, wishes=True
        ) as assessments:
            remaining = self.result.remaining = self._compare(assessments)
            code = exit_codes.highest(
                ExitCode.REPAIRED,
                exit_codes.of_drift(remaining, request.fail_on),
                exit_codes.of_wishes(self._compare_wishes(assessments)),
                remediation.exit_code,
            )
            return self._end(assessments, remaining, code)

    def _compare_wishes(self, assessments: AssessmentStore) -> WishComparison:
        """Ask the hosts with wishes for the differences."""
        plans = [Plan(host, (), wishes=roles) for host, roles in assessments.wishes.items() if roles]
        changes = dataclasses.replace(self.request.changes, check=True, diff=False)
        found = compare_wishes(remediate(self.session.fleet, plans, changes, self.listener).outlooks)
        self.result.wishes = found
        if plans:
            self.listener.wishes_compared(found)
        return found

    def _remediate(self, plans: Sequence[Plan], before: AssessmentStore) -> RemediationResult:
        request, by_host = self.request, {each.host: each for each in plans}

        def work(fleet: Fleet, hosts: Sequence[str]) -> RemediationResult:
            return remediate(fleet, [by_host[host] for host in hosts], request.changes, self.listener)

        return self.session.roll_out(list(by_host), work, before=before)

    def _compare(self, assessments: Iterable[Assessment]) -> Drift:
        partial_run = bool(self.request.target.limit)
        return compare_with(
            self.result.before,
            assessments,
            self.session.recorder.snapshot,
            partial_run=partial_run,
            judge_again=True,
        )

    def _missed_before(self, drift: Drift) -> bool:
        """Return whether the last comparison missed the same hosts, and this one nothing else."""
        target = self.request.target
        runs = History(target.home).runs(inventory_name(target.inventory))
        last = next((run for run in runs if run.record.verb == _VERB), None)
        if last is None or last.record.exit_code != ExitCode.INCOMPLETE:
            return False
        if drift.kinds[ChangeKind.UNDECIDED] or self.result.wishes.unknown:
            return False
        reached = {line(each.host): not each.unreachable for each in last.assessments()}
        for host, _ in drift.not_compared:
            earlier = self.result.before.assessment(host)
            comparable = earlier is not None and not earlier.unreachable
            if reached.get(host, False) if comparable else host not in reached:
                return False
        return True

    def _end(self, assessments: AssessmentStore, drift: Drift, code: ExitCode) -> ExitCode:
        """Report the final state, and record it."""
        run, files = self.session.run_info(), self.request.files
        previous = self.session.recorder.previous(run) if files.look_back else None
        compared = (
            dataclasses.replace(
                each,
                wishes=self.result.wishes.by_role(each.host, assessments.wishes.get(each.host, ())),
            )
            for each in assessments
        )
        for text in write_reports(compared, files.reports(run, assessments, previous)):
            self.listener.warning(text)
        self.result.is_known = code is ExitCode.INCOMPLETE and self._missed_before(drift)
        self.session.recorder.finish(_VERB, run, assessments, code)
        self.result.run_id = run.run_id
        self.listener.compared(drift, self.result.before, files)
        return code


def _plans(
    assessments: AssessmentStore, drift: Drift, wishes: WishComparison, before: StoredRun
) -> list[Plan]:
    """Plan the repair of the controls and the applied wishes that have drifted, and of no others."""
    plans = []
    for assessment in assessments:
        drifted = drift.drifted.get(assessment.host, set())
        # Keep waived findings: the planner must not change them while fixing others.
        findings = (each for each in assessment.findings if each.waived or each.control.slug in drifted)
        made = plan(dataclasses.replace(assessment, findings=tuple(findings)))
        left = wishes.left.get(assessment.host, ())
        roles = tuple(dict.fromkeys(each.role for each in left))
        has_wishes = bool(assessments.wishes.get(assessment.host))
        plans.append(
            dataclasses.replace(
                made, wishes=roles, only_applied=has_wishes, spared=_spared(made, assessment, before)
            )
        )
    return plans


def _spared(made: Plan, assessment: Assessment, before: StoredRun) -> tuple[str, ...]:
    """Return the paths that failed in the earlier run too: one variable decides owner and mode of many."""
    reference = before.assessment(assessment.host) if made.steps else None
    variables = {step.variable for step in made.steps}

    def failing(findings: Iterable[Finding]) -> set[tuple[str, str]]:
        return {
            (each.control.slug, offender.name)
            for each in findings
            if each.control.remediation and each.control.remediation.variable in variables
            for offender in each.verdict.offenders
        }

    earlier = failing(reference.findings) if reference else set()
    worse = failing(each for step in made.steps for each in step.findings) - earlier
    spared = {name for _, name in failing(assessment.findings) & earlier} - {name for _, name in worse}
    return tuple(sorted(filter(_PATH.fullmatch, spared)))
