"""Count findings by inventory group. A host counts in each of its groups: their sum can exceed the total."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hardener.model import Assessment, Status

_MOST = 1000  # groups; a snapshot from elsewhere can name any number


@dataclass(slots=True)
class Group:
    """The findings of one group by status, and the number of its hosts."""

    name: str
    hosts: int = 0
    unreachable: int = 0
    counts: Counter[Status] = field(default_factory=Counter)


class GroupTotals:
    """The findings of a run by group."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}

    def add(self, assessment: Assessment) -> None:
        """Count one host in each of its groups."""
        counts = assessment.counts()
        for name in assessment.groups:
            if name not in self._groups and len(self._groups) >= _MOST:
                continue
            group = self._groups.setdefault(name, Group(name))
            group.hosts += 1
            group.unreachable += bool(assessment.unreachable)
            group.counts.update(counts)

    def all(self) -> list[Group]:
        """Return the groups by name."""
        return sorted(self._groups.values(), key=lambda group: group.name)

    def several(self) -> list[Group]:
        """Return the groups by name; return none for a single group, which would repeat the totals."""
        return self.all() if len(self._groups) > 1 else []
