"""Compare two assessments of a host: the change of each finding, and the facts that changed.

One rule (``finding.change_kind``) serves ``harden``, ``drift``, ``diff``, the reports and the notifications.
Pure: no clock, no host, no history.
"""

from hardener.comparison.facts import ChangedFact, ContainerChange, changed_facts, container_changes
from hardener.comparison.finding import ChangeKind, FindingChange, change_kind, finding_changes
from hardener.comparison.fleet import Drift, GroupedChange, GroupedContainerChange

__all__ = [
    "ChangeKind",
    "ChangedFact",
    "ContainerChange",
    "Drift",
    "FindingChange",
    "GroupedChange",
    "GroupedContainerChange",
    "change_kind",
    "changed_facts",
    "container_changes",
    "finding_changes",
]
