"""Make the job of a schedule: the files that it reads and writes, and whether it can be confined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hardener.errors import HardenerError
from hardener.schedule import Job
from hardener.text import line

_SSH = frozenset(
    {"ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh", "ansible.builtin.paramiko_ssh"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledCommand:
    """A command that runs unattended.

    Args:
        command: the program and its arguments.
        home: folder of the history.
        inventory: as the user gave it.
        vault_password_file: file with the password of Ansible Vault.
        reads: other files that the command reads.
        reports: the reports that the command writes.
        folders: folders that the command writes into.
    """

    command: tuple[str, ...]
    home: Path
    inventory: str
    vault_password_file: Path | None = None
    reads: tuple[Path, ...] = ()
    reports: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()


def schedule_job(name: str, scheduled: ScheduledCommand, *, make_folders: bool) -> Job:
    """Make a job that runs in the current folder.

    Args:
        name: the name of the schedule.
        scheduled: the command.
        make_folders: create the folders that it writes into, since a unit can only be given existing folders.

    Raises:
        HardenerError: the inventory cannot be read, or a folder cannot be made.
    """
    from hardener.fleet import connections

    reached = connections(scheduled.inventory, vault_password_file=scheduled.vault_password_file)
    return Job(
        name=name,
        command=scheduled.command,
        folder=Path.cwd(),
        home=scheduled.home,
        reads=tuple(_reads(scheduled)),
        writes=tuple(_writes(scheduled, make_folders=make_folders)),
        confined=all(connection in _SSH for connection in reached.values()),
    )


def _reads(scheduled: ScheduledCommand) -> Iterator[Path]:
    inventory = Path(scheduled.inventory)
    if "," not in scheduled.inventory or inventory.exists():
        yield inventory.resolve()
    if scheduled.vault_password_file:
        yield scheduled.vault_password_file.resolve()
    yield from (path.resolve() for path in scheduled.reads)


def _writes(scheduled: ScheduledCommand, *, make_folders: bool) -> Iterator[Path]:
    yield from (path.resolve().parent for path in scheduled.reports)
    for folder in scheduled.folders:
        if make_folders:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise HardenerError(f"cannot make {line(str(folder), 1000)}: {error.strerror}") from error
        yield folder.resolve()
