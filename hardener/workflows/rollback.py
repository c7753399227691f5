"""Roll hosts back to before a run, or release them to their state before hardener."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from hardener.errors import ExitCode
from hardener.fleet import State, requests
from hardener.fleet.answers import Watcher
from hardener.workflows import exit_codes
from hardener.workflows.inventory_lock import inventory_lock
from hardener.workflows.listener import Listener
from hardener.workflows.options import Target

if TYPE_CHECKING:
    from hardener.fleet.answers import ChangeAnswer


class RollbackPhase(Watcher, Protocol):
    """Receives the results of hosts that roll back."""

    def runs_listed(self, answer: ChangeAnswer) -> None:
        """Receive the list of runs of a host."""

    def taken_back(self, answer: ChangeAnswer) -> None:
        """Receive the rollback of a host, or its prediction in check mode."""

    def given_back(self, answer: ChangeAnswer, *, check: bool) -> None:
        """Receive the release of a host, or its prediction in check mode."""


class RollbackListener(Listener, Protocol):
    """Receives the progress of a rollback or a release."""

    def phase(self, label: str) -> AbstractContextManager[RollbackPhase]:
        """Show a run of Ansible until the context ends."""


def roll_back(
    target: Target, listener: RollbackListener, *, run_id: str, listing: bool, check: bool, diff: bool
) -> ExitCode:
    """Roll back the last run of every host, or one run and all later ones.

    Args:
        target: the hosts.
        listener: is told what happens.
        run_id: back to before this run; empty for the last one.
        listing: change nothing, only list the runs.
        check: change nothing, only predict.
        diff: tell every change.
    """
    fleet = target.reach()
    with (
        inventory_lock(target, listener, changing=not (listing or check)),
        requests.roll_back(fleet, run_id, listing=listing, check=check, differences=diff) as answers,
        listener.phase("list" if listing else "rollback") as phase,
    ):
        for answer in answers.each(phase):
            if listing and answer.state is State.OK:
                phase.runs_listed(answer)
            else:
                phase.taken_back(answer)
    return exit_codes.complete(answers.all_well())


def release(target: Target, listener: RollbackListener, *, role: str, check: bool, diff: bool) -> ExitCode:
    """Release every host: restore its state before hardener.

    Args:
        target: the hosts.
        listener: is told what happens.
        role: only what this role owns; empty for everything.
        check: change nothing, only predict.
        diff: tell every change.
    """
    fleet = target.reach()
    rolled_back = False
    with (
        inventory_lock(target, listener, changing=not check),
        requests.release(fleet, role, check=check, differences=diff) as answers,
        listener.phase("check" if check else "release") as phase,
    ):
        for answer in answers.each(phase):
            rolled_back = rolled_back or answer.rolled_back
            phase.given_back(answer, check=check)
    return exit_codes.of_change(rolled_back=rolled_back, complete=answers.all_well())
