"""Decide every exit code of the workflows, and which of several counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hardener.errors import ExitCode
from hardener.model import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.activity import HostActivity
    from hardener.comparison import Drift
    from hardener.scan.record import Scan
    from hardener.workload.verdict import Verdict

# By increasing precedence: of several codes the last in this order counts.
EXIT_PRECEDENCE = (
    ExitCode.COMPLIANT,
    ExitCode.REPAIRED,
    ExitCode.INCOMPLETE,
    ExitCode.NOT_COMPLIANT,
    ExitCode.DRIFTED,
    ExitCode.ROLLED_BACK,
)
_TRUSTED = ("verified", "pinned", "allowed", "exempt")


def highest(*codes: ExitCode) -> ExitCode:
    """Choose the code that counts where a run has several."""
    return max(codes, key=EXIT_PRECEDENCE.index)


def of_findings(counts: Mapping[Status, int]) -> ExitCode:
    """Rate an audit: a failing control counts before one that could not be evaluated."""
    if counts.get(Status.FAIL):
        return ExitCode.NOT_COMPLIANT
    return complete(not counts.get(Status.ERROR))


def of_change(*, rolled_back: bool, complete: bool) -> ExitCode:
    """Rate a change of hosts, whatever an audit finds afterwards."""
    if rolled_back:
        return ExitCode.ROLLED_BACK
    return ExitCode.COMPLIANT if complete else ExitCode.INCOMPLETE


def of_drift(drift: Drift) -> ExitCode:
    """Rate a comparison with an earlier run."""
    return ExitCode.DRIFTED if drift.is_drift else complete(drift.is_complete)


def complete(is_complete: bool) -> ExitCode:
    """Rate work that either is complete or is not."""
    return ExitCode.COMPLIANT if is_complete else ExitCode.INCOMPLETE


def of_scans(scans: Iterable[Scan], *, all_hosts: bool, images: bool, openscap: bool) -> ExitCode:
    """Rate a scan: a waiting update or a failing rule counts before what could not be known.

    Args:
        scans: what the hosts found.
        all_hosts: whether every host gave a record.
        images: whether the images were asked for; else those of an earlier scan do not count.
        openscap: whether that was asked for; else the same.
    """
    from hardener.scan.record import State

    states = set()
    is_complete = all_hosts
    for scan in scans:
        states.add(scan.host.state)
        if images:
            states.update(each.state for each in scan.images.values())
            is_complete = is_complete and not scan.engine_error
        if openscap and (found := scan.openscap):
            states.update([State.OUTDATED] if found.failed else [])
            is_complete = is_complete and not (found.error or found.doubtful or found.unchecked)
    if State.OUTDATED in states:
        return ExitCode.NOT_COMPLIANT
    return complete(is_complete and states <= {State.CLEAN})


def of_images(images: Iterable[Mapping[str, Any]], *, all_hosts: bool) -> ExitCode:
    """Rate a verification of images: one that is not trusted counts before one that is not known."""
    statuses = {image["status"] for image in images} - set(_TRUSTED)
    if statuses - {"unreachable"}:
        return ExitCode.NOT_COMPLIANT
    return complete(all_hosts and not statuses)


def of_activity(observed: Sequence[HostActivity], *, hosts: int) -> ExitCode:
    """Rate what hosts told of denials: something unusual counts before a host that told not all.

    Args:
        observed: what was told.
        hosts: how many hosts were asked.
    """
    if any(window.alarming for each in observed for window in each.windows):
        return ExitCode.NOT_COMPLIANT
    return complete(0 < hosts <= len(observed) and all(each.complete for each in observed))


def of_proof(verdict: Verdict) -> ExitCode:
    """Rate a proof: one that was not exercised proves nothing."""
    from hardener.workload.verdict import Verdict

    if verdict is Verdict.NOT_SAFE:
        return ExitCode.NOT_COMPLIANT
    return complete(verdict is Verdict.SAFE)


def of_waivers(*, unreadable: bool, expired: bool) -> ExitCode:
    """Rate a file of waivers: one that cannot be read counts before one that has expired."""
    if unreadable:
        return ExitCode.USAGE
    return ExitCode.NOT_COMPLIANT if expired else ExitCode.COMPLIANT


def unless_exit_zero(code: ExitCode, exit_zero: bool) -> ExitCode:
    """Apply ``--exit-zero``: a job that only reports does not fail for what it has found."""
    found = (ExitCode.NOT_COMPLIANT, ExitCode.INCOMPLETE)
    return ExitCode.COMPLIANT if exit_zero and code in found else code
