"""One after the other: a run that changes hosts is alone with its inventory, runs that only read share it.

So what a timer starts and what a person starts do not meet: an audit in the middle of a change would report
drift that is none. The lock is the kernel's: it ends with its process, however that ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hardener.history.home import Home


@contextmanager
def turn(home: Home, inventory: str, *, alone: bool, waiting: Callable[[], None]) -> Iterator[None]:
    """Wait for a turn with an inventory, and have it.

    Args:
        home: where the lock lies; it is prepared.
        inventory: the name of the inventory.
        alone: nobody else may have it at the same time.
        waiting: called before waiting begins, where it has to.

    Raises:
        HardenerError: the lock cannot be made.
    """
    name = hashlib.sha256(inventory.encode("utf-8", "surrogateescape")).hexdigest()
    try:
        # Ansible's connections outlive a run by a minute: they must not inherit it.
        descriptor = os.open(home.locks / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise home.failure(error) from error
    try:
        wanted = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        try:
            fcntl.flock(descriptor, wanted | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, wanted)
        yield
    finally:
        os.close(descriptor)
