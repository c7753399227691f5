"""Remediate the controls that an audit found failing, and audit again: for ``harden`` and ``provision``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Protocol

from hardener.batches import AT_ONCE, Batches
from hardener.comparison.runs import Comparison
from hardener.errors import ExitCode
from hardener.fleet import Fleet, ansible_version
from hardener.history import AssessmentStore
from hardener.model import Decisions, Severity, Status
from hardener.plan import Plan
from hardener.planfile import Reviewed
from hardener.run import RunInfo
from hardener.summary import Summary
from hardener.workflows import exit_codes
from hardener.workflows.audit import assess_fleet
from hardener.workflows.change_run import ChangeRun
from hardener.workflows.inventory_lock import inventory_lock
from hardener.workflows.options import Changes, DecisionFiles, ReportFiles, Selection, Target
from hardener.workflows.recorder import Recorder
from hardener.workflows.remediate import ChangeListener, RemediationResult, planned, remediate
from hardener.workflows.report import report, report_difference, run_info
from hardener.workflows.resume import ResumeListener, confirmed_before
from hardener.workflows.rollout import Rollout, RolloutListener, canary_group


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRequest:
    """A request for changes: hosts, controls, limits and outputs.

    Args:
        target: the hosts.
        selection: which controls count.
        decided: the waivers and attestations.
        changes: the allowed changes, and whether they are shown.
        files: which reports are written.
        batches: how the hosts are divided, and how many may fail.
        fail_on: the lowest severity of a result that decides the exit code; None for all.
        accepted: the slugs of controls that wishes may weaken.
    """

    target: Target
    selection: Selection
    decided: DecisionFiles
    changes: Changes
    files: ReportFiles
    batches: Batches = AT_ONCE
    fail_on: Severity | None = None
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """The result for the hosts: a comparison, or only a summary where nothing was changed."""

    run: RunInfo
    exit_code: ExitCode
    hosts_option: str  # names the hosts in a command
    comparison: Comparison | None = None
    summary: Summary | None = None


class ChangeResultListener(ChangeListener, RolloutListener, ResumeListener, Protocol):
    """Receives the progress of a command that audits, changes and audits again."""

    def changes_reported(self, result: ChangeResult, files: ReportFiles) -> None:
        """Report that the reports are written; Ansible may still be running."""

    def baseline_moved(self, run: str) -> None:
        """Report that the baseline, this run, moves along with what has been changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The constant data of a run that audits, changes and audits again.

    Args:
        verb: the command, as the history names it.
        request: the hosts, the controls and the limits.
        fleet: reaches the hosts.
        change_run: numbers the run.
        recorder: records the audits before the changes and at the end.
        decisions: the waivers and attestations that are applied.
        canaries: the hosts of the group of canaries.
        started: when the run began.
        listener: receives the progress.
    """

    verb: str
    request: ChangeRequest
    fleet: Fleet
    change_run: ChangeRun
    recorder: Recorder
    decisions: Decisions | None
    canaries: frozenset[str]
    started: datetime
    listener: ChangeResultListener

    def run_info(self) -> RunInfo:
        """Return the metadata of an audit of this run that ends now."""
        return run_info(
            self.request.selection,
            self.decisions,
            started=self.started,
            ansible_version=ansible_version(),
            inventory=self.request.target.inventory,
        )

    def look(self, fleet: Fleet, *, wishes: bool = False) -> AbstractContextManager[AssessmentStore]:
        """Audit the hosts of a batch, without recording the audit."""
        return assess_fleet(
            fleet,
            self.request.selection,
            self.decisions,
            snapshots=None,
            label="audit the batch",
            wishes=wishes,
            listener=self.listener,
        )

    def assess_fleet(
        self,
        *,
        snapshots: str = "",
        label: str = "audit",
        done: RemediationResult | None = None,
        wishes: bool = False,
    ) -> AbstractContextManager[AssessmentStore]:
        """Audit the fleet.

        Args:
            snapshots: the name under which they are kept, where the user asked for them.
            label: what the phase is called.
            done: the changes of the run until then.
            wishes: find the roles with wishes of the site.
        """
        return assess_fleet(
            self.fleet,
            self.request.selection,
            self.decisions,
            snapshots=self.request.changes.kept(snapshots) if snapshots else None,
            recorder=self.recorder,
            label=label,
            done=done,
            wishes=wishes,
            listener=self.listener,
        )

    def unreached(self, before: AssessmentStore) -> dict[str, str]:
        """Return the hosts that gave no answer to the audit before the changes, with reasons."""
        return {
            host: f"could not be audited before the change: {reason}"
            for host, reason in before.unreachable.items()
            if host not in self.change_run.confirmed
        }

    def plans(self, assessments: AssessmentStore) -> dict[str, Plan]:
        """Plan the remediation and the wishes of hosts."""
        return planned(assessments, self.request.selection, self.request.accepted)

    def due(self, plans: Sequence[Plan]) -> list[Plan]:
        """Return the plans of hosts that have something to change.

        Hosts on which only wishes may have to be applied are asked first.
        """
        changes = self.request.changes
        asked = [] if changes.check else [each for each in plans if each.wishes and not each.steps]
        predicted = remediate(self.fleet, asked, replace(changes, check=True, diff=False), self.listener)
        complete = [each for each in predicted.outlooks if each.has_all]
        if complete:
            self.listener.remaining(complete)
        hosts = {each.host for each in complete}
        return [each for each in plans if not each.is_empty and each.host not in hosts]

    def roll_out(
        self,
        hosts: Sequence[str],
        work: Callable[[Fleet, Sequence[str]], RemediationResult],
        *,
        before: AssessmentStore,
    ) -> RemediationResult:
        """Change hosts in their batches; each batch is audited before the next begins."""
        rollout = Rollout(
            canaries=self.canaries,
            change_run=self.change_run,
            batches=self.request.batches,
            check=self.request.changes.check,
            listener=self.listener,
        )
        return rollout.change(hosts, work, before=before, assess=self.look)

    def record_before(self, run: RunInfo, before: AssessmentStore) -> None:
        """Record the state of the hosts before any change."""
        counts = sum((assessment.counts() for assessment in before), Counter[Status]())
        self.recorder.finish(f"before {self.verb}", run, before, exit_codes.of_findings(counts))


@contextmanager
def open_session(
    verb: str, request: ChangeRequest, listener: ChangeResultListener, *, one_transaction: bool = True
) -> Iterator[Session]:
    """Check the options, reach the fleet, and hold the lock of its inventory.

    Args:
        verb: the command, as the history names it.
        request: the hosts, the controls and the limits.
        listener: receives the progress.
        one_transaction: whether each host has one transaction in a run.

    Raises:
        HardenerError: an option is invalid.
    """
    started = datetime.now(UTC)
    target, decided = request.target, request.decided
    request.files.keep(target.inventory, *decided.named)
    decisions = decided.read(started.date(), inventory=target.inventory, found=listener.file_found)
    canaries = canary_group(target, request.batches)
    fleet = target.reach()
    with (
        inventory_lock(target, listener, changing=not request.changes.check),
        Recorder(target, request.selection, verb=verb, warn=listener.warning) as recorder,
    ):
        confirmed = confirmed_before(target, fleet, listener, in_one=one_transaction)
        with ChangeRun(target, fleet, listener=listener, confirmed=confirmed) as change_run:
            yield Session(
                verb=verb,
                request=request,
                fleet=fleet,
                change_run=change_run,
                recorder=recorder,
                decisions=decisions,
                canaries=canaries,
                started=started,
                listener=listener,
            )


def change(
    session: Session,
    plans: Sequence[Plan],
    *,
    baseline: AssessmentStore,
    failed: Mapping[str, str] = MappingProxyType({}),
    reviewed: Mapping[str, Reviewed] | None = None,
) -> ChangeResult:
    """Carry out plans, audit again, report, and record.

    Args:
        session: the run.
        plans: the plan of each host.
        baseline: the audit with which the result is compared.
        failed: host to reason: the hosts that have no plan because they cannot be planned for.
        reviewed: plans that a person has reviewed; a host refuses what is not exactly that.
    """
    by_host = {each.host: each for each in plans}

    def work(fleet: Fleet, hosts: Sequence[str]) -> RemediationResult:
        return remediate(
            fleet,
            [by_host[host] for host in hosts],
            session.request.changes,
            session.listener,
            reviewed=reviewed,
        )

    return carry_out(session, list(by_host), work, baseline=baseline, failed=failed)


def carry_out(
    session: Session,
    hosts: Sequence[str],
    work: Callable[[Fleet, Sequence[str]], RemediationResult],
    *,
    baseline: AssessmentStore,
    failed: Mapping[str, str] = MappingProxyType({}),
) -> ChangeResult:
    """Change hosts in their batches, audit again, report, and record.

    Args:
        session: the run.
        hosts: the hosts to change, in inventory order.
        work: changes some of them.
        baseline: the audit with which the result is compared.
        failed: host to reason: the other hosts that were to be changed and cannot be.
    """
    request, listener, recorder = session.request, session.listener, session.recorder
    changing = bool(hosts) and not request.changes.check
    earlier = session.run_info()
    if changing:  # Record the earlier state now, in case this process is killed.
        session.record_before(earlier, baseline)
        session.change_run.begin(earlier.run_id, seen=recorder.seen, hosts=hosts)
    done = session.roll_out(hosts, work, before=baseline)
    if changing:
        session.change_run.ended(hosts, done)  # what the audits between the batches have found too
    listener.remaining(done.outlooks)
    remediation = RemediationResult(failed=failed) + done

    def end(assessments: AssessmentStore) -> ChangeResult:
        run, files = session.run_info(), request.files
        previous = recorder.previous(run) if files.look_back else None
        summary = comparison = None
        if assessments is baseline:
            summary = report(assessments, files, run=run, warn=listener.warning, previous=previous)
            counts = summary.counts
        else:
            comparison = report_difference(
                baseline,
                assessments,
                files,
                earlier=earlier,
                run=run,
                warn=listener.warning,
                previous=previous,
            )
            counts = comparison.after
        found = exit_codes.of_audit(counts, assessments, request.fail_on)
        code = exit_codes.highest(found, remediation.exit_code)
        result = ChangeResult(run, code, request.target.option, comparison, summary)
        listener.changes_reported(result, files)
        verb = f"{session.verb} --check" if request.changes.check else session.verb
        recorder.finish(verb, run, assessments, code)
        if changing and (moved := recorder.baseline()):
            listener.baseline_moved(moved.id)
        if not request.changes.check:
            session.change_run.close(left=bool(done.failed or done.not_begun))
        return result

    if not changing:
        return end(baseline)
    with session.assess_fleet(snapshots="after", label="audit again", done=remediation) as after:
        return end(after)
