"""The middle of ``hardener harden`` and ``hardener plan``: say what is planned, run it, hear how it went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click
from ansible_collections.hardener.docker.plugins.module_utils.contract import NOT_STANDING, REFUSED

from hardener.errors import ExitCode
from hardener.fleet import Fleet, Hosts, State, TaskResult
from hardener.plan import Fate, Outlook, Plan, outlook
from hardener.planfile import Reviewed
from hardener.terminal.progress import Progress
from hardener.terminal.unified_diff import render
from hardener.text import line

# What a script must hear of first comes last.
SEVERITY = (
    ExitCode.COMPLIANT,
    ExitCode.REPAIRED,
    ExitCode.INCOMPLETE,
    ExitCode.NOT_COMPLIANT,
    ExitCode.DRIFTED,
    ExitCode.ROLLED_BACK,
)

_HOSTS_NAMED = 5
_LEFT = {Fate.HELD: "held", Fate.BLOCKED: "blocked"}


@dataclass(frozen=True, slots=True)
class Hardened:
    """How hardening went; ``outlooks`` has one a host with a plan, in their order."""

    outlooks: tuple[Outlook, ...] = ()
    failed: frozenset[str] = frozenset()
    rolled_back: frozenset[str] = frozenset()

    @property
    def exit_code(self) -> ExitCode:
        """What it means for the whole run, whatever the second audit finds."""
        if self.rolled_back:
            return ExitCode.ROLLED_BACK
        return ExitCode.INCOMPLETE if self.failed else ExitCode.COMPLIANT


def announce(plans: Sequence[Plan]) -> None:
    """Say on standard error what will be done, once for all hosts that need the same."""
    alike: dict[str, list[str]] = {}
    for plan in plans:
        failing = {
            role: sum(len(step.findings) for step in plan.steps if step.role == role)
            for role in plan.variables
        }
        steps = ", ".join(f"{role} ({count} failing)" for role, count in failing.items())
        alike.setdefault(steps, []).append(line(plan.host))
    for what, hosts in alike.items():
        click.echo(f"plan: {_listed(hosts)}: {what}", err=True)
    if not plans:
        click.echo("plan: nothing fails that a role remediates", err=True)


def tell_withheld(plans: Sequence[Plan]) -> None:
    """Say on standard error what is not repaired for the sake of what is waived."""
    alike: dict[str, list[str]] = {}
    for plan in plans:
        for each in plan.withheld:
            slugs = ", ".join(finding.control.slug for finding in each.step.findings)
            what = f"left alone: {slugs} ({each.step.variable}): {line(each.reason, 600)}"
            alike.setdefault(what, []).append(line(plan.host))
    for what, hosts in alike.items():
        click.echo(f"plan: {_listed(hosts)}: {what}", err=True)


def _listed(hosts: Sequence[str]) -> str:
    more = f" and {len(hosts) - _HOSTS_NAMED} more" if len(hosts) > _HOSTS_NAMED else ""
    return f"{', '.join(hosts[:_HOSTS_NAMED])}{more}"


def apply(
    fleet: Fleet,
    plans: Sequence[Plan],
    *,
    bounds: Mapping[str, object],
    reviewed: Mapping[str, Reviewed] | None = None,
    check: bool,
    diff: bool = False,
    plain: bool,
) -> Hardened:
    """Run the planned roles; hosts without a plan are not touched.

    Args:
        fleet: the hosts.
        plans: what to run on which.
        bounds: variables of the transaction, such as ``converge_allow``; the inventory has the others.
        reviewed: plans that somebody has reviewed; a host refuses what is not exactly that.
        check: change nothing, only predict.
        diff: show every change on standard output.
        plain: no live progress.
    """
    if not plans:
        return Hardened()
    variables = {**bounds, "harden_plan": {plan.host: plan.variables for plan in plans}}
    if reviewed is not None:
        chosen = {host: reviewed[host] for host in (plan.host for plan in plans)}
        variables["harden_plan"] = {host: each.variables for host, each in chosen.items()}
        variables["harden_reviewed"] = {
            host: {"digest": each.digest, "allow": each.allow.value} for host, each in chosen.items()
        }
    hosts = tuple(plan.host for plan in plans)
    answers: dict[str, TaskResult] = {}
    with (
        # The differences are part of a prediction whether they are shown or not.
        fleet.run("harden", variables=variables, check=check, diff=check or diff) as run,
        Progress("check" if check else "harden", last="converge", plain=plain) as progress,
    ):
        for event in run:
            progress.show(Hosts(hosts) if isinstance(event, Hosts) else event)
            if not isinstance(event, TaskResult):
                continue
            if event.action == "converge" and event.state is not State.SKIPPED:
                answers[event.host] = event
                if not check:
                    tell(event, progress)
            if diff:
                progress.clear()
                for text in render(event.host, event.data.get("diff")):
                    click.echo(text)
    outcomes = run.outcomes
    return Hardened(
        outlooks=tuple(_outlook(plan, answers, outcomes[plan.host].reason) for plan in plans),
        failed=frozenset(
            host
            for host in hosts
            if not outcomes[host].ended_well and not _nothing_possible(answers.get(host))
        ),
        rolled_back=frozenset(host for host, answer in answers.items() if rolled_back(answer)),
    )


def _outlook(plan: Plan, answers: Mapping[str, TaskResult], reason: str) -> Outlook:
    answer = answers.get(plan.host)
    if answer is None:
        return outlook(plan, {}, failure=reason or "the host gave no answer")
    return outlook(plan, answer.data, failure=answer.reason)


def _nothing_possible(answer: TaskResult | None) -> bool:
    """Whether a host refused since nothing of the plan is possible there: that is an answer, no failure."""
    return answer is not None and answer.data.get("outcome") == REFUSED and bool(answer.data.get("documents"))


def rolled_back(answer: TaskResult) -> bool:
    """Whether a transaction was taken back, or will be."""
    return answer.data.get("outcome") in NOT_STANDING


def tell(event: TaskResult, progress: Progress) -> None:
    """Show what the transaction did on a host, and what it left undone."""
    host = line(event.host)
    if not event.reason and event.data.get("msg"):
        progress.note(f"{host}: {line(str(event.data['msg']), 2000)}")
    for note in (*(event.data.get("notes") or ()), *(event.data.get("pending") or ())):
        progress.note(f"{host}: {line(str(note))}", colour="yellow")


def tell_left(outlooks: Sequence[Outlook]) -> None:
    """Say on standard error what was not done, and why."""
    for each in outlooks:
        for decision in each.decisions:
            if decision.fate in _LEFT:
                slugs = ", ".join(finding.control.slug for finding in decision.step.findings)
                what = f"{_LEFT[decision.fate]} ({decision.impact}): {slugs}"
                click.echo(f"{line(each.host)}: {what}: {line(decision.reason, 2000)}", err=True)
        for left in each.left:
            click.echo(f"{line(each.host)}: {line(left)}", err=True)
