"""What every workflow tells while it runs; ``cli.listener`` shows it to a person."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hardener.fleet.answers import Watcher

if TYPE_CHECKING:
    from hardener.fleet.answers import ChangeAnswer


class Listener(Protocol):
    """Is told what a workflow does."""

    def phase(self, label: str) -> AbstractContextManager[Watcher]:
        """Ansible runs for a purpose, until the end of the context."""

    def prepare(self) -> None:
        """Load what the result is shown with, while there is time for it."""

    def file_found(self, what: str, path: Path) -> None:
        """A file beside the inventory is used: ``waivers``, ``attestations`` or ``policy``."""

    def waiting(self, inventory: str) -> None:
        """Another run over this inventory has to end first."""

    def warning(self, text: str) -> None:
        """Something went wrong that costs the run nothing else."""


class ChangePhase(Watcher, Protocol):
    """Is told of a phase that changes hosts."""

    def changed(self, answer: ChangeAnswer) -> None:
        """A transaction has ended on a host."""
