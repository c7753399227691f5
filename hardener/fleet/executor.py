"""Define the interface of executors, which run playbooks; each implementation has its own file.

    execution = executor.start(Job(playbook="audit", …))
    with execution:
        for event in execution:
            ...
    execution.outcomes                      # host -> how it ended

``local`` runs it as one Ansible process on this machine, ``sliced`` as several, ``mesh`` on the nodes of
a Receptor mesh. A batch is a job with ``hosts``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from hardener.fleet.events import Event, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The passwords that Ansible may need. Keys, users and ports are set in the inventory."""

    become_password: str | None = field(default=None, repr=False)
    vault_password: str | None = field(default=None, repr=False)
    vault_password_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A playbook, with the hosts and the options for its run.

    Args:
        playbook: its name, such as ``audit``.
        inventory: a file, a folder, or a list such as ``db01,db02``.
        cwd: where hardener was called.
        limit: Ansible's pattern for a part of the inventory.
        hosts: exactly these hosts of that part; None for all of it.
        variables: extra variables.
        check: change nothing, predict.
        diff: let the hosts say what changes.
        credentials: passwords, where they are needed.
        artifacts: where everything that Ansible says is kept; None keeps nothing.
        echo: called with each line that Ansible prints.
        label: what the artifacts are called; by default like the playbook.
    """

    playbook: str
    inventory: str
    cwd: Path
    limit: str = ""
    hosts: tuple[str, ...] | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    check: bool = False
    diff: bool = False
    credentials: Credentials = field(default_factory=Credentials)
    artifacts: Path | None = None
    echo: Callable[[str], None] | None = None
    label: str = ""


class Execution(Protocol):
    """A job that runs while its context is entered; leaving the context early ends it."""

    def __enter__(self) -> Self:
        """Start in the background."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until the job ends; end it if the context was left early."""

    def __iter__(self) -> Iterator[Event]:
        """Yield the events as they arrive; ends when all hosts are finished."""

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """Return the outcome of each host in inventory order; complete after the events."""

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Return the inventory groups of each host; empty unless the playbook reports them."""


class Executor(Protocol):
    """Runs jobs: on this machine, in slices, or on the nodes of a mesh."""

    def start(self, job: Job) -> Execution:
        """Return the execution of a job; entering its context starts it."""
