"""Decide the exit code of every workflow: of the reasons that apply, the last one in ``ExitCode``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hardener.errors import ExitCode
from hardener.model import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.activity import HostActivity
    from hardener.comparison import Drift
    from hardener.comparison.wishes import WishComparison
    from hardener.model import Assessment, Severity
    from hardener.scan.record import Scan
    from hardener.workload.verdict import Verdict

_PRECEDENCE = tuple(ExitCode)
_TRUSTED = ("verified", "pinned", "allowed", "exempt")


def highest(*codes: ExitCode) -> ExitCode:
    """Return the code with the highest precedence; without any, the code of success."""
    return max(codes, key=_PRECEDENCE.index, default=ExitCode.COMPLIANT)


def _applicable(reasons: Mapping[ExitCode, object]) -> ExitCode:
    """Return the code with the highest precedence among those whose reason applies."""
    return highest(*(code for code, applies in reasons.items() if applies))


def of_findings(counts: Mapping[Status, int]) -> ExitCode:
    """Return the exit code of an audit."""
    return _applicable(
        {
            ExitCode.NOT_COMPLIANT: counts.get(Status.FAIL),
            ExitCode.INCOMPLETE: counts.get(Status.ERROR),
        }
    )


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


def of_change(
    *, rolled_back: Collection[str], failed: Collection[str], not_begun: Collection[str]
) -> ExitCode:
    """Return the exit code of a change, or of its prediction, independent of the audit that follows.

    Args:
        rolled_back: the hosts that were rolled back.
        failed: the hosts that failed, refused the change or could not be reached for it.
        not_begun: the hosts that were not begun.
    """
    return _applicable(
        {
            ExitCode.ROLLED_BACK: rolled_back,
            ExitCode.CHANGE_FAILED: failed,
            ExitCode.NOT_BEGUN: not_begun,
        }
    )


def of_drift(drift: Drift, fail_on: Severity | None = None) -> ExitCode:
    """Return the exit code of a comparison with an earlier run.

    Args:
        drift: the changes.
        fail_on: the lowest severity of a result that counts; None for all.
    """
    if fail_on is None:
        return _applicable({ExitCode.DRIFTED: drift.is_drift, ExitCode.INCOMPLETE: not drift.is_complete})
    changes = [each.change for each in drift.changes() if each.change.after.severity.is_at_least(fail_on)]
    undecided = any(change.kind.name == "UNDECIDED" for change in changes)
    return _applicable(
        {
            ExitCode.DRIFTED: any(change.kind.is_drift for change in changes),
            ExitCode.INCOMPLETE: drift.not_compared or undecided,
        }
    )


def complete(is_complete: bool) -> ExitCode:
    """Return the exit code of work that is either complete or not."""
    return ExitCode.COMPLIANT if is_complete else ExitCode.INCOMPLETE


def of_wishes(found: WishComparison) -> ExitCode:
    """Return the exit code of a comparison with wishes; those not applied yet do not count."""
    return _applicable({ExitCode.DRIFTED: found.left, ExitCode.INCOMPLETE: found.unknown})


def of_scans(scans: Iterable[Scan], *, all_hosts: bool, images: bool, openscap: bool) -> ExitCode:
    """Return the exit code of a scan: of missing updates and failing rules, and of unknown results.

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
    return _applicable(
        {
            ExitCode.NOT_COMPLIANT: ScanState.OUTDATED in states,
            ExitCode.INCOMPLETE: not is_complete or states - {ScanState.CLEAN},
        }
    )


def of_images(images: Iterable[Mapping[str, Any]], *, all_hosts: bool) -> ExitCode:
    """Return the exit code of a verification of images: of untrusted ones, and of unknown ones."""
    statuses = {image["status"] for image in images} - set(_TRUSTED)
    return _applicable(
        {
            ExitCode.NOT_COMPLIANT: statuses - {"unreachable"},
            ExitCode.INCOMPLETE: not all_hosts or statuses,
        }
    )


def of_activity(observed: Sequence[HostActivity], *, hosts: int) -> ExitCode:
    """Return the exit code of an activity run: of unusual entries, and of incomplete observation.

    Args:
        observed: the observations.
        hosts: the number of hosts that were asked.
    """
    is_complete = 0 < hosts <= len(observed) and all(each.complete for each in observed)
    return _applicable(
        {
            ExitCode.NOT_COMPLIANT: any(window.alarming for each in observed for window in each.windows),
            ExitCode.INCOMPLETE: not is_complete,
        }
    )


def of_proof(verdict: Verdict) -> ExitCode:
    """Return the exit code of a proof; without an exercise of the container it is incomplete."""
    from hardener.workload.verdict import Verdict

    return _applicable(
        {
            ExitCode.NOT_COMPLIANT: verdict is Verdict.NOT_SAFE,
            ExitCode.INCOMPLETE: verdict is not Verdict.SAFE,
        }
    )


def of_waivers(*, unreadable: bool, expired: bool) -> ExitCode:
    """Return the exit code of checking a file of waivers: of errors, and of expired entries."""
    return _applicable({ExitCode.USAGE: unreadable, ExitCode.NOT_COMPLIANT: expired})


def unless_exit_zero(code: ExitCode, exit_zero: bool) -> ExitCode:
    """Apply ``--exit-zero``: replace the exit codes of findings by success, for jobs that only report."""
    found = (ExitCode.NOT_COMPLIANT, ExitCode.INCOMPLETE)
    return ExitCode.COMPLIANT if exit_zero and code in found else code
