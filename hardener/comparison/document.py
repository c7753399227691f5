"""Build the JSON form of the changes between two runs, for ``diff`` and for notifications.

Where a length is limited, the document has the first entries and the number of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hardener.comparison.finding import CHANGES
from hardener.comparison.fleet import Drift, GroupedChange, GroupedContainerChange
from hardener.model import Offender, Verdict
from hardener.text import scalar

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLimits:
    """The limits of the lengths in a document; None is no limit.

    Args:
        changes: changes of controls, and of containers.
        hosts: hosts of one change.
        details: facts or offenders of one change.
        text: characters of a text.
    """

    changes: int | None = None
    hosts: int | None = None
    details: int | None = None
    text: int = 10_000


def drift_document(drift: Drift, limits: DocumentLimits) -> dict[str, Any]:
    """Return the changes between two runs; ``$defs/drift`` of ``notification.schema.json`` describes them."""
    return _Document(limits).drift(drift)


class _Document:
    def __init__(self, limits: DocumentLimits) -> None:
        self._limits = limits

    def drift(self, drift: Drift) -> dict[str, Any]:
        most = self._limits.changes
        moved, changed, missed = drift.changes(), drift.container_changes(), drift.not_compared
        return {
            "hosts": drift.hosts,
            "counts": {kind.name.lower(): drift.kinds[kind] for kind in CHANGES},
            "moved": [self._control_change(each) for each in moved[:most]],
            "moved_omitted": _omitted(moved, most),
            "changed": [self._changed(each) for each in changed[:most]],
            "changed_omitted": _omitted(changed, most),
            "not_compared": [
                {"host": self._text(host), "why": self._text(why)}
                for host, why in missed[: self._limits.hosts]
            ],
            "not_compared_omitted": _omitted(missed, self._limits.hosts),
        }

    def _control_change(self, alike: GroupedChange) -> dict[str, Any]:
        move, most = alike.change, self._limits.details
        return {
            "control": move.control.slug,
            "id": move.id,
            "title": move.control.title,
            "severity": move.after.severity.value,
            "kind": move.kind.name.lower(),
            "drift": move.kind.is_drift,
            "hosts": self._texts(alike.hosts),
            "hosts_omitted": _omitted(alike.hosts, self._limits.hosts),
            "before": self._verdict(move.before.verdict),
            "after": self._verdict(move.after.verdict),
            "new": self._offenders(move.new[:most]),
            "gone": self._offenders(move.gone[:most]),
            "facts": [
                {
                    "name": self._text(fact.name),
                    "before": self._text(fact.before),
                    "after": self._text(fact.after),
                }
                for fact in move.facts[:most]
            ],
            "details_omitted": sum(_omitted(each, most) for each in (move.new, move.gone, move.facts)),
        }

    def _changed(self, alike: GroupedContainerChange) -> dict[str, Any]:
        changed = alike.change
        return {
            "container": self._text(changed.container) or None,
            "hosts": self._texts(alike.hosts),
            "hosts_omitted": _omitted(alike.hosts, self._limits.hosts),
            "axes": [
                {"name": axis.name, "before": self._text(axis.texts[0]), "after": self._text(axis.texts[1])}
                for axis in changed.axes
            ],
            "profiled": self._texts(changed.profiled),
            "profiled_omitted": _omitted(changed.profiled, self._limits.hosts),
        }

    def _verdict(self, verdict: Verdict) -> dict[str, str]:
        return {"status": verdict.status.value, "actual": self._text(verdict.actual)}

    def _offenders(self, offenders: Iterable[Offender]) -> list[dict[str, str]]:
        return [{"kind": self._text(each.kind), "name": self._text(each.name)} for each in offenders]

    def _texts(self, names: Sequence[str]) -> list[str]:
        return [self._text(name) for name in names[: self._limits.hosts]]

    def _text(self, text: str) -> str:
        return scalar(text, self._limits.text)


def _omitted(items: Sequence[_T], most: int | None) -> int:
    return 0 if most is None else max(0, len(items) - most)
