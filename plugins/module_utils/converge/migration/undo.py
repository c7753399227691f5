"""Undo a migration: return the engine to its old data root, which is unchanged.

Every stage is undone in the same way: stop what runs in the new root, restart the engine without the key,
start what ran.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Mapping

from ...docker.http import NotFound
from ...host import atomic
from ...host.mountpoints import mounted_below
from .. import containers, system
from ..errors import Failed
from . import definition, restart, staging
from .survey import Client

# The stages of a migration. The name of each is stored before it begins, so that the undo knows how far the
# migration got.
STAGING, STOPPED, SWITCHING, MAKING, STARTING, DONE = (
    "staging",  # a second engine imports the images into the new root, without interruption
    "stopped",  # containers are stopped, their volumes copied
    "switching",  # the engine restarts, on the new root
    "making",  # networks and containers are created again
    "starting",  # containers that ran are started
    "done",
)
IN_NEW_ROOT = (SWITCHING, MAKING, STARTING, DONE)
_AT_ONCE = 8
_KILLED = 10  # seconds within which a killed container has ended, also on a busy host


class Undo:
    """The undo of one migration.

    Args:
        client: of the engine.
        memory: what the migration has stored, as JSON data.
        unit: the engine's unit.
        timeout: seconds that a start of the engine may take.
    """

    def __init__(self, client: Client, memory: Mapping[str, Any], *, unit: str, timeout: float) -> None:
        self._client = client
        self._memory = memory
        self._unit = unit
        self._timeout = timeout

    def run(self) -> list[str]:
        """Return the engine to its old data root, start its containers, and return what is still wrong.

        A container that cannot be started is not among it: no repetition would help. The health check that
        follows names it.

        Raises:
            Failed: the engine does not come back.
        """
        staging.end_leftover()
        stage = self._memory.get("stage", "")
        if not stage:
            return []
        if stage in IN_NEW_ROOT:
            self._leave_new_root()
        elif stage == STOPPED:
            self._wait_for_stops()
        self._start_again()
        self._dispose(keep=stage in (STARTING, DONE))
        return [] if self._client.info() else [f"the engine does not answer at {self._client.path}"]

    def at_boot(self) -> list[str]:
        """Undo during boot: the engine will start on its old data root by itself.

        Stopped containers stay stopped unless their policy is ``always``: the next run starts them.
        """
        staging.remove()
        if self._memory.get("stage"):
            self._dispose(keep=self._memory["stage"] in (STARTING, DONE))
        waiting = self._memory.get("stays_down", ())
        note = f"not started yet: {', '.join(waiting)}; start them, or let the next run start them"
        return [note] if waiting else []

    def _leave_new_root(self) -> None:
        new_root, old_root = self._memory["new_root"], self._memory["old_root"]
        where = self._client.data_root()
        if where == new_root:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(self._end, self._client.get("/containers/json?all=1")))
        else:
            restart.end_orphans(f"moby-{os.path.basename(new_root)}")
        # A restart goes on when its client is killed: the engine that answers may be about to end.
        if where != old_root or self._memory["stage"] == SWITCHING:
            restart.restart_engine(self._client, self._unit, timeout=self._timeout)
            where = self._client.data_root()
            if where != old_root:
                raise Failed(f"the engine is on {where} instead of {old_root}: is userns-remap still set?")

    def _end(self, container: Mapping[str, Any]) -> None:
        """Stop a container so that no restart policy starts it again before the engine stops."""
        path = f"/containers/{container['Id']}"
        with suppress(Failed):
            self._client.call("POST", f"{path}/unpause")
        found = self._inspected(container["Id"])
        if found:
            seconds = containers.grace(found) + 60
            self._client.call("POST", f"{path}/stop", accept=(304, 404), seconds=seconds)

    def _inspected(self, identity: str) -> definition.Inspected | None:
        """Return the inspect data of a container; None if it is gone."""
        try:
            return self._client.inspect(identity)
        except NotFound:
            return None

    def _wait_for_stops(self) -> None:
        """Wait for the stops that a killed worker has requested: the engine completes them without it."""
        begun = time.monotonic()
        waiting = list(self._memory["running"])
        while waiting:
            passed = time.monotonic() - begun
            found = {identity: self._inspected(identity) for identity in waiting}
            waiting = [
                identity
                for identity, container in found.items()
                if container
                and container["State"].get("Running")
                and passed < containers.grace(container) + _KILLED
            ]
            if waiting:
                time.sleep(0.5)

    def _start_again(self) -> None:
        inspected = map(self._inspected, self._memory.get("running", ()))
        for container in definition.ordered([each for each in inspected if each]):
            with suppress(Failed):
                self._client.call("POST", f"/containers/{container['Id']}/start", accept=(304,))
        for identity in self._memory.get("paused", ()):
            with suppress(Failed):  # it is paused already
                self._client.call("POST", f"/containers/{identity}/pause")

    def _dispose(self, *, keep: bool) -> None:
        """Remove copies from the new data root; keep files that containers may have changed since.

        If something is mounted in it and cannot be unmounted, the root stays: removing it could remove the
        mounted data. The next migration reports it.
        """
        new_root = self._memory["new_root"]
        if not os.path.isdir(new_root) or not self._memory["is_new"]:
            return
        for point in mounted_below(new_root):
            system.run("umount", "--lazy", "--", point)
        if mounted_below(new_root):
            return
        with suppress(OSError):  # a mount below another one is not visible
            if keep:
                undone = f"{new_root}.undone-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
                atomic.rename(new_root, undone)
            else:
                atomic.remove_tree(new_root)
