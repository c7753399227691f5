"""Provision a fleet: install Docker on hosts without it, configure it before its first start, then harden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hardener.errors import ExitCode
from hardener.fleet import State, requests
from hardener.history import AssessmentStore
from hardener.plan import plan
from hardener.workflows import exit_codes
from hardener.workflows.change import (
    ChangeRequest,
    ChangeResult,
    ChangeResultListener,
    Session,
    change,
    open_session,
)

# The reason in an assessment where Docker is not installed or was not started yet.
_WITHOUT = ("none", "not answering")


class ProvisionListener(ChangeResultListener, Protocol):
    """Receives the progress of provisioning."""

    def installing(self, hosts: Sequence[str]) -> None:
        """Report that Docker will be installed on these hosts."""


def provision(request: ChangeRequest, listener: ProvisionListener) -> ChangeResult:
    """Install Docker on the hosts that have none, then do what ``harden`` does.

    Args:
        request: what is changed.
        listener: is told what happens.

    Raises:
        HardenerError: an option cannot be meant, or Ansible stopped before any host.
    """
    with open_session("provision", request, listener) as session:
        with session.assess_fleet(snapshots="before") as before:
            without = [each.host for each in before if each.facts.get("docker") in _WITHOUT]
        installing = bool(without) and not request.changes.check
        run = session.run_info()
        if installing:
            session.record_before(run, before)
        installed = _install(session, listener, without) if without else ExitCode.COMPLIANT
        current: AssessmentStore | None = None
        if installing:
            with session.assess_fleet() as current:
                pass
        plans = list(map(plan, before if current is None else current))
        listener.withheld(plans)
        plans = [each for each in plans if each.steps]
        listener.planned(plans)
        return change(
            session,
            plans,
            baseline=before,
            current=current,
            baseline_run=run if installing else None,
            so_far=installed,
        )


def _install(session: Session, listener: ProvisionListener, hosts: Sequence[str]) -> ExitCode:
    """Install Docker on these hosts."""
    changes = session.request.changes
    listener.installing(hosts)
    rolled_back = False
    request = requests.install(
        session.fleet, hosts, changes.limits, check=changes.check, differences=changes.diff
    )
    with request, listener.phase("check" if changes.check else "install") as phase:
        for answer in request.each(phase):
            if answer.state is State.CHANGED:
                phase.changed(answer)
            rolled_back = rolled_back or answer.rolled_back
    return exit_codes.of_change(rolled_back=rolled_back, complete=request.all_well(hosts))
