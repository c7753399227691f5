"""The middle of ``hardener harden``: say what is planned, run the roles, hear how it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from hardener.cli.diffs import render
from hardener.cli.progress import Progress
from hardener.errors import ExitCode
from hardener.fleet import Fleet, Hosts, State, TaskResult
from hardener.plan import Plan
from hardener.text import line

_HOSTS_NAMED = 5
_ROLLED_BACK = frozenset({"rolled_back", "rollback_failed"})


@dataclass(frozen=True, slots=True)
class Hardened:
    """How hardening went."""

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
        steps = [
            f"{step.role} ({len(step.findings)} failing, impact up to {step.impact})" for step in plan.steps
        ]
        alike.setdefault(", ".join(steps), []).append(line(plan.host))
    for what, hosts in alike.items():
        more = f" and {len(hosts) - _HOSTS_NAMED} more" if len(hosts) > _HOSTS_NAMED else ""
        click.echo(f"plan: {', '.join(hosts[:_HOSTS_NAMED])}{more}: {what}", err=True)
    if not plans:
        click.echo("plan: nothing fails that a role remediates", err=True)


def apply(fleet: Fleet, plans: Sequence[Plan], *, check: bool, diff: bool, plain: bool) -> Hardened:
    """Run the planned roles; hosts without a plan are not touched.

    Args:
        fleet: the hosts.
        plans: what to run on which.
        check: change nothing, only predict.
        diff: show every change on standard output.
        plain: no live progress.
    """
    if not plans:
        return Hardened()
    roles = {plan.host: list(plan.roles) for plan in plans}
    rolled_back: set[str] = set()
    with (
        fleet.run("harden", variables={"harden_plan": roles}, check=check, diff=diff) as run,
        Progress("check" if check else "harden", last="converge", plain=plain) as progress,
    ):
        for event in run:
            progress.show(Hosts(tuple(roles)) if isinstance(event, Hosts) else event)
            if not isinstance(event, TaskResult):
                continue
            if event.action == "converge" and event.state is not State.SKIPPED:
                _tell(event, progress)
                if event.data.get("outcome") in _ROLLED_BACK:
                    rolled_back.add(event.host)
            if diff:
                progress.clear()
                for text in render(event.host, event.data.get("diff")):
                    click.echo(text)
    failed = {host for host, outcome in run.outcomes.items() if host in roles and not outcome.ended_well}
    return Hardened(frozenset(failed), frozenset(rolled_back))


def _tell(event: TaskResult, progress: Progress) -> None:
    """Show what the transaction did on a host, and what it left undone."""
    host = line(event.host)
    if not event.reason and event.data.get("msg"):
        would = "would " if event.data.get("outcome") == "would_change" else ""
        progress.note(f"{host}: {would}{line(str(event.data['msg']), 2000)}")
    for note in event.data.get("notes") or ():
        progress.note(f"{host}: {line(str(note))}", colour="yellow")
