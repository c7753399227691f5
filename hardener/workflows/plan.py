"""Plan a fleet: audit it, then ask each host in check mode for the changes and their impact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hardener import planfile
from hardener.errors import ExitCode
from hardener.files import require_writable, write_text
from hardener.model import Impact, Severity, Status
from hardener.plan import Outlook, outlook
from hardener.workflows import exit_codes
from hardener.workflows.audit import assess_fleet
from hardener.workflows.options import Changes, DecisionFiles, Selection
from hardener.workflows.remediate import ChangeListener, RemediationResult, planned, remediate

if TYPE_CHECKING:
    from hardener.fleet import Fleet
    from hardener.model import Assessment


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """A request for a plan: hosts, controls, limits and outputs.

    Args:
        reach: gives the fleet; asks for the passwords that are needed, once all else is checked.
        inventory: as the user gave it.
        selection: which controls count.
        decided: the waivers and attestations.
        allow: the greatest allowed impact of a change; None leaves it to the inventory.
        accept_losses: names of what may stop working, for the file.
        accepted: the slugs of controls that wishes may weaken.
        fail_on: the lowest severity of a result that decides the exit code; None for all.
        json_file: the file for ``write_plan``, checked before the audit; None writes none.
    """

    reach: Callable[[], Fleet]
    inventory: str
    selection: Selection
    decided: DecisionFiles
    allow: Impact | None = None
    accept_losses: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    json_file: Path | None = None
    fail_on: Severity | None = None


@dataclass(frozen=True, slots=True)
class PlanResult:
    """The changes that hardening would make on each host, in inventory order, and the time of the plan."""

    outlooks: Sequence[Outlook]
    exit_code: ExitCode
    created: datetime


def plan(request: PlanRequest, listener: ChangeListener) -> PlanResult:
    """Audit hosts, and ask each host what would change for every failing control.

    Args:
        request: the hosts, the controls and the limits.
        listener: receives the progress.

    Raises:
        HardenerError: an option is invalid, or Ansible stopped before any host.
    """
    if request.json_file:
        require_writable(request.json_file)
    selection = request.selection
    decisions = request.decided.read(
        datetime.now(UTC).date(), inventory=request.inventory, found=listener.file_found
    )
    fleet = request.reach()
    with assess_fleet(
        fleet, selection, decisions, snapshots=None, wishes=selection.has_wishes, listener=listener
    ) as assessments:
        plans = planned(assessments, selection, request.accepted)
    changes = Changes(allow=request.allow, confirm_timeout=None, check=True, diff=False, snapshots=None)
    asked = [each for each in plans.values() if not each.is_empty]
    foreseen = RemediationResult(failed=assessments.unreachable) + remediate(fleet, asked, changes, listener)
    answers = {each.host: each for each in foreseen.outlooks}

    def outlook_of(assessment: Assessment) -> Outlook:
        host = assessment.host
        return answers.get(host) or outlook(plans[host], None, failure=assessment.unreachable)

    outlooks = list(map(outlook_of, assessments))
    counts = sum((assessment.counts() for assessment in assessments), Counter[Status]())
    found = exit_codes.of_audit(counts, assessments, request.fail_on)
    code = exit_codes.highest(found, foreseen.exit_code)
    return PlanResult(outlooks, code, datetime.now(UTC))


def write_plan(request: PlanRequest, result: PlanResult) -> None:
    """Write the plan to the requested file: a step of its own, so that the plan can be shown first.

    Args:
        request: the request of the plan.
        result: the plan.

    Raises:
        HardenerError: it cannot be written.
    """
    if request.json_file:
        text = planfile.dump(
            result.outlooks,
            request.selection.benchmark,
            created=result.created,
            accept_losses=request.accept_losses,
        )
        write_text(request.json_file, text)
