"""Roll hosts back to their state before a run, or release them to their state before hardener."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from hardener.batches import AT_ONCE, Batches
from hardener.errors import ExitCode
from hardener.fleet import Fleet, State, requests
from hardener.fleet.answers import Watcher
from hardener.workflows import exit_codes
from hardener.workflows.change_run import ChangeRun
from hardener.workflows.inventory_lock import inventory_lock
from hardener.workflows.listener import Listener
from hardener.workflows.options import Target
from hardener.workflows.remediate import RemediationResult
from hardener.workflows.rollout import Rollout, RolloutListener, canary_group

if TYPE_CHECKING:
    from hardener.fleet.answers import Answers, ChangeAnswer
    from hardener.fleet.events import Outcome


class RollbackPhase(Watcher, Protocol):
    """Receives the results of hosts that are rolled back or released."""

    def runs_listed(self, answer: ChangeAnswer) -> None:
        """Receive the list of runs of a host."""

    def rolled_back(self, answer: ChangeAnswer) -> None:
        """Receive the rollback of a host, or its prediction in check mode."""

    def released(self, answer: ChangeAnswer, *, check: bool) -> None:
        """Receive the release of a host, or its prediction in check mode."""


class RollbackListener(Listener, RolloutListener, Protocol):
    """Receives the progress of a rollback or a release."""

    def phase(self, label: str) -> AbstractContextManager[RollbackPhase]:
        """Show a run of Ansible until the context ends."""


def roll_back(
    target: Target,
    listener: RollbackListener,
    *,
    run_id: str,
    listing: bool,
    check: bool,
    diff: bool,
    batches: Batches = AT_ONCE,
) -> ExitCode:
    """Roll back the last run of every host, or one run and all later ones.

    Args:
        target: the hosts.
        listener: receives the progress.
        run_id: the earliest run to roll back; empty for the last one.
        listing: only list the runs; change nothing.
        check: only predict; change nothing.
        diff: report every change.
        batches: how the hosts are divided, and how many may fail.
    """

    def ask(fleet: Fleet, *, listing: bool, check: bool) -> Answers[ChangeAnswer]:
        return requests.roll_back(fleet, run_id, listing=listing, check=check, differences=diff)

    fleet = target.reach()
    with inventory_lock(target, listener, changing=not (listing or check)):
        if listing:
            with ask(fleet, listing=True, check=check) as answers, listener.phase("list") as phase:
                for answer in answers.each(phase):
                    (phase.runs_listed if answer.state is State.OK else phase.rolled_back)(answer)
            return exit_codes.complete(answers.all_well())

        def work(fleet: Fleet, _hosts: Sequence[str]) -> RemediationResult:
            with ask(fleet, listing=False, check=check) as answers, listener.phase("rollback") as phase:
                for answer in answers.each(phase):
                    phase.rolled_back(answer)
            return RemediationResult(failed=_failed(answers.outcomes))

        # A host that is rolled back as asked has not failed.
        return _in_batches(
            target,
            fleet,
            listener,
            work,
            batches=batches,
            check=check,
            predict=lambda some: ask(some, listing=False, check=True),
        ).exit_code


def release(
    target: Target,
    listener: RollbackListener,
    *,
    role: str,
    even_unsafe: bool,
    accept_losses: Sequence[str] = (),
    check: bool,
    diff: bool,
    batches: Batches = AT_ONCE,
) -> ExitCode:
    """Release every host: restore its state before hardener.

    Args:
        target: the hosts.
        listener: receives the progress.
        role: restore only what this role owns; empty for everything.
        even_unsafe: give back owners and modes by which others than root can write, too.
        accept_losses: what may stop working; see ``--accept-loss``.
        check: only predict; change nothing.
        diff: report every change.
        batches: how the hosts are divided, and how many may fail.
    """

    def ask(fleet: Fleet, *, check: bool) -> Answers[ChangeAnswer]:
        limits = requests.Limits(accept_losses=accept_losses)
        return requests.release(fleet, role, limits, even_unsafe=even_unsafe, check=check, differences=diff)

    def work(fleet: Fleet, _hosts: Sequence[str]) -> RemediationResult:
        rolled_back = set()
        not_begun = {}
        with (
            ask(fleet, check=check) as answers,
            listener.phase("check" if check else "release") as phase,
        ):
            for answer in answers.each(phase):
                if answer.rolled_back:
                    rolled_back.add(answer.host)
                if answer.not_begun:
                    not_begun[answer.host] = answer.not_begun
                phase.released(answer, check=check)
        failed = {host: why for host, why in _failed(answers.outcomes).items() if host not in not_begun}
        return RemediationResult(failed=failed, rolled_back=frozenset(rolled_back), not_begun=not_begun)

    fleet = target.reach()
    with inventory_lock(target, listener, changing=not check):
        return _in_batches(
            target,
            fleet,
            listener,
            work,
            batches=batches,
            check=check,
            predict=lambda some: ask(some, check=True),
        ).exit_code


def _in_batches(
    target: Target,
    fleet: Fleet,
    listener: RollbackListener,
    work: Callable[[Fleet, Sequence[str]], RemediationResult],
    *,
    batches: Batches,
    check: bool,
    predict: Callable[[Fleet], Answers[ChangeAnswer]],
) -> RemediationResult:
    """Change all hosts, in batches if requested.

    A prediction in check mode finds the hosts that have something to change; the check after a batch is
    whether its hosts can be reached. Hosts that refuse the prediction are not begun and do not count against
    the limit; they make the run incomplete.
    """
    canaries = canary_group(target, batches)
    change_run = ChangeRun(target, fleet, listener=listener)
    if not check:
        change_run.begin(str(uuid4()), seen=0)  # no audit tells which numbers its hosts know
    rollout = Rollout(
        canaries=canaries, change_run=change_run, batches=batches, check=check, listener=listener
    )
    if check or not batches.is_divided:
        return rollout.at_once([], work)

    def ask(fleet: Fleet, label: str) -> tuple[list[str], Mapping[str, Outcome]]:
        with predict(fleet) as answers, listener.phase(label) as phase:
            would = {answer.host for answer in answers.each(phase) if answer.would_change}
        return [host for host in answers.outcomes if host in would], answers.outcomes

    def unreachable(outcomes: Mapping[str, Outcome]) -> dict[str, str]:
        return {host: each.reason for host, each in outcomes.items() if each.state is State.UNREACHABLE}

    hosts, outcomes = ask(change_run.fleet, "check")
    done = rollout.run(
        hosts,
        work,
        population=len(outcomes),
        failed=unreachable(outcomes),
        look=lambda some, _hosts: unreachable(ask(some, "check the batch")[1]),
    )
    return RemediationResult(failed=_failed(outcomes)) + done


def _failed(outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    return {host: each.reason for host, each in outcomes.items() if not each.ended_well}
