"""The interface through which every workflow reports its progress; ``cli.listener`` implements it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hardener.fleet.answers import Watcher

if TYPE_CHECKING:
    from hardener.fleet.answers import ChangeAnswer


class Listener(Protocol):
    """Receives the progress of a workflow."""

    def phase(self, label: str) -> AbstractContextManager[Watcher]:
        """Show a run of Ansible until the context ends."""

    def prepare(self) -> None:
        """Import the modules that show the result, while Ansible runs."""

    def expect(self, seconds: float) -> None:
        """Report the duration of this command's previous run over these hosts; 0 without one."""

    def file_found(self, what: str, path: Path) -> None:
        """Report that a file next to the inventory is used: ``waivers``, ``attestations`` or ``policy``."""

    def waiting(self, inventory: str) -> None:
        """Report that the run waits for another run over this inventory to end."""

    def warning(self, text: str) -> None:
        """Report a problem that does not affect the rest of the run."""


class ChangePhase(Watcher, Protocol):
    """Receives the progress of a phase that changes hosts."""

    def changed(self, answer: ChangeAnswer) -> None:
        """Report that a transaction has ended on a host."""
