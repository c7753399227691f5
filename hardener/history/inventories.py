"""Identify inventories, by which runs of the history belong together, and lock them."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from hardener.history.home import Home
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


@contextmanager
def inventory_lock(
    home: Home, inventory: str, *, exclusive: bool, waiting: Callable[[], None]
) -> Iterator[None]:
    """Lock an inventory during the context: a run that changes hosts excludes all others, readers share it.

    An audit by a timer during a manual change would report false drift. The kernel releases the lock when the
    process ends, even after a crash.

    Args:
        home: the history, in whose folder the lock is.
        inventory: the name of the inventory.
        exclusive: no other run may hold it at the same time.
        waiting: called before waiting, if the lock is taken.

    Raises:
        HardenerError: the lock cannot be created.
    """
    name = hashlib.sha256(inventory_key(inventory).encode("utf-8", "surrogateescape")).hexdigest()
    try:
        # Ansible's ssh connections outlive a run by a minute: they must not inherit it.
        descriptor = os.open(home.locks / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise home.failure(error) from error
    try:
        wanted = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        try:
            fcntl.flock(descriptor, wanted | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, wanted)
        yield
    finally:
        os.close(descriptor)
