"""Build the notification: one JSON document in ASCII; its schema is ``notification.schema.json``.

Its size is limited: of long lists it has the first entries and the number of the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hardener import __version__
from hardener.comparison import Drift, GroupedChange, GroupedContainerChange
from hardener.comparison.finding import CHANGES
from hardener.errors import ExitCode
from hardener.model import Offender, Verdict
from hardener.reports.lib.serial import compact
from hardener.text import scalar

SCHEMA = "hardener/notification/1"
_EVENTS = {
    ExitCode.COMPLIANT: "no-drift",
    ExitCode.INCOMPLETE: "incomplete",
    ExitCode.ROLLED_BACK: "rolled-back",
    ExitCode.DRIFTED: "drift",
    ExitCode.REPAIRED: "repaired",
    ExitCode.NOT_BEGUN: "incomplete",
}
_MOVES = 200
_HOSTS = 100  # of one change
_DETAILS = 20  # facts or offenders of one change
_TEXT = 500  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The result of a run over an inventory.

    ``found`` is what had moved, ``left`` what still had after a repair. ``error`` says why a run has failed
    that could not tell what moved.
    """

    inventory: str
    exit_code: ExitCode
    run: str = ""
    against: str = ""
    found: Drift | None = None
    left: Drift | None = None
    error: str = ""


def message(event: Event) -> bytes:
    """Return the document."""
    document = {
        "schema": SCHEMA,
        "tool_version": __version__,
        "event": "failed" if event.error else _EVENTS.get(event.exit_code, "failed"),
        "exit_code": int(event.exit_code),
        "inventory": _text(event.inventory),
        "run": _text(event.run) or None,
        "against": _text(event.against) or None,
        "error": _text(event.error) or None,
        "found": _drift(event.found),
        "left": _drift(event.left),
    }
    return compact(document).encode("ascii")


def _drift(drift: Drift | None) -> dict[str, Any] | None:
    if drift is None:
        return None
    moved, changed = drift.changes(), drift.container_changes()
    return {
        "hosts": drift.hosts,
        "counts": {kind.name.lower(): drift.kinds[kind] for kind in CHANGES},
        "moved": [_moved(each) for each in moved[:_MOVES]],
        "moved_omitted": max(0, len(moved) - _MOVES),
        "changed": [_changed(each) for each in changed[:_MOVES]],
        "changed_omitted": max(0, len(changed) - _MOVES),
        "not_compared": [
            {"host": _text(host), "why": _text(why)} for host, why in drift.not_compared[:_HOSTS]
        ],
        "not_compared_omitted": max(0, len(drift.not_compared) - _HOSTS),
    }


def _moved(alike: GroupedChange) -> dict[str, Any]:
    move = alike.change
    return {
        "control": move.control.slug,
        "id": move.id,
        "title": move.control.title,
        "severity": move.after.severity.value,
        "kind": move.kind.name.lower(),
        "drift": move.kind.is_drift,
        "hosts": [_text(host) for host in alike.hosts[:_HOSTS]],
        "hosts_omitted": max(0, len(alike.hosts) - _HOSTS),
        "before": _verdict(move.before.verdict),
        "after": _verdict(move.after.verdict),
        "new": _offenders(move.new[:_DETAILS]),
        "gone": _offenders(move.gone[:_DETAILS]),
        "facts": [
            {"name": _text(fact.name), "before": _text(fact.before), "after": _text(fact.after)}
            for fact in move.facts[:_DETAILS]
        ],
        "details_omitted": sum(max(0, len(each) - _DETAILS) for each in (move.new, move.gone, move.facts)),
    }


def _changed(alike: GroupedContainerChange) -> dict[str, Any]:
    changed = alike.change
    return {
        "container": _text(changed.container) or None,
        "hosts": [_text(host) for host in alike.hosts[:_HOSTS]],
        "hosts_omitted": max(0, len(alike.hosts) - _HOSTS),
        "axes": [
            {"name": axis.name, "before": _text(axis.texts[0]), "after": _text(axis.texts[1])}
            for axis in changed.axes
        ],
        "profiled": [_text(name) for name in changed.profiled[:_HOSTS]],
        "profiled_omitted": max(0, len(changed.profiled) - _HOSTS),
    }


def _verdict(verdict: Verdict) -> dict[str, str]:
    return {"status": verdict.status.value, "actual": _text(verdict.actual)}


def _offenders(offenders: Iterable[Offender]) -> list[dict[str, str]]:
    return [{"kind": _text(each.kind), "name": _text(each.name)} for each in offenders]


def _text(text: str) -> str:
    return scalar(text, _TEXT)
