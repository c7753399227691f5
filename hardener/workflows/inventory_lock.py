"""Hold the lock of an inventory for the duration of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from hardener.errors import HardenerError
from hardener.workflows.listener import Listener
from hardener.workflows.options import Target


@contextmanager
def inventory_lock(target: Target, listener: Listener, *, changing: bool) -> Iterator[None]:
    """Wait for other runs over the same inventory, and hold its lock during the context.

    If the lock file cannot be written, the run goes on without it: the recorder warns about the history
    anyway, and a host never runs two changes at once.

    Args:
        target: the hosts.
        listener: is notified if the run has to wait.
        changing: the run may change the hosts.
    """
    from hardener.fleet import inventory_name
    from hardener.history import History

    inventory = inventory_name(target.inventory)
    with ExitStack() as stack:
        with suppress(HardenerError):
            lock = History(target.home).lock(
                inventory, exclusive=changing, waiting=lambda: listener.waiting(inventory)
            )
            stack.enter_context(lock)
        yield
