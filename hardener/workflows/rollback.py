"""Take back what was changed on hosts, run by run, or give hosts back as they were before hardener."""

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
    """Is told of hosts whose changes are taken back."""

    def runs_listed(self, answer: ChangeAnswer) -> None:
        """A host has listed its runs."""

    def taken_back(self, answer: ChangeAnswer) -> None:
        """A host has taken runs back, or says what it would do."""

    def given_back(self, answer: ChangeAnswer, *, check: bool) -> None:
        """A host is as it was before hardener, or says what it would do."""


class RollbackListener(Listener, Protocol):
    """Is told what a rollback or a release does."""

    def phase(self, label: str) -> AbstractContextManager[RollbackPhase]:
        """Ansible runs for a purpose, until the end of the context."""


def roll_back(
    target: Target, listener: RollbackListener, *, run_id: str, listing: bool, check: bool, diff: bool
) -> ExitCode:
    """Take back the last run of every host, or one and all that came after it.

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
    """Give every host back as it was before hardener.

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
