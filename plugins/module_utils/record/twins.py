"""Create, run and remove the twins of containers."""

from __future__ import annotations

import signal
import socket
import struct
import time
from contextlib import suppress
from functools import partial
from typing import Any, Callable, Iterable, Mapping

from ..docker.client import quoted
from ..host.errors import Failed, describe
from ..host.read import read_or
from . import observe, twin, workspace
from .arrivals import inside
from .engine import Engine
from .forward import Target
from .life import GONE, Life
from .subject import LOOK, Subject
from .world import World

_STOP_SECONDS = 30
# Of a log rotation and a reload. Others stop a program, or belong to its runtime (SIGUSR2 to that of Java).
_ORDINARY = ("SIGUSR1", "SIGHUP")
# Init programs, which only forward signals.
_INITS = frozenset({"docker-init", "tini", "dumb-init"})
_CONNECT = 5  # seconds
_AT_ONCE = struct.pack("ii", 1, 0)  # closing resets the connection
_SAID = (b"", b"\n")
_READS = 0.1  # seconds for the program to read what was said


class Twin(Subject):
    """A twin of a container; a new twin replaces the former one.

    Args:
        engine: the engine.
        run: the label of everything.
        original: inspect data of the original.
        world: networks and volumes of the run.
        number: of the twin among those of the run.
        created: called with the id of each twin, before it starts.
        removed: called with the id of each removed twin.
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
    ) -> None:
        super().__init__(engine, original)
        self._run = run
        self._world = world
        self._number = number
        self._created = created
        self._removed = removed
        self._confinement: Mapping[str, Any] | None = None
        self._volumes: set[str] = set()

    @property
    def network(self) -> str:
        """Return the kind of its network."""
        if not self.networked:
            return "none"
        return "same" if self._world.same else "own"

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
        self.begins_empty = any(not (volume.copied or volume.read_only) for volume in plan.volumes)
        body = plan.body if self._confinement is None else twin.confined(plan.body, self._confinement)
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
        for each in plan.differences:
            self._differ(each)
        self._world.made(self._original, identity)
        self._created(identity)
        return bool(plan.volumes) or plan.body["HostConfig"]["NetworkMode"].startswith("container:")

    def start(self, tree: str) -> str:
        """Start the twin, and wait until it has settled; return how it started, in words."""
        self._started = time.time()
        self._engine.call("POST", f"/containers/{self._identity}/start")
        return self._settled(tree)

    def stop(self) -> str:
        """Stop the twin with the original's signal and timeout; return how it ended, in words."""
        seconds = min(int(self._original["Config"].get("StopTimeout") or 10), _STOP_SECONDS)
        path = f"/containers/{self._identity}/stop"
        self._engine.call("POST", path, query={"t": str(seconds)}, seconds=seconds + 30)
        return f"it ended with code {self.state().get('ExitCode')}"

    def signal(self, name: str) -> None:
        """Send a signal to the first process of the twin."""
        self._engine.call("POST", f"/containers/{self._identity}/kill", query={"signal": name})

    def handled(self, names: Iterable[str]) -> list[str]:
        """Return the signals for which the twin's program has a handler."""
        try:
            return [name for name in names if observe.catches(self.program(), signal.Signals[name])]
        except OSError:
            return []

    def hang_up(self) -> None:
        """Connect to each TCP port of the twin, and hang up."""
        for port in sorted(self._tcp_ports()):
            target = self.target()
            if target is not None:
                hang_up(target, port)
        self.settle()

    def crash(self) -> None:
        """Kill the twin, and wait until it is gone."""
        self.signal("SIGKILL")
        deadline = time.monotonic() + 10
        while self.runs():
            if time.monotonic() > deadline:
                raise Failed("the twin cannot be killed")
            time.sleep(LOOK)

    def program(self) -> int:
        """Return the process id of the twin's program, which may be the child of a minimal init."""
        if read_or(f"/proc/{self.pid}/comm", "") in _INITS:
            children = read_or(f"/proc/{self.pid}/task/{self.pid}/children", "").split()
            if children:
                return int(children[0])
        return self.pid

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
        self._identity, self.pid, self.cgroup = "", 0, None

    def drop_volumes(self) -> None:
        """Remove the volumes of removed twins, so that no later twin gets them."""
        for name in sorted(self._volumes):
            # A volume that was not created yet does not exist.
            self._engine.call("DELETE", f"/volumes/{quoted(name)}", query={"force": "1"}, accept=(404,))
        self._world.forget(self._volumes)
        self._volumes.clear()


class TwinLife(Life):
    """Runs a twin from its first start to its last stop."""

    noun = "twin"
    _subject: Twin

    def start_empty(self) -> bool:
        """Start the twin with empty volumes; return whether that succeeded."""
        with self.phase("start-empty") as phase:
            self.goes_on = not self._subject.create(used=False)
            phase["reason"] = self.start()
        return bool(self.phases["start-empty"]["exercised"])

    def stop_first(self) -> None:
        """Stop the twin after its first start."""
        if self._subject.runs():
            self._changes()  # also files that are removed when it stops
            with self.phase("stop") as phase:
                self._stop(phase)
        else:
            self.missing.append("the container ends by itself: later phases cannot be exercised")
        self._changes()

    def start_used(self) -> None:
        """Start the twin with copies of the volumes; without volumes, start the same container again."""
        with self.phase("start-used") as phase:
            if not self.goes_on:
                try:
                    self._subject.create(used=True)
                except Failed as error:
                    self.missing.append(f"the twin keeps the volumes of its first start: {describe(error)}")
            phase["reason"] = self.start()

    def reload(self) -> None:
        """Do to the twin what an ordinary day brings: clients hang up, logs are rotated, it is reloaded.

        Exercised is only a reload by SIGHUP, if the program handles the signal.
        """
        if not self._subject.runs():
            self.skip("reload", GONE)
            return
        with self.phase("reload") as phase:
            self._subject.hang_up()
            handled = self._subject.handled(_ORDINARY)
            for name in handled:
                self._subject.signal(name)
                time.sleep(0.3)
                self._subject.settle()
                if not self._subject.runs():
                    raise Failed(f"{name} ended the program, which handles it")
            if "SIGHUP" not in handled:
                raise Failed("the program does not handle SIGHUP, and another way to reload it is not known")
            phase["reason"] = f"by {' and '.join(handled)}"
        if not self._subject.runs():
            with self.phase("crash-restart") as phase:
                phase["reason"] = self.start()

    def crash_restart(self) -> None:
        """Kill the twin, and start it again."""
        if self._subject.runs():
            self._changes()
            with self.phase("crash-restart") as phase:
                self._subject.crash()
                phase["reason"] = self.start()

    def stop(self) -> None:
        """Stop the twin with the signal and timeout of its original."""
        with self.phase("stop") as phase:
            self._stop(phase)
        self._changes()

    def _stop(self, phase: dict[str, Any]) -> None:
        if not self._subject.runs():
            raise Failed(GONE)
        self._programs()
        self._sampler.look()
        self._sampler.leave()
        phase["reason"] = self._subject.stop()


def hang_up(target: Target, port: int) -> None:
    """Connect to a TCP port from inside the container's network, and end the connection without waiting.

    Nothing happens where nothing listens.
    """
    for said in _SAID:
        with suppress(OSError), inside(target.pid, partial(socket.socket, socket.AF_INET)) as client:
            client.settimeout(_CONNECT)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            client.connect((target.address, port))
            client.sendall(said)
            time.sleep(_READS)
