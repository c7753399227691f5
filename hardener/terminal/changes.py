"""Show on standard error the planned changes, the batches of a run, and the changes that were not made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from hardener.batches import Batch
from hardener.comparison.wishes import WishComparison
from hardener.history.journal import Unfinished
from hardener.plan import Fate, Outlook, Plan
from hardener.text import first, line

_HOSTS_NAMED = 5
_LEFT = {Fate.HELD: "held", Fate.BLOCKED: "blocked"}


def planned(plans: Sequence[Plan]) -> Iterator[str]:
    """Show the planned changes, with hosts that need the same changes in one line."""
    alike: dict[str, list[str]] = {}
    for plan in plans:
        failing = {
            role: sum(len(step.findings) for step in plan.steps if step.role == role)
            for role in plan.variables
        }
        steps = ", ".join(
            f"{role} ({count} failing)" if count else f"{role} (set by the inventory)"
            for role, count in failing.items()
        )
        alike.setdefault(steps, []).append(line(plan.host))
    for what, hosts in alike.items():
        yield f"plan: {_listed(hosts)}: {what}"
    if not plans:
        yield "plan: no role remediates a failing control, and no value of the inventory has to be applied"


def withheld(plans: Sequence[Plan]) -> Iterator[str]:
    """Show the steps that are omitted because they would also change waived controls."""
    alike: dict[str, list[str]] = {}
    for plan in plans:
        for each in plan.withheld:
            slugs = ", ".join(finding.control.slug for finding in each.step.findings)
            what = f"not changed: {slugs} ({each.step.variable}): {line(each.reason, 600)}"
            alike.setdefault(what, []).append(line(plan.host))
    for what, hosts in alike.items():
        yield f"plan: {_listed(hosts)}: {what}"


def remaining(outlooks: Sequence[Outlook]) -> Iterator[str]:
    """Show the steps that were not carried out, with reasons."""
    for each in outlooks:
        for decision in each.decisions:
            if decision.fate in _LEFT:
                slugs = ", ".join(finding.control.slug for finding in decision.step.findings)
                what = f"{_LEFT[decision.fate]} ({decision.impact}): {slugs}"
                yield f"{line(each.host)}: {what}: {line(decision.reason, 2000)}"
        for wish in each.wishes:
            if wish.fate in _LEFT:
                what = f"{_LEFT[wish.fate]} ({wish.impact}): {line(wish.name)}"
                yield f"{line(each.host)}: {what}: {line(wish.reason, 2000)}"
        for left in each.left:
            yield f"{line(each.host)}: {line(left)}"


def wishes(found: WishComparison) -> Iterator[str]:
    """Show the differences between hosts and the wishes of their inventory, each once."""
    return iter(dict.fromkeys(_wishes(found)))


def _wishes(found: WishComparison) -> Iterator[str]:
    for host, results in found.left.items():
        for each in results:
            why = f": {line(each.reason, 2000)}" if each.reason else ""
            yield f"{line(host)}: drifted from the inventory: {line(each.name)}{why}"
    for host, results in found.pending.items():
        for each in results:
            why = line(each.reason, 2000) or "`hardener plan` shows it"
            yield f"{line(host)}: not applied yet: {line(each.name)}: {why}"
    for host, reason in found.unknown.items():
        yield f"{line(host)}: not compared with the inventory: {line(reason, 2000)}"


def _listed(hosts: Sequence[str]) -> str:
    more = f" and {len(hosts) - _HOSTS_NAMED} more" if len(hosts) > _HOSTS_NAMED else ""
    return f"{', '.join(hosts[:_HOSTS_NAMED])}{more}"


def host_states(run: Unfinished, states: Mapping[str, str]) -> Iterator[str]:
    """Name every host of an unfinished run, by its state."""
    alike: dict[str, list[str]] = {}
    for host, state in states.items():
        alike.setdefault(str(state), []).append(line(host))
    yield f"resume: run {run.run}"
    for state, names in alike.items():
        yield f"{state}: {', '.join(names)}"


def divided(batches: Sequence[Batch], most_failures: int) -> Iterator[str]:
    """Show the sizes of the batches in their order."""
    parts = []
    if batches and batches[0].is_canary:
        parts.append(f"canaries {', '.join(first([line(host) for host in batches[0].hosts], _HOSTS_NAMED))}")
    sizes = Counter(len(batch.hosts) for batch in batches if not batch.is_canary)
    parts += [f"{count} batch{'' if count == 1 else 'es'} of {size}" for size, count in sizes.items()]
    yield f"batches: {', then '.join(parts) or 'none'}; {most_failures} may fail"


def begins(number: int, batches: int, batch: Batch) -> str:
    """Name the hosts of a batch."""
    what = "canaries" if batch.is_canary else "batch"
    names = ", ".join(first([line(host) for host in batch.hosts], _HOSTS_NAMED))
    return f"{what} ({number} of {batches}): {names}"


def not_begun(hosts: Mapping[str, str]) -> Iterator[str]:
    """Name every host whose change was never begun, hosts with the same reason in one line."""
    alike: dict[str, list[str]] = {}
    for host, reason in hosts.items():
        alike.setdefault(reason, []).append(line(host))
    for reason, names in alike.items():
        yield f"not begun: {', '.join(names)}: {line(reason, 1000)}"
