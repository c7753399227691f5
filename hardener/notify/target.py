"""The interface of notification targets; a failed delivery never fails a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from hardener.text import line


class NotDelivered(Exception):  # noqa: N818 - an event, not a defect
    """The reason why a target did not accept a message; safe to show."""


class Target(ABC):
    """A target of notifications."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Return a name to show to people, without secrets."""

    @abstractmethod
    def send(self, message: bytes) -> None:
        """Deliver a message, within half a minute.

        Raises:
            NotDelivered: it did not take it.
        """


def deliver(targets: Iterable[Target], message: bytes, *, warn: Callable[[str], None]) -> None:
    """Deliver a message to all targets; each failed delivery is a warning of one line.

    Args:
        targets: who.
        message: what, as JSON.
        warn: called with the line.
    """
    for target in targets:
        try:
            target.send(message)
        except NotDelivered as error:
            warn(f"{line(target.name)} was not notified: {line(str(error))}")
