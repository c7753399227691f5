"""Harden a fleet: audit, plan, change what fails, audit again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from hardener import planfile
from hardener.errors import HardenerError
from hardener.plan import Plan
from hardener.planfile import Reviewed
from hardener.text import line
from hardener.workflows.change import ChangeRequest, ChangeResult, ChangeResultListener, change, open_session
from hardener.workflows.remediate import RemediationResult


class HardenListener(ChangeResultListener, Protocol):
    """Receives the progress of hardening."""

    def plan_damaged(self, file: Path, host: str, problem: str) -> None:
        """Report that the reviewed plan of this host is unreadable; the host is not changed."""


def harden(
    request: ChangeRequest, listener: HardenListener, *, plan_file: Path | None = None
) -> ChangeResult:
    """Audit hosts, run the roles that remediate what fails, audit again.

    Args:
        request: what is changed.
        listener: receives the progress.
        plan_file: the reviewed plan to apply; None plans the present failures.

    Raises:
        HardenerError: an option is invalid, the plan does not fit, or Ansible stopped before any host.
    """
    reviewed, damaged, accepted = _reviewed(plan_file, listener)
    accepted += request.changes.accept_loss
    request = replace(request, changes=replace(request.changes, accept_loss=accepted))
    failed = {host: f"its entry in the plan is damaged: {why}" for host, why in damaged.items()}
    with open_session("harden", request, listener) as session:
        with session.assess_fleet(
            snapshots="before", done=RemediationResult(failed=failed), wishes=request.selection.has_wishes
        ) as before:
            confirmed = session.change_run.confirmed
            plans = [each for host, each in session.plans(before).items() if host not in confirmed]
            listener.withheld(plans)
            if reviewed is None:
                failed |= session.unreached(before)
                plans = session.due(plans)
            else:
                _refuse_waived(plans, reviewed)
                plans = [each for each in plans if each.host in reviewed]
                known = confirmed.union(each.host for each in plans)
                _require_all_hosts(reviewed, known, limit=request.target.limit)
            listener.planned(plans)
        return change(
            session,
            plans,
            baseline=before,
            reviewed=reviewed,
            failed=failed,
        )


def _reviewed(
    file: Path | None, listener: HardenListener
) -> tuple[Mapping[str, Reviewed] | None, Mapping[str, str], tuple[str, ...]]:
    """Load a reviewed plan; return also the hosts whose entry is damaged, and the accepted losses."""
    if file is None:
        return None, {}, ()
    loaded = planfile.load(file)
    for host, problem in loaded.damaged.items():
        listener.plan_damaged(file, host, problem)
    return loaded


def _refuse_waived(plans: Sequence[Plan], reviewed: Mapping[str, Reviewed]) -> None:
    """Refuse a reviewed plan that would remediate a control that was waived since.

    Raises:
        HardenerError: the plan does; the message names host and variable.
    """
    for each in plans:
        if each.host not in reviewed:
            continue
        plan = reviewed[each.host]
        for role, variable in each.waived:
            if variable in plan.variables.get(role, ()) and variable not in plan.wishes:
                raise HardenerError(
                    f"{line(each.host)}: the plan would remediate a waived control by {variable}",
                    hint="make a new plan with `hardener plan --json`",
                )


def _require_all_hosts(reviewed: Mapping[str, Reviewed], hosts: AbstractSet[str], *, limit: str) -> None:
    """Require that the inventory has every host of a reviewed plan, unless ``limit`` is set.

    Raises:
        HardenerError: the inventory does not have one.
    """
    missing = sorted(reviewed.keys() - hosts)
    if missing and not limit:
        raise HardenerError(
            f"the plan is for hosts that the inventory does not have: {line(', '.join(missing))}",
            hint="--limit applies it to some of its hosts",
        )
