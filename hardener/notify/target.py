"""The interface of notification targets; a failed delivery never fails a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from hardener.text import line


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
