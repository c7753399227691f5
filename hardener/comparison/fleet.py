"""Collect the changes of all hosts, and group identical changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from hardener import catalogue
from hardener.comparison.facts import ChangedFact, ContainerChange
from hardener.comparison.finding import CHANGES, ChangeKind, FindingChange, finding_changes
from hardener.model import Assessment, Finding, Status
from hardener.text import line


@dataclass(slots=True)
class GroupedChange:
    """A change of a control, with all hosts that have exactly this change."""

    change: FindingChange  # of the first host
    hosts: list[str] = field(default_factory=list)


@dataclass(slots=True)
class GroupedContainerChange:
    """A change of a container's identity, with all hosts that have exactly this change."""

    change: ContainerChange
    hosts: list[str] = field(default_factory=list)


class Drift:
    """Compare two runs host by host.

    Attributes:
        hosts: number of hosts that both runs have assessed.
        kinds: number of changed findings, by kind of change.
        unchanged: number of findings that did not change, by status.
        not_compared: hosts that could not be compared, and why.
        controls: slugs of controls that cannot be compared: only one of the runs judged them.
        drifted: slugs of the controls that are worse, by host.
    """

    def __init__(self) -> None:
        self.hosts = 0
        self.kinds: Counter[ChangeKind] = Counter()
        self.unchanged: Counter[Status] = Counter()
        self.not_compared: list[tuple[str, str]] = []
        self.controls: set[str] = set()
        self.drifted: dict[str, set[str]] = {}
        self._changes: dict[object, GroupedChange] = {}
        self._containers: dict[object, GroupedContainerChange] = {}

    def add(
        self,
        before: Assessment | None,
        after: Assessment,
        facts: Callable[[str], tuple[ChangedFact, ...]] = lambda _: (),
        containers: Sequence[ContainerChange] = (),
    ) -> None:
        """Compare one host with its earlier state.

        Args:
            before: its earlier assessment; None without one.
            after: its present assessment.
            facts: returns the changed facts behind a control of this host.
            containers: the containers of this host whose identity changed.
        """
        if why := _not_compared(before, after):
            self.not_compared.append((line(after.host), why))
            return
        assert before
        self.hosts += 1
        slugs = ({finding.control.slug for finding in side.findings} for side in (before, after))
        self.controls |= next(slugs) ^ next(slugs)
        changed = set()
        for change in finding_changes(before, after):
            slug = change.control.slug
            changed.add(slug)
            self._note(replace(change, facts=(*_identities(change, containers), *facts(slug))))
        for container in containers:
            group = self._containers.setdefault(_key(container), GroupedContainerChange(container))
            group.hosts.append(line(after.host))
        self.unchanged.update(
            finding.status
            for finding in after.findings
            if finding.control.slug not in changed | self.controls
        )

    def miss(self, host: str) -> None:
        """Add a host that is missing in the later run."""
        self.not_compared.append((line(host), "was not assessed this time"))

    @property
    def is_drift(self) -> bool:
        """Return whether some control is worse than before."""
        return bool(self.drifted)

    @property
    def is_complete(self) -> bool:
        """Return whether every host was compared, and no control became undecided."""
        return not self.not_compared and not self.kinds[ChangeKind.UNDECIDED]

    def changes(self) -> list[GroupedChange]:
        """Return the changes of controls: most urgent first, then most severe, then by control and hosts."""

        def order(group: GroupedChange) -> tuple[object, ...]:
            change = group.change
            severity = list(type(change.after.severity)).index(change.after.severity)
            return CHANGES.index(change.kind), severity, catalogue.order(change.id), -len(group.hosts)

        return sorted(self._changes.values(), key=order)

    def container_changes(self) -> list[GroupedContainerChange]:
        """Return the changes of containers: first those of containers with a profile of their own."""
        return sorted(
            self._containers.values(), key=lambda each: (not each.change.profiled, each.change.container)
        )

    def _note(self, change: FindingChange) -> None:
        self.kinds[change.kind] += 1
        if change.kind.is_drift:
            self.drifted.setdefault(change.host, set()).add(change.control.slug)
        sides = (_shown(change.before), _shown(change.after))
        same = (change.control.slug, change.kind, sides, change.new, change.gone, change.facts)
        group = self._changes.setdefault(same, GroupedChange(change))
        group.hosts.append(line(change.host))


def _shown(finding: Finding) -> object:
    """Return a finding without its control, and without the parts of the verdict that are never shown."""
    verdict = replace(finding.verdict, expected="", offenders=(), evidence=(), checked=0, undecided=None)
    return verdict, finding.waivers, finding.attestations


def _key(change: ContainerChange) -> object:
    return change.container, change.profiled, tuple((axis.name, axis.texts) for axis in change.axes)


def _identities(change: FindingChange, containers: Sequence[ContainerChange]) -> Iterator[ChangedFact]:
    """Return the changed axes of identity of the containers that are new or removed offenders."""
    named = {each.name for each in (*change.new, *change.gone) if each.kind == "container"}
    for each in containers:
        if each.container in named:
            for axis in each.axes:
                yield ChangedFact(f"container {each.container} {axis.name}", *axis.texts)


def _not_compared(before: Assessment | None, after: Assessment) -> str:
    """Return the reason why a host cannot be compared; empty if it can."""
    if before is None:
        return "was not assessed before"
    if after.unreachable:
        return f"was not audited: {line(after.unreachable)}"
    return f"was not audited before: {line(before.unreachable)}" if before.unreachable else ""
