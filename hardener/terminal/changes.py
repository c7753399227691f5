"""Tell a person on standard error what will be done to hosts, and what was left undone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hardener.plan import Fate, Outlook, Plan
from hardener.text import line

_HOSTS_NAMED = 5
_LEFT = {Fate.HELD: "held", Fate.BLOCKED: "blocked"}


def planned(plans: Sequence[Plan]) -> Iterator[str]:
    """Say what will be done, once for all hosts that need the same."""
    alike: dict[str, list[str]] = {}
    for plan in plans:
        failing = {
            role: sum(len(step.findings) for step in plan.steps if step.role == role)
            for role in plan.variables
        }
        steps = ", ".join(f"{role} ({count} failing)" for role, count in failing.items())
        alike.setdefault(steps, []).append(line(plan.host))
    for what, hosts in alike.items():
        yield f"plan: {_listed(hosts)}: {what}"
    if not plans:
        yield "plan: nothing fails that a role remediates"


def withheld(plans: Sequence[Plan]) -> Iterator[str]:
    """Say what is not repaired for the sake of what is waived."""
    alike: dict[str, list[str]] = {}
    for plan in plans:
        for each in plan.withheld:
            slugs = ", ".join(finding.control.slug for finding in each.step.findings)
            what = f"left alone: {slugs} ({each.step.variable}): {line(each.reason, 600)}"
            alike.setdefault(what, []).append(line(plan.host))
    for what, hosts in alike.items():
        yield f"plan: {_listed(hosts)}: {what}"


def remaining(outlooks: Sequence[Outlook]) -> Iterator[str]:
    """Say what was not done, and why."""
    for each in outlooks:
        for decision in each.decisions:
            if decision.fate in _LEFT:
                slugs = ", ".join(finding.control.slug for finding in decision.step.findings)
                what = f"{_LEFT[decision.fate]} ({decision.impact}): {slugs}"
                yield f"{line(each.host)}: {what}: {line(decision.reason, 2000)}"
        for left in each.left:
            yield f"{line(each.host)}: {line(left)}"


def _listed(hosts: Sequence[str]) -> str:
    more = f" and {len(hosts) - _HOSTS_NAMED} more" if len(hosts) > _HOSTS_NAMED else ""
    return f"{', '.join(hosts[:_HOSTS_NAMED])}{more}"
