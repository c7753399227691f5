"""Lock an inventory: a run that changes hosts excludes all others, runs that only read share it.

An audit by a timer during a manual change would report false drift. The kernel releases the lock when the
process ends, even after a crash.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hardener.history.home import Home
from hardener.history.inventories import inventory_key


@contextmanager
def inventory_lock(
    home: Home, inventory: str, *, exclusive: bool, waiting: Callable[[], None]
) -> Iterator[None]:
    """Acquire the lock of an inventory, and hold it during the context.

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
