"""Carry out plans on the hosts of a fleet, one transaction for each host, and report the results."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Protocol

from hardener import catalogue
from hardener.errors import ExitCode
from hardener.fleet import Fleet, requests
from hardener.fleet.answers import ChangeAnswer
from hardener.history import AssessmentStore
from hardener.plan import Outlook, Plan, outlook, plan
from hardener.planfile import Reviewed
from hardener.workflows import exit_codes
from hardener.workflows.listener import ChangePhase, Listener
from hardener.workflows.options import Changes, Selection


class ChangeListener(Listener, Protocol):
    """Receives the progress of a workflow that changes hosts."""

    def phase(self, label: str) -> AbstractContextManager[ChangePhase]:
        """Show a run of Ansible until the context ends."""

    def planned(self, plans: Sequence[Plan]) -> None:
        """Report the plans that will be carried out; hosts without a plan are not changed."""

    def withheld(self, plans: Sequence[Plan]) -> None:
        """Report the steps that are omitted, since they would also remediate a waived control."""

    def remaining(self, outlooks: Sequence[Outlook]) -> None:
        """Report the steps that were not carried out, with reasons."""


@dataclass(frozen=True, slots=True)
class RemediationResult:
    """The results of the plans; ``outlooks`` has one outlook for each host with a plan, in the same order."""

    outlooks: tuple[Outlook, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)  # host to reason
    rolled_back: frozenset[str] = frozenset()
    not_begun: Mapping[str, str] = field(default_factory=dict)  # host to reason

    def __add__(self, later: RemediationResult) -> RemediationResult:
        """Merge the results of two batches."""
        return RemediationResult(
            (*self.outlooks, *later.outlooks),
            {**self.failed, **later.failed},
            self.rolled_back | later.rolled_back,
            {**self.not_begun, **later.not_begun},
        )

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code for the whole run, independent of the second audit."""
        return exit_codes.of_change(
            rolled_back=self.rolled_back, failed=self.failed, not_begun=self.not_begun
        )


def planned(assessments: AssessmentStore, selection: Selection, accepted: Collection[str]) -> dict[str, Plan]:
    """Plan the remediation and the wishes of hosts.

    Args:
        assessments: with the roles that have wishes.
        selection: which controls are remediated, and which wishes applied.
        accepted: the slugs of controls that wishes may weaken.
    """
    plans = {}
    every = catalogue.load(selection.benchmark)
    for each in assessments:
        wishes = selection.wishes(assessments.wishes.get(each.host, ()))
        made = plan(each, wishes, accepted=accepted, controls=every)
        made = replace(made, elsewhere=assessments.elsewhere.get(each.host, {}))
        plans[each.host] = made if selection.repairs else replace(made, steps=(), withheld=())
    return plans


def remediate(
    fleet: Fleet,
    plans: Sequence[Plan],
    changes: Changes,
    listener: ChangeListener,
    *,
    reviewed: Mapping[str, Reviewed] | None = None,
) -> RemediationResult:
    """Apply the planned roles; hosts without a plan are not changed.

    Args:
        fleet: the hosts.
        plans: the plan of each host.
        changes: the allowed changes, and whether they are shown.
        listener: receives the progress.
        reviewed: plans that a person has reviewed; a host refuses what is not exactly that.
    """
    if not plans:
        return RemediationResult()
    answers: dict[str, ChangeAnswer] = {}
    check = changes.check
    request = requests.harden(
        fleet, plans, changes.limits, reviewed=reviewed, check=check, differences=changes.diff
    )
    with request, listener.phase("check" if check else "harden") as phase:
        for answer in request.each(phase):
            answers[answer.host] = answer
            if not check:
                phase.changed(answer)
    outcomes = request.outcomes
    impossible = {host for host, answer in answers.items() if answer.nothing_possible}
    not_begun = {host: answer.not_begun for host, answer in answers.items() if answer.not_begun}
    return RemediationResult(
        outlooks=tuple(_outlook(plan, answers.get(plan.host), outcomes[plan.host].reason) for plan in plans),
        failed={
            plan.host: outcomes[plan.host].reason
            for plan in plans
            if plan.host not in not_begun
            and not outcomes[plan.host].ended_well
            and plan.host not in impossible
        },
        rolled_back=frozenset(host for host, answer in answers.items() if answer.rolled_back),
        not_begun=not_begun,
    )


def _outlook(plan: Plan, answer: ChangeAnswer | None, reason: str) -> Outlook:
    if answer is None:
        return outlook(plan, None, failure=reason or "the host gave no answer")
    return outlook(plan, answer.result, failure=answer.reason)
