"""Build the notification as one JSON document in ASCII (``notification.schema.json``), and deliver it.

Its size is limited: long lists are cut to their first entries and the number of the others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hardener import __version__
from hardener.comparison import Drift
from hardener.comparison.document import DocumentLimits, drift_document
from hardener.errors import ExitCode
from hardener.reports.lib.serial import compact
from hardener.text import line, scalar

SCHEMA = "hardener/notification/1"
_EVENTS = {
    ExitCode.COMPLIANT: "no-drift",
    ExitCode.INCOMPLETE: "incomplete",
    ExitCode.ROLLED_BACK: "rolled-back",
    ExitCode.DRIFTED: "drift",
    ExitCode.REPAIRED: "repaired",
    ExitCode.NOT_BEGUN: "incomplete",
}
_LIMITS = DocumentLimits(changes=200, hosts=100, details=20, text=500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The result of a run over an inventory.

    ``found`` are the changes, ``left`` those that remain after a repair, ``wishes`` by host the variables of
    the inventory that were applied and that the host has no longer. ``error`` is the reason why a run failed
    before it could compare.
    """

    inventory: str
    exit_code: ExitCode
    run: str = ""
    against: str = ""
    found: Drift | None = None
    left: Drift | None = None
    wishes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    error: str = ""


def message(event: Event) -> bytes:
    """Return the document that describes an event, as bytes for a target."""
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
        "wishes": {
            _text(host): [_text(name) for name in names[: _LIMITS.details]]
            for host, names in list(event.wishes.items())[: _LIMITS.hosts]
        },
    }
    return compact(document).encode("ascii")


def _drift(drift: Drift | None) -> dict[str, Any] | None:
    return drift_document(drift, _LIMITS) if drift else None


def _text(text: str) -> str:
    return scalar(text, _LIMITS.text)


class NotDelivered(Exception):  # noqa: N818 - an event, not a defect
    """A target did not accept a message; the text is the reason, safe to show."""


class Target(ABC):
    """A target that receives notifications."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Return a name to show to people, without secrets."""

    @abstractmethod
    def send(self, message: bytes) -> None:
        """Deliver a message, within half a minute.

        Raises:
            NotDelivered: the target did not accept it.
        """


def deliver(targets: Iterable[Target], message: bytes, *, warn: Callable[[str], None]) -> None:
    """Deliver a message to all targets; each failed delivery is a warning of one line.

    Args:
        targets: the targets.
        message: the message, as JSON.
        warn: called with the line of each warning.
    """
    for target in targets:
        try:
            target.send(message)
        except NotDelivered as error:
            warn(f"{line(target.name)} was not notified: {line(str(error))}")
