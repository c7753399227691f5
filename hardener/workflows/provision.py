"""Provision a fleet: install Docker on hosts without it, configure it before its first start, and harden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hardener.fleet import Fleet, State, requests
from hardener.plan import Plan
from hardener.workflows.change import (
    ChangeRequest,
    ChangeResult,
    ChangeResultListener,
    Session,
    carry_out,
    open_session,
)
from hardener.workflows.remediate import RemediationResult, remediate

# The reason in an assessment where Docker is not installed or was not started yet.
_WITHOUT = ("none", "not answering")


class ProvisionListener(ChangeResultListener, Protocol):
    """Receives the progress of provisioning."""

    def installing(self, hosts: Sequence[str]) -> None:
        """Report that Docker will be installed on these hosts."""


def provision(request: ChangeRequest, listener: ProvisionListener) -> ChangeResult:
    """Install Docker on the hosts that have none, then do what ``harden`` does, batch by batch.

    Args:
        request: what is changed.
        listener: receives the progress.

    Raises:
        HardenerError: an option is invalid, or Ansible stopped before any host.
    """
    # Docker is installed by one transaction, and the host hardened by another.
    with open_session("provision", request, listener, one_transaction=False) as session:
        with session.assess_fleet(snapshots="before", wishes=session.request.selection.has_wishes) as before:
            confirmed = session.change_run.confirmed
            without = (
                frozenset(each.host for each in before if each.facts.get("docker") in _WITHOUT) - confirmed
            )
            known = {host: each for host, each in session.plans(before).items() if host not in confirmed}
        listener.withheld(list(known.values()))
        due = {each.host for each in session.due([known[host] for host in known if host not in without])}
        hosts = [host for host in known if host in without or host in due]
        if not without.issuperset(hosts) or not hosts:
            listener.planned([known[host] for host in hosts if host not in without])

        def work(fleet: Fleet, batch: Sequence[str]) -> RemediationResult:
            bare = [host for host in batch if host in without]
            installed = _install(session, fleet, listener, bare) if bare else RemediationResult()
            plans = {host: known[host] for host in batch if request.changes.check or host not in without}
            begun = [host for host in bare if host not in {**installed.failed, **installed.not_begun}]
            if begun and not request.changes.check:
                found, unreached = _planned(session, fleet.only(begun), listener)
                plans |= found
                installed += RemediationResult(failed=unreached)
            todo = [each for each in plans.values() if not each.is_empty]
            return installed + remediate(fleet, todo, request.changes, listener)

        return carry_out(session, hosts, work, baseline=before, failed=session.unreached(before))


def _planned(
    session: Session, fleet: Fleet, listener: ProvisionListener
) -> tuple[dict[str, Plan], dict[str, str]]:
    """Audit hosts on which Docker was installed; return their plans, and the unreachable hosts."""
    with session.look(fleet, wishes=session.request.selection.has_wishes) as current:
        plans = session.plans(current)
        unreached = session.unreached(current)
    listener.withheld(list(plans.values()))
    listener.planned([each for each in plans.values() if not each.is_empty])
    return plans, unreached


def _install(
    session: Session, fleet: Fleet, listener: ProvisionListener, hosts: Sequence[str]
) -> RemediationResult:
    """Install Docker on these hosts."""
    changes = session.request.changes
    listener.installing(hosts)
    rolled_back = set()
    not_begun = {}
    request = requests.install(fleet, hosts, changes.limits, check=changes.check, differences=changes.diff)
    with request, listener.phase("check" if changes.check else "install") as phase:
        for answer in request.each(phase):
            if answer.state is State.CHANGED:
                phase.changed(answer)
            if answer.rolled_back:
                rolled_back.add(answer.host)
            if answer.not_begun:
                not_begun[answer.host] = answer.not_begun
    outcomes = request.outcomes
    failed = {
        host: outcomes[host].reason
        for host in hosts
        if host not in not_begun and not outcomes[host].ended_well
    }
    return RemediationResult(failed=failed, rolled_back=frozenset(rolled_back), not_begun=not_begun)
