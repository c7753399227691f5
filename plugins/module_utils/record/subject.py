"""Create, run and remove the twin of a recorded container."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import Any, Callable, Iterator, Mapping

from ..docker.client import quoted
from ..host.errors import Failed
from ..host.read import read_or
from . import observe, rootfiles, twin, volumes, workspace
from .engine import Engine
from .forward import Target
from .text import shown
from .world import World

_SETTLED = 0.4  # seconds in which no process of the container is runnable
_SETTLE = 20.0
_LISTEN = 10.0
_NOTICED = 5.0
_LOOK = 0.05
_EXEC_SECONDS = 60
_COMPARED = 600.0
_STOP_SECONDS = 30
_MAX_CHANGES = 10_000
_MAX_TEXT = 2 << 20  # characters of all changed paths: an answer that is too large is lost completely
_TOO_MANY = "more paths were changed than are listed"
_CREATED = 1
_KINDS = {0: "written", _CREATED: "created", 2: "deleted"}
# Init programs, which only forward signals.
_INITS = frozenset({"docker-init", "tini", "dumb-init"})


class Subject:
    """A twin of a container; a new twin replaces the former one.

    Args:
        engine: the engine.
        run: the label of everything.
        original: inspect data of the original.
        world: networks and volumes of the run.
        number: of the twin among those of the run.
        created: called with the id of each twin, before it starts.
        removed: called with the id of each removed twin.
        prepared: returns the request that creates a twin, as it is sent.
    """

    def __init__(
        self,
        engine: Engine,
        run: str,
        original: Mapping[str, Any],
        *,
        world: World,
        number: int = 0,
        created: Callable[[str], None],
        removed: Callable[[str], None] | None = None,
        prepared: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        self.pid = 0
        self.cgroup: observe.Cgroup | None = None
        self.plan: twin.Twin | None = None
        self.differences: list[str] = []
        self.files: dict[str, set[str]] = {"written": set(), "created": set(), "deleted": set()}
        self.owners: dict[str, dict[str, int]] = {}
        self._engine = engine
        self._run = run
        self._original = original
        self._world = world
        self._number = number
        self._created = created
        self._removed = removed
        self._prepared = prepared
        self._confinement: Mapping[str, Any] | None = None
        self._volumes: set[str] = set()
        self._identity = ""
        self._started = 0.0
        self._made = 0.0
        self._room = _MAX_TEXT

    # --- life cycle -----------------------------------------------------------------------------------------

    def confine(self, confinement: Mapping[str, Any] | None) -> None:
        """Set the confinement of twins that are created later; None keeps the confinement of the original."""
        self._confinement = confinement

    def create(self, *, used: bool) -> bool:
        """Create the twin, replacing the former one; return whether the next start needs a new twin too.

        Args:
            used: with copies of the original's volumes; else they begin empty.

        Raises:
            Failed: a volume cannot be copied, or the engine refuses; the one before is still there.
        """
        low_ports = read_or("/proc/sys/net/ipv4/ip_unprivileged_port_start", "") or None
        plan = self._world.plan(self._original, used=used, low_ports=low_ports)
        self._volumes |= {volume.name for volume in plan.volumes}
        body = plan.body if self._confinement is None else twin.confined(plan.body, self._confinement)
        if self._prepared is not None:
            body = self._prepared(body)
        self._made = time.time()
        query = {"name": f"{workspace.prefix(self._run)}-{self._number}-{'used' if used else 'empty'}"}
        identity = str(self._engine.call("POST", "/containers/create", body, query=query)["Id"])
        try:
            self._world.join(self._original, identity)
        except Failed:
            self._remove(identity)
            raise
        if self._identity:
            self._remove(self._identity)
        self._identity, self.pid, self.cgroup = identity, 0, None
        self.plan = plan
        self.differences += [each for each in plan.differences if each not in self.differences]
        self._world.made(self._original, identity)
        self._created(identity)
        return bool(plan.volumes) or self._shares_network()

    def start(self, tree: str) -> str:
        """Start the twin, and wait until it has settled; return how it started, in words.

        Args:
            tree: where the cgroup tree of version 2 is mounted.
        """
        self._started = time.time()
        self._engine.call("POST", f"/containers/{self._identity}/start")
        self.pid = int(self.state().get("Pid") or 0)
        try:
            self.cgroup = observe.Cgroup(self.pid, tree) if self.pid else None
        except (OSError, KeyError):
            self.cgroup = None  # it ended already
        self.settle()
        if self._has_ended():
            return f"it ended by itself with code {self.state().get('ExitCode')}"
        silent = sorted(self._tcp_ports() - {port for _protocol, port in observe.listening(self.pid)})
        return f"nothing listens on port {silent[0]}" if silent else "it started"

    def _has_ended(self) -> bool:
        """Return whether the twin has ended; the engine notices the end of its process slightly later."""
        deadline = time.monotonic() + _NOTICED
        while self.runs():
            if self.has_process() or time.monotonic() > deadline:
                return False
            time.sleep(_LOOK)
        return True

    def settle(self) -> None:
        """Wait until no process is runnable, and the published ports are listened on."""
        if self.cgroup is None:
            return
        wanted = self._tcp_ports()
        began = quiet = time.monotonic()
        used = -1
        while time.monotonic() - began < _SETTLE and self.has_process():
            ticks, wanting = observe.busy(self.cgroup)
            if wanting or ticks - used > 1:
                quiet = time.monotonic()
            used = ticks
            listens = wanted <= {port for _protocol, port in observe.listening(self.pid)}
            waited = listens or time.monotonic() - began > _LISTEN
            if waited and time.monotonic() - quiet >= _SETTLED:
                return
            time.sleep(_LOOK)

    def stop(self) -> str:
        """Stop the twin with the original's signal and timeout; return how it ended, in words."""
        seconds = min(int(self._original["Config"].get("StopTimeout") or 10), _STOP_SECONDS)
        path = f"/containers/{self._identity}/stop"
        self._engine.call("POST", path, query={"t": str(seconds)}, seconds=seconds + 30)
        return f"it ended with code {self.state().get('ExitCode')}"

    def signal(self, name: str) -> None:
        """Send a signal to the first process of the twin."""
        self._engine.call("POST", f"/containers/{self._identity}/kill", query={"signal": name})

    def crash(self) -> None:
        """Kill the twin, and wait until it is gone."""
        self.signal("SIGKILL")
        deadline = time.monotonic() + 10
        while self.runs():
            if time.monotonic() > deadline:
                raise Failed("the twin cannot be killed")
            time.sleep(_LOOK)

    def _remove(self, identity: str) -> None:
        """Remove a twin; its volumes stay."""
        self._engine.remove(identity)
        # Otherwise its creation was not announced.
        if self._removed is not None and identity == self._identity:
            self._removed(identity)

    def leave(self) -> None:
        """Remove the twin; its volumes stay."""
        if self._identity:
            self._remove(self._identity)
        self._identity, self.pid, self.cgroup, self.plan = "", 0, None, None

    def drop_volumes(self) -> None:
        """Remove the volumes of removed twins, so that no later twin gets them."""
        for name in sorted(self._volumes):
            # A volume that was not created yet does not exist.
            self._engine.call("DELETE", f"/volumes/{quoted(name)}", query={"force": "1"}, accept=(404,))
        self._world.forget(self._volumes)
        self._volumes.clear()

    def run(self, words: list[str], *, seconds: float = _EXEC_SECONDS) -> int | None:
        """Run a program in the twin as `docker exec` does; return its exit code.

        Args:
            words: the command.
            seconds: after which it is ended.

        Raises:
            Failed: it cannot be run, or did not end.
        """
        if not self.runs():
            raise Failed("the container does not run any more")
        body = {"Cmd": words, "AttachStdout": True, "AttachStderr": True}
        made = self._engine.call("POST", f"/containers/{self._identity}/exec", body)["Id"]
        # Not attached: a program may be silent for any time, and its output is not kept.
        self._engine.call("POST", f"/exec/{made}/start", {"Detach": True})
        deadline = time.monotonic() + seconds
        pause = _LOOK
        while True:
            found = self._engine.get(f"/exec/{made}/json")
            if not found.get("Running"):
                code = found.get("ExitCode")
                return code if isinstance(code, int) else None
            if time.monotonic() > deadline:
                self._end(int(found.get("Pid") or 0))
                raise Failed(f"the command did not end within {seconds:g} s")
            time.sleep(pause)
            pause = min(2 * pause, 0.5)

    def _end(self, pid: int) -> None:
        """Kill a process if it still belongs to the container."""
        if self.cgroup is not None and pid > 0 and pid in self.cgroup.members():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    # --- state ----------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return the state of the twin, as the engine reports it."""
        if not self._identity:
            return {}
        state: dict[str, Any] = self._engine.get(f"/containers/{quoted(self._identity)}/json")["State"]
        return state

    def runs(self) -> bool:
        """Return whether the twin runs."""
        return bool(self.state().get("Running"))

    def has_process(self) -> bool:
        """Return whether the first process of the twin exists, without asking the engine."""
        return self.pid > 0 and os.path.exists(f"/proc/{self.pid}/ns")

    @property
    def working_folder(self) -> str:
        """Return the folder in which the twin's first process starts."""
        return str(self._original["Config"].get("WorkingDir") or "/")

    @property
    def networked(self) -> bool:
        """Return whether the twin has a network."""
        return str(self._original["HostConfig"].get("NetworkMode") or "default") != "none"

    def _shares_network(self) -> bool:
        return self.plan is not None and self.plan.body["HostConfig"]["NetworkMode"].startswith("container:")

    def address(self) -> str:
        """Return the twin's address in one of its networks; empty while it does not run."""
        if not self.networked or not self._identity:
            return ""
        found = self._engine.get(f"/containers/{self._identity}/json")
        if self._shares_network():
            owner = found["HostConfig"]["NetworkMode"].partition(":")[2]
            found = self._engine.get(f"/containers/{quoted(owner)}/json")
        networks = found["NetworkSettings"]["Networks"] or {}
        return next((str(each["IPAddress"]) for each in networks.values() if each.get("IPAddress")), "")

    def target(self) -> Target | None:
        """Return the address for connections to the twin; None while it does not run."""
        address = self.address() if self.has_process() else ""
        return Target(self.pid, address) if address else None

    def ports(self) -> list[tuple[int, str]]:
        """Return the ports on which the twin serves."""
        return twin.published(self._original) if self.networked else []

    def _tcp_ports(self) -> set[int]:
        return {port for port, protocol in self.ports() if protocol == "tcp"}

    def program(self) -> int:
        """Return the process id of the twin's program, which may be the child of a minimal init."""
        if read_or(f"/proc/{self.pid}/comm", "") in _INITS:
            children = read_or(f"/proc/{self.pid}/task/{self.pid}/children", "").split()
            if children:
                return int(children[0])
        return self.pid

    def collect_changes(self) -> None:
        """Store the paths that the twin has changed so far, in its writable layer and in its volumes."""
        new: set[str] = set()
        cut = False

        def add(kind: str, path: str) -> None:
            nonlocal cut
            known, text = self.files[kind], shown(path)
            if text not in known:
                if len(known) >= _MAX_CHANGES or len(text) > self._room:
                    cut = True
                    return
                known.add(text)
                self._room -= len(text)
            new.add(path)

        # The engine compares every file of the image.
        changes = self._engine.get(f"/containers/{self._identity}/changes", seconds=_COMPARED) or []
        for change in changes[:_MAX_CHANGES]:
            add(_KINDS.get(change.get("Kind"), "written"), str(change.get("Path")))
        inspected = self._engine.get(f"/containers/{self._identity}/json")
        # A new folder, or one with added or removed entries, is found by its own time.
        told = {os.path.dirname(str(change.get("Path"))) for change in changes if change.get("Kind")}
        made = {str(change.get("Path")) for change in changes if change.get("Kind") == _CREATED}
        for folder in self._entered(inspected):
            if folder not in made and folder not in told:
                add("written", f"{folder}/")
        for mount in inspected.get("Mounts") or ():
            if mount.get("Type") == "volume":
                for path, is_new in volumes.changed(mount["Source"], mount["Destination"], self._started):
                    add("created" if is_new else "written", path)
        if (cut or len(changes) > _MAX_CHANGES) and _TOO_MANY not in self.differences:
            self.differences.append(_TOO_MANY)
        if self.has_process():
            known = {path.rstrip("/") for path in new} | {os.path.dirname(path) or "/" for path in new}
            self.owners.update(rootfiles.owners(self.pid, known))

    def _entered(self, inspected: Mapping[str, Any]) -> Iterator[str]:
        """Yield folders in which entries were added or removed, even if only temporarily."""
        layer = str(((inspected.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir") or "")
        if not layer and self.has_process():
            layer = observe.writable_layer(self.pid)
        return volumes.entered(layer, self._made) if layer else iter(())
