"""Decide the exit code of every workflow, and the precedence of exit codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hardener.errors import ExitCode
from hardener.model import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.activity import HostActivity
    from hardener.comparison import Drift
    from hardener.model import Assessment, Severity
    from hardener.scan.record import Scan
    from hardener.workload.verdict import Verdict

# By increasing precedence: the last applicable code wins.
EXIT_PRECEDENCE = (
    ExitCode.COMPLIANT,
    ExitCode.REPAIRED,
    ExitCode.INCOMPLETE,
    ExitCode.NOT_COMPLIANT,
    ExitCode.DRIFTED,
    ExitCode.NOT_BEGUN,
    ExitCode.ROLLED_BACK,
)
_TRUSTED = ("verified", "pinned", "allowed", "exempt")


def highest(*codes: ExitCode) -> ExitCode:
    """Return the code with the highest precedence."""
    return max(codes, key=EXIT_PRECEDENCE.index)


def of_findings(counts: Mapping[Status, int]) -> ExitCode:
    """Return the exit code of an audit: a failing control has precedence over an undecided one."""
    if counts.get(Status.FAIL):
        return ExitCode.NOT_COMPLIANT
    return complete(not counts.get(Status.ERROR))


def of_audit(
    counts: Mapping[Status, int], assessments: Iterable[Assessment], fail_on: Severity | None
) -> ExitCode:
    """Return the exit code of an audit, based on results of at least the given severity.

    Args:
        counts: number of results by status.
        assessments: the results; read only where some of them do not count.
        fail_on: the lowest severity that counts; None for all. A host that could not be audited always does.
    """
    if fail_on is None:
        return of_findings(counts)
    severe: Counter[Status] = Counter()
    for assessment in assessments:
        severe.update(each.status for each in assessment.findings if each.severity.is_at_least(fail_on))
        severe[Status.ERROR] += bool(assessment.unreachable)
    return of_findings(severe)


def of_change(*, rolled_back: bool, complete: bool, begun: bool = True) -> ExitCode:
    """Return the exit code of a change, independent of the audit that follows.

    Args:
        rolled_back: whether some host was rolled back.
        complete: whether no host has failed.
        begun: whether every host was begun.
    """
    if rolled_back:
        return ExitCode.ROLLED_BACK
    if not begun:
        return ExitCode.NOT_BEGUN
    return ExitCode.COMPLIANT if complete else ExitCode.INCOMPLETE


def of_drift(drift: Drift, fail_on: Severity | None = None) -> ExitCode:
    """Return the exit code of a comparison with an earlier run.

    Args:
        drift: the changes.
        fail_on: the lowest severity of a result that counts; None for all.
    """
    if fail_on is None:
        return ExitCode.DRIFTED if drift.is_drift else complete(drift.is_complete)
    changes = [each.change for each in drift.changes() if each.change.after.severity.is_at_least(fail_on)]
    if any(change.kind.is_drift for change in changes):
        return ExitCode.DRIFTED
    undecided = any(change.kind.name == "UNDECIDED" for change in changes)
    return complete(not drift.not_compared and not undecided)


def complete(is_complete: bool) -> ExitCode:
    """Return the exit code of work that is either complete or not."""
    return ExitCode.COMPLIANT if is_complete else ExitCode.INCOMPLETE


def of_scans(scans: Iterable[Scan], *, all_hosts: bool, images: bool, openscap: bool) -> ExitCode:
    """Return the exit code of a scan: missing updates and failing rules have precedence over unknown results.

    Args:
        scans: the results of the hosts.
        all_hosts: whether every host gave a record.
        images: whether images were scanned; otherwise images of an earlier scan do not count.
        openscap: whether OpenSCAP was run; otherwise results of an earlier run do not count.
    """
    from hardener.scan.record import ScanState

    states = set()
    is_complete = all_hosts
    for scan in scans:
        states.add(scan.host.state)
        if images:
            states.update(each.state for each in scan.images.values())
            is_complete = is_complete and not scan.engine_error
        if openscap and (found := scan.openscap):
            states.update([ScanState.OUTDATED] if found.failed else [])
            is_complete = is_complete and not (found.error or found.doubtful or found.unchecked)
    if ScanState.OUTDATED in states:
        return ExitCode.NOT_COMPLIANT
    return complete(is_complete and states <= {ScanState.CLEAN})


def of_images(images: Iterable[Mapping[str, Any]], *, all_hosts: bool) -> ExitCode:
    """Return the exit code of a verification of images: untrusted ones have precedence over unknown ones."""
    statuses = {image["status"] for image in images} - set(_TRUSTED)
    if statuses - {"unreachable"}:
        return ExitCode.NOT_COMPLIANT
    return complete(all_hosts and not statuses)


def of_activity(observed: Sequence[HostActivity], *, hosts: int) -> ExitCode:
    """Return the exit code of an activity run: unusual entries have precedence over incomplete observation.

    Args:
        observed: the observations.
        hosts: the number of hosts that were asked.
    """
    if any(window.alarming for each in observed for window in each.windows):
        return ExitCode.NOT_COMPLIANT
    return complete(0 < hosts <= len(observed) and all(each.complete for each in observed))


def of_proof(verdict: Verdict) -> ExitCode:
    """Return the exit code of a proof; without an exercise of the container it is incomplete."""
    from hardener.workload.verdict import Verdict

    if verdict is Verdict.NOT_SAFE:
        return ExitCode.NOT_COMPLIANT
    return complete(verdict is Verdict.SAFE)


def of_waivers(*, unreadable: bool, expired: bool) -> ExitCode:
    """Return the exit code of checking a file of waivers: errors have precedence over expired entries."""
    if unreadable:
        return ExitCode.USAGE
    return ExitCode.NOT_COMPLIANT if expired else ExitCode.COMPLIANT


def unless_exit_zero(code: ExitCode, exit_zero: bool) -> ExitCode:
    """Apply ``--exit-zero``: replace the exit codes of findings by success, for jobs that only report."""
    found = (ExitCode.NOT_COMPLIANT, ExitCode.INCOMPLETE)
    return ExitCode.COMPLIANT if exit_zero and code in found else code
