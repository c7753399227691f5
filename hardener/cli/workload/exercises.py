"""Parsers and options that ``workload record`` and ``workload prove`` share."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

import click
from ansible_collections.hardener.docker.plugins.module_utils.contract import LONGEST_TWINS

_UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    """Parse a time such as ``30s``, ``10m``, ``2h`` into seconds."""
    found = re.fullmatch(r"(\d{1,6})([smh])", value)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 1 <= seconds <= LONGEST_TWINS:
        raise click.BadParameter(f"{value!r} is not a time from 1s to 24h, such as 30s, 10m, 2h")
    return seconds


class RunIn(NamedTuple):
    """An exercise that runs in the twin of a container or service."""

    container: str
    words: tuple[str, ...]


def _run_in(
    _context: click.Context, _parameter: click.Parameter, value: tuple[str, str] | None
) -> RunIn | None:
    """Split the command of ``--run-in`` into words."""
    if value is None:
        return None
    try:
        words = tuple(shlex.split(value[1]))
    except ValueError as error:
        raise click.BadParameter(f"{value[1]!r} is not a command: {error}") from error
    if not words:
        raise click.BadParameter("the command is empty")
    return RunIn(value[0], words)


run_in_option = click.option(
    "--run-in",
    nargs=2,
    callback=_run_in,
    metavar="CONTAINER COMMAND",
    help="Exercise the twins by a command that runs in the twin of this container or service.",
)


install_option = click.option(
    "--install", is_flag=True, help="Fetch bpftool by apt for this run, where the Debian host has none."
)
