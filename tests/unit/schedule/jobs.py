"""Jobs for the tests of schedules."""

from __future__ import annotations

from pathlib import Path

from hardener.schedule import Job

COMMAND = ("/usr/bin/python3", "-P", "-m", "hardener", "drift", "-i", "prod.yml")


def job(name: str = "drift", *, command: tuple[str, ...] = COMMAND, confined: bool = True) -> Job:
    return Job(
        name=name,
        command=command,
        folder=Path("/srv/fleet"),
        home=Path("/root/.local/state/hardener"),
        reads=(Path("/srv/fleet/prod.yml"),),
        writes=(Path("/srv/www"),),
        confined=confined,
    )


def by_cron(command: str) -> str:
    """What cron hands to the shell: an escaped percent sign loses its backslash, any other ends the line."""
    handed, escaped = "", False
    for letter in command:
        if escaped and letter == "%":
            handed = handed[:-1]
        elif letter == "%":
            break
        handed += letter
        escaped = letter == "\\" and not escaped
    return handed
