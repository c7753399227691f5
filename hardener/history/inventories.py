"""Tell inventories apart: which runs of the history belong to the same one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hardener.text import first, line, utc

_NAMED = 10


@dataclass(frozen=True, slots=True)
class KnownInventory:
    """An inventory of which the history has runs.

    Args:
        name: as its newest run has it: the whole path of a file or a folder, or a list of hosts.
        runs: number of runs that are kept.
        ended: end of the newest one.
    """

    name: str
    runs: int
    ended: datetime


def inventory_key(name: str) -> str:
    """Return what is the same for two names of one inventory.

    A path is its own key. Lists name the same inventory where they name the same hosts, whatever their order
    and blanks: a run over one changes the hosts of the other.
    """
    if name.startswith("/"):  # a file or a folder is recorded by its whole path
        return name
    hosts = sorted({host for part in name.split(",") if (host := part.strip(" \t"))})
    return ",".join(hosts)


def listed(inventories: Sequence[KnownInventory]) -> str:
    """Return inventories as an error lists them."""
    return "; ".join(
        first(
            [
                f"{line(each.name, 1000) or 'one without a name'} ({each.runs} run{'s'[: each.runs > 1]},"
                f" the last of {utc(each.ended)})"
                for each in inventories
            ],
            _NAMED,
        )
    )
