"""Write a crontab line, for machines without systemd."""

from __future__ import annotations

import re

from hardener.errors import HardenerError
from hardener.schedule.job import Job
from hardener.schedule.quoting import shell
from hardener.text import line

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
