"""Audit a fleet: collect snapshots, judge each host as it arrives, write the reports, record the run.

Ansible takes half a second to start. What judges and reports is imported meanwhile, in the functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hardener.errors import ExitCode, HardenerError
from hardener.fleet import ansible_version, requests
from hardener.text import first, line
from hardener.workflows import exit_codes
from hardener.workflows.inventory_lock import inventory_lock
from hardener.workflows.listener import Listener
from hardener.workflows.recorder import Recorder
from hardener.workfolder import temporary_folder

if TYPE_CHECKING:
    from hardener.fleet import Fleet
    from hardener.fleet.answers import Answers, Collected, Watcher
    from hardener.history import AssessmentStore
    from hardener.model import AppliedWish, Assessment, Control, Decisions, Severity
    from hardener.run import RunInfo
    from hardener.summary import Summary
    from hardener.workflows.options import DecisionFiles, ReportFiles, Selection, Target
    from hardener.workflows.remediate import RemediationResult

_FIRST = "audit"  # the label of the first audit of a run
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRequest:
    """A request for an audit: hosts, controls and outputs.

    Args:
        target: the hosts.
        selection: which controls count.
        decided: the waivers and attestations.
        files: which reports are written.
        snapshots: the folder in which snapshots are kept; None keeps none.
        fail_on: the lowest severity of a result that decides the exit code; None for all.
    """

    target: Target
    selection: Selection
    decided: DecisionFiles
    files: ReportFiles
    snapshots: Path | None = None
    fail_on: Severity | None = None


@dataclass(frozen=True, slots=True)
class AuditResult:
    """The result of an audit: the totals, the metadata of the run, and the exit code."""

    summary: Summary
    run: RunInfo
    exit_code: ExitCode
    hosts_option: str  # names the hosts in a command


class AuditListener(Listener, Protocol):
    """Receives the progress of an audit."""

    def audited(self, result: AuditResult, files: ReportFiles) -> None:
        """Report that the reports are written; Ansible may still be running."""


def audit(request: AuditRequest, listener: AuditListener) -> AuditResult:
    """Audit hosts, write the reports, and record the run.

    Args:
        request: what is audited.
        listener: receives the progress.

    Raises:
        HardenerError: an option is invalid, or Ansible stopped before any host.
    """
    started = datetime.now(UTC)
    target, selection, decided, files = request.target, request.selection, request.decided, request.files
    selection.require_controls()
    files.keep(target.inventory, *decided.named)
    decisions = decided.read(started.date(), inventory=target.inventory, found=listener.file_found)
    fleet = target.reach()
    with (
        inventory_lock(target, listener, changing=False),
        Recorder(target, selection, verb="audit", warn=listener.warning) as recorder,
        assess_fleet(
            fleet,
            selection,
            decisions,
            snapshots=request.snapshots,
            files=files,
            recorder=recorder,
            listener=listener,
        ) as assessments,
    ):
        from hardener.workflows.report import report, run_info

        run = run_info(
            selection,
            decisions,
            started=started,
            ansible_version=ansible_version(),
            inventory=target.inventory,
        )
        previous = recorder.previous(run) if files.look_back else None
        summary = report(assessments, files, run=run, warn=listener.warning, previous=previous)
        result = AuditResult(
            summary, run, exit_codes.of_audit(summary.counts, assessments, request.fail_on), target.option
        )
        listener.audited(result, files)
        recorder.finish("audit", run, assessments, result.exit_code)
    return result


@contextmanager
def assess_fleet(
    fleet: Fleet,
    selection: Selection,
    decisions: Decisions | None,
    *,
    snapshots: Path | None,
    listener: Listener,
    files: ReportFiles | None = None,
    recorder: Recorder | None = None,
    label: str = _FIRST,
    done: RemediationResult | None = None,
    wishes: bool = False,
) -> Iterator[AssessmentStore]:
    """Collect and judge snapshots; return the assessments, which can be read repeatedly, in inventory order.

    They are complete when the last host is judged; Ansible ends a moment later, inside the context.

    Args:
        fleet: the hosts.
        selection: which controls count.
        decisions: the waivers and attestations that are applied.
        snapshots: the folder in which snapshots are kept; None keeps none.
        listener: receives the progress.
        files: which reports will be written; their modules are imported while Ansible runs.
        recorder: records the snapshots.
        label: the name of the phase.
        done: the changes of the run; hosts that were not changed as asked are marked with the reason.
        wishes: find the roles with wishes of the site.
    """
    with (
        _snapshot_folder(snapshots) as folder,
        requests.collect(fleet, folder, wishes=wishes) as answers,
    ):
        with listener.phase(label) as phase:
            from hardener.checks import all_checks

            controls = selection.controls()
            all_checks()
            import_module("hardener.workflows.report").prepare(files)
            listener.prepare()
            if recorder:
                recorder.begin()
                listener.expect(recorder.last_time())
            judge = _Judge(
                selection.benchmark,
                controls,
                decisions,
                recorder,
                keep=snapshots is not None,
                done=done,
                wishes_of=fleet.inventory_name if wishes else "",
            )
            assessments = judge.all(answers, phase)
        if decisions and fleet.is_whole and label == _FIRST:
            from hardener.decisions.entries import unknown_names

            groups = {"all"}.union(*answers.groups.values())
            for text in first(unknown_names(decisions, hosts=answers.outcomes, groups=groups), _NAMED):
                listener.warning(text)
        yield assessments


@contextmanager
def _snapshot_folder(kept: Path | None) -> Iterator[Path]:
    """Return a folder for snapshots: a permanent one, or a temporary one.

    Raises:
        HardenerError: the folder cannot be made.
    """
    if kept is None:
        with temporary_folder() as folder:
            yield folder
        return
    try:
        # Facts about a host are confidential.
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HardenerError(f"cannot keep snapshots in {kept}: {error.strerror}") from error
    yield kept.absolute()


class _Judge:
    """Judges each host when its snapshot arrives; hosts without a snapshot are unreachable."""

    def __init__(
        self,
        benchmark: str,
        controls: tuple[Control, ...],
        decisions: Decisions | None,
        recorder: Recorder | None,
        *,
        keep: bool,
        done: RemediationResult | None,
        wishes_of: str,
    ) -> None:
        self._benchmark = benchmark
        self._controls = controls
        self._decisions = decisions
        self._recorder = recorder
        self._keep = keep
        self._done = done
        self._wishes_of = wishes_of
        self._wishes: dict[str, tuple[str, ...]] = {}
        self._elsewhere: dict[str, dict[str, AppliedWish]] = {}

    def all(self, answers: Answers[Collected], watcher: Watcher) -> AssessmentStore:
        """Collect and judge all hosts of a fleet."""
        from hardener.history import AssessmentStore

        judged = AssessmentStore()
        for collected in answers.each(watcher):
            judged.add(self._marked(self._one(collected, answers.groups)))
            if not self._keep:
                collected.snapshot.unlink()
        for host, outcome in answers.outcomes.items():
            if not judged.has(host):
                judged.add(self._marked(self._unreachable(host, outcome.reason, answers.groups)))
        judged.arrange(answers.outcomes)
        judged.wishes |= self._wishes
        judged.elsewhere |= self._elsewhere
        return judged

    def _one(self, collected: Collected, groups: Mapping[str, tuple[str, ...]]) -> Assessment:
        from hardener.assess import assess
        from hardener.snapshot import Snapshot

        host = collected.host
        try:
            snapshot = Snapshot.load(collected.snapshot, name="the answer of the host")
        except HardenerError as error:
            return self._unreachable(host, str(error), groups)
        if snapshot.host != host:
            return self._unreachable(host, f"the snapshot belongs to the host {line(snapshot.host)}", groups)
        assessment = assess(
            snapshot, self._controls, benchmark=self._benchmark, host=host, decisions=self._decisions
        )
        if self._wishes_of:
            from hardener.catalogue import roles as known

            applied = snapshot.wishes()
            own = {each.role for each in applied.values() if each.inventory == self._wishes_of}
            self._wishes[host] = tuple(
                sorted(own.union(collected.wishes) & known())
            )  # a host may name others
            self._elsewhere[host] = {
                document: each for document, each in applied.items() if each.inventory != self._wishes_of
            }
        if self._recorder:
            self._recorder.see(snapshot)
            self._recorder.keep(host, collected.snapshot)
        return assessment

    def _marked(self, assessment: Assessment) -> Assessment:
        """Add to the assessment of a host the reason why it was not changed as asked."""
        host, done = assessment.host, self._done
        if done is None or (host not in done.not_begun and host not in done.failed):
            return assessment
        return replace(
            assessment,
            not_begun=done.not_begun.get(host, ""),
            change_failed=done.failed.get(host, ""),
        )

    def _unreachable(self, host: str, reason: str, groups: Mapping[str, tuple[str, ...]]) -> Assessment:
        from hardener.assess import unreachable

        return unreachable(
            host, reason, self._controls, benchmark=self._benchmark, groups=groups.get(host, ())
        )
