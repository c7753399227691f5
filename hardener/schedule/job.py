"""The command of a schedule, the files that it needs, and its crontab line for machines without systemd."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hardener.errors import HardenerError
from hardener.schedule.quoting import shell
from hardener.text import line

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A command, and the files that it needs on the machine.

    ``reads`` are files and folders that its arguments name, ``writes`` the folders that it writes into
    besides its home. A job is ``confined`` unless it audits this machine, of which it then needs an
    unrestricted view.

    Raises:
        HardenerError: its name is invalid.
    """

    name: str
    command: tuple[str, ...]  # the program with its full path, and its arguments
    folder: Path  # current folder: relative paths in the arguments start here
    home: Path
    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    confined: bool = True

    def __post_init__(self) -> None:
        """Refuse a name that cannot be part of a unit name.

        Raises:
            HardenerError: it cannot.
        """
        require_name(self.name)

    @property
    def environment_file(self) -> Path:
        """Return the path of the job's environment file, for secrets such as the URL of a webhook."""
        return self.home / "environment"


def require_name(name: str) -> None:
    """Refuse an invalid name of a schedule.

    Raises:
        HardenerError: it is invalid.
    """
    if not _NAME.fullmatch(name):
        raise HardenerError(
            f"{line(repr(name))} is not a name of a schedule", hint="small letters, digits and hyphens"
        )


_FIELD = r"[0-9A-Za-z*/,-]+"
_AT = re.compile(rf"@(?:hourly|daily|midnight|weekly|monthly)|{_FIELD}(?: {_FIELD}){{4}}")


def cron_line(job: Job, at: str) -> str:
    """Return the crontab line; its command does nothing while the previous run is still in progress.

    Args:
        job: the command.
        at: when, the five fields of a crontab or a name such as ``@daily``.

    Raises:
        HardenerError: this is not a time, or a path or an argument cannot be written into a crontab.
    """
    if not _AT.fullmatch(at):
        raise HardenerError(
            f"{line(repr(at))} is not a time for cron", hint="such as '17 3 * * *'; man 5 crontab"
        )
    home = shell(str(job.home))
    lock = shell(str(job.home / f"cron-{job.name}.lock"))
    command = " ".join(map(shell, job.command))
    return (
        f"{at} mkdir -p -m 700 {home} && cd {shell(str(job.folder))}"
        f" && HARDENER_HOME={home} flock -n {lock} {command}"
    )
