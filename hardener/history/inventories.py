"""Identify inventories: which runs of the history belong to the same inventory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hardener.text import first, line, utc

_NAMED = 10


@dataclass(frozen=True, slots=True)
class KnownInventory:
    """An inventory that has runs in the history.

    Args:
        name: its name in its newest run: the full path of a file or a folder, or a list of hosts.
        runs: number of runs that are kept.
        ended: end of the newest one.
    """

    name: str
    runs: int
    ended: datetime


def inventory_key(name: str) -> str:
    """Return the key of an inventory, which is equal for all of its names.

    A path is its own key. Lists of the same hosts are the same inventory, whatever their order and spaces,
    since a run over one list changes the hosts of the other.
    """
    if name.startswith("/"):  # a file or a folder is recorded by its whole path
        return name
    hosts = sorted({host for part in name.split(",") if (host := part.strip(" \t"))})
    return ",".join(hosts)


def listed(inventories: Sequence[KnownInventory]) -> str:
    """Return a list of inventories for an error message."""
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
