"""Who can be told, and the promise that telling costs a run nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from hardener.text import line


class NotDelivered(Exception):  # noqa: N818 - what happened, not a defect
    """Why a target did not take a message; safe to show."""


class Target(ABC):
    """One who is told."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called where people read; nothing secret is in it."""

    @abstractmethod
    def send(self, message: bytes) -> None:
        """Hand a message over, within half a minute.

        Raises:
            NotDelivered: it did not take it.
        """


def deliver(targets: Iterable[Target], message: bytes, *, warn: Callable[[str], None]) -> None:
    """Tell everybody; who cannot be told is a warning, one line.

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
