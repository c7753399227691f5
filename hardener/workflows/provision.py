"""Provision a fleet: install Docker on hosts without it, configure it before its first start, then harden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hardener.fleet import Fleet, State, requests
from hardener.history import AssessmentStore
from hardener.plan import plan
from hardener.workflows.change import (
    ChangeRequest,
    ChangeResult,
    ChangeResultListener,
    Session,
    carry_out,
    change,
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
    """Install Docker on the hosts that have none, then do what ``harden`` does.

    Args:
        request: what is changed.
        listener: is told what happens.

    Raises:
        HardenerError: an option cannot be meant, or Ansible stopped before any host.
    """
    with open_session("provision", request, listener) as session:
        with session.assess_fleet(snapshots="before") as before:
            without = [
                each.host
                for each in before
                if each.facts.get("docker") in _WITHOUT and each.host not in session.change_run.confirmed
            ]
        if request.batches.wanted and not request.changes.check:
            return _in_batches(session, listener, before, without)
        installing = bool(without) and not request.changes.check
        run = session.run_info()
        if installing:
            session.record_before(run, before)
            session.change_run.begin(run.run_id, seen=session.recorder.seen, hosts=without)
            session.change_run.begun(without)
        installed = RemediationResult()
        if without:
            installed = _install(session, session.change_run.fleet, listener, without)
        if installing:
            session.change_run.ended(without, installed)
        if installed.not_begun:
            listener.not_begun(installed.not_begun)
        current: AssessmentStore | None = None
        if installing:
            with session.assess_fleet() as current:
                pass
        audited = before if current is None else current
        plans = [plan(each) for each in audited if each.host not in session.change_run.confirmed]
        listener.withheld(plans)
        plans = [each for each in plans if each.steps]
        listener.planned(plans)
        return change(
            session,
            plans,
            baseline=before,
            current=current,
            baseline_run=run if installing else None,
            so_far=installed.exit_code,
        )


def _in_batches(
    session: Session, listener: ProvisionListener, before: AssessmentStore, without: Sequence[str]
) -> ChangeResult:
    """Install Docker on the hosts of a batch that have none, and harden the batch before the next begins."""
    known = {each.host: plan(each) for each in before if each.host not in session.change_run.confirmed}
    listener.withheld(list(known.values()))
    hosts = [host for host, each in known.items() if host in without or each.steps]
    listener.planned([known[host] for host in hosts if host not in without])

    def work(fleet: Fleet, batch: Sequence[str]) -> RemediationResult:
        bare = [host for host in batch if host in without]
        installed = RemediationResult()
        plans = {host: known[host] for host in batch if host not in bare}
        if bare:
            installed = _install(session, fleet, listener, bare)
            begun = [host for host in bare if host not in {**installed.failed, **installed.not_begun}]
            with session.look(fleet.only(begun)) as current:
                plans |= {each.host: each for each in map(plan, current)}
        todo = [each for each in plans.values() if each.steps]
        return installed + remediate(fleet, todo, session.request.changes, listener)

    return carry_out(session, hosts, work, baseline=before)


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
