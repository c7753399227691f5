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
