"""Observe a container that is recorded or tried: its processes, its ports, its files."""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any, Iterator, Mapping

from ..docker.client import quoted
from ..host.errors import Failed
from ..host.text import shown
from . import observe, rootfiles, twin, volumes
from .engine import Engine
from .forward import Target

# How a container started, in words.
STARTED = "it started"
SILENT = "nothing listens on port"
_SETTLED = 0.4  # seconds in which no process of the container is runnable
_SETTLE = 20.0
_LISTEN = 10.0
_NOTICED = 5.0
LOOK = 0.05
_EXEC_SECONDS = 60
_COMPARED = 600.0
_MAX_CHANGES = 10_000
_MAX_TEXT = 2 << 20  # characters of all changed paths: an answer that is too large is lost completely
_TOO_MANY = "more paths were changed than are listed"
_LOOPBACK = "127.0.0.1"
_SHELLS = ("/bin/sh", "/bin/bash", "/bin/ash", "/bin/busybox", "/usr/bin/sh", "/usr/bin/bash", "/busybox/sh")
_CREATED = 1
# Why a command is not run, in the words of the engine, runc and crun.
_REASONS = (
    *("not found", "no such file", "permission denied", "operation not permitted", "exec format error"),
    *("is a directory", "is paused", "is not running", "cannot allocate memory", "temporarily unavailable"),
)
_KINDS = {0: "written", _CREATED: "created", 2: "deleted"}


class Subject(ABC):
    """A container that is recorded or tried.

    Args:
        engine: the engine.
        original: inspect data of the container, or of the one whose twin it is.
    """

    def __init__(self, engine: Engine, original: Mapping[str, Any]) -> None:
        self.pid = 0
        self.begins_empty = False  # whether it has writable volumes that were empty before it started
        self.cgroup: observe.Cgroup | None = None
        self.differences: list[str] = []
        self.files: dict[str, set[str]] = {"written": set(), "created": set(), "deleted": set()}
        self.owners: dict[str, dict[str, int]] = {}
        self.folders: dict[str, dict[str, int]] = {}  # of the image, below those of its changed paths
        self.shell: bool | None = None  # whether it has a shell for `docker exec`, once that is known
        self._engine = engine
        self._original = original
        self._identity = ""
        self._started = 0.0  # since when changes of its volumes are its own
        self._made = 0.0  # the same of its writable layer
        self._room = _MAX_TEXT

    @property
    @abstractmethod
    def network(self) -> str:
        """Return the kind of its network, as a recording names it."""

    # --- life cycle -----------------------------------------------------------------------------------------

    @abstractmethod
    def start(self, tree: str) -> str:
        """Start the container, and wait until it has settled; return how it started, in words.

        Args:
            tree: where the cgroup tree of version 2 is mounted.

        Raises:
            Failed: the engine refuses.
        """

    def _settled(self, tree: str) -> str:
        """Wait until the container, which the engine has started, has settled; see ``start``."""
        self.pid = int(self.state().get("Pid") or 0)
        try:
            self.cgroup = observe.Cgroup(self.pid, tree) if self.pid else None
        except (OSError, KeyError):
            self.cgroup = None  # it ended already
        self.settle()
        if self._has_ended():
            return f"it ended by itself with code {self.state().get('ExitCode')}"
        silent = sorted(self._tcp_ports() - {port for _protocol, port in observe.listening(self.pid)})
        return f"{SILENT} {silent[0]}" if silent else STARTED

    def _has_ended(self) -> bool:
        """Return whether the container has ended; the engine notices that slightly later than the kernel."""
        deadline = time.monotonic() + _NOTICED
        while self.runs():
            if self.has_process() or time.monotonic() > deadline:
                return False
            time.sleep(LOOK)
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
            time.sleep(LOOK)

    def run(self, words: list[str], *, seconds: float = _EXEC_SECONDS) -> int | None:
        """Run a program in the container as `docker exec` does; return its exit code.

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
        try:
            self._engine.call("POST", f"/exec/{made}/start", {"Detach": True})
        except Failed as error:
            raise Failed(_reason(str(error))) from None
        deadline = time.monotonic() + seconds
        pid, pause = 0, LOOK
        try:
            while True:
                found = self._engine.get(f"/exec/{made}/json")
                if not found.get("Running"):
                    code = found.get("ExitCode")
                    return code if isinstance(code, int) else None
                pid = int(found.get("Pid") or 0)
                if time.monotonic() > deadline:
                    raise Failed(f"the command did not end within {seconds:g} s")
                time.sleep(pause)
                pause = min(2 * pause, 0.5)
        except BaseException:  # also if this process is told to end
            self._end(pid)
            raise

    def _end(self, pid: int) -> None:
        """Kill a process if it still belongs to the container."""
        if self.cgroup is not None and pid > 0 and pid in self.cgroup.members():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    # --- state ----------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return the state of the container, as the engine reports it."""
        if not self._identity:
            return {}
        state: dict[str, Any] = self._engine.get(f"/containers/{quoted(self._identity)}/json")["State"]
        return state

    def runs(self) -> bool:
        """Return whether the container runs."""
        return bool(self.state().get("Running"))

    def has_process(self) -> bool:
        """Return whether the first process of the container exists, without asking the engine."""
        return self.pid > 0 and os.path.exists(f"/proc/{self.pid}/ns")

    @property
    def working_folder(self) -> str:
        """Return the folder in which the container's first process starts."""
        return str(self._original["Config"].get("WorkingDir") or "/")

    @property
    def has_own_network(self) -> bool:
        """Return whether ports and packets in its network are those of the run."""
        return True

    @property
    def networked(self) -> bool:
        """Return whether the container has a network."""
        return str(self._original["HostConfig"].get("NetworkMode") or "default") != "none"

    def address(self) -> str:
        """Return the container's address in one of its networks; empty while it does not run."""
        if not self.networked or not self._identity:
            return ""
        found = self._engine.get(f"/containers/{self._identity}/json")
        mode = str(found["HostConfig"]["NetworkMode"])
        if mode == "host":
            return _LOOPBACK
        if mode.startswith("container:"):
            owner = mode.partition(":")[2]
            found = self._engine.get(f"/containers/{quoted(owner)}/json")
        networks = found["NetworkSettings"]["Networks"] or {}
        return next((str(each["IPAddress"]) for each in networks.values() if each.get("IPAddress")), "")

    def target(self) -> Target | None:
        """Return the address for connections to the container; None while it does not run."""
        address = self.address() if self.has_process() else ""
        return Target(self.pid, address) if address else None

    def ports(self) -> list[tuple[int, str]]:
        """Return the ports on which the container serves."""
        return twin.published(self._original) if self.networked else []

    def every_port(self) -> list[tuple[int, str, bool]]:
        """Return the ports of the container and its image, and whether each is published."""
        return twin.every_port(self._original) if self.networked else []

    def _tcp_ports(self) -> set[int]:
        return {port for port, protocol in self.ports() if protocol == "tcp"}

    def collect_changes(self) -> None:
        """Store the paths that the container has changed so far, in its writable layer and in its mounts."""
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
            if mount.get("Type") in ("volume", "bind") and mount.get("RW", True):
                target = str(mount["Destination"])
                try:
                    for path, is_new in volumes.changed(mount["Source"], target, self._started):
                        add("created" if is_new else "written", path)
                except volumes.TooMany:
                    self._differ(f"{target} has too many files: not all its changed paths are listed")
        if cut or len(changes) > _MAX_CHANGES:
            self._differ(_TOO_MANY)
        if self.has_process():
            known = {path.rstrip("/") for path in new} | {os.path.dirname(path) or "/" for path in new}
            self.owners.update(rootfiles.owners(self.pid, known))
            around = {os.path.dirname(path) for path in new} - {"/"}
            for path, owner in rootfiles.folders(self.pid, around).items():
                if path not in self.files["created"]:
                    self.folders[path] = owner

    def look_for_shell(self) -> None:
        """Note whether the container has a shell for `docker exec`."""
        found = rootfiles.owners(self.pid, ("/", *_SHELLS)) if self.has_process() else {}
        self.shell = len(found) > 1 if "/" in found else None

    def _differ(self, sentence: str) -> None:
        """Note a difference of the recording, once."""
        if sentence not in self.differences:
            self.differences.append(sentence)

    def _entered(self, inspected: Mapping[str, Any]) -> Iterator[str]:
        """Yield folders in which entries were added or removed, even if only temporarily."""
        layer = str(((inspected.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir") or "")
        if not layer and self.has_process():
            layer = observe.writable_layer(self.pid)
        return volumes.entered(layer, self._made) if layer else iter(())


def _reason(text: str) -> str:
    """Return the known words in a text of the engine, which may also have the command, and so its secrets."""
    found = (each for each in _REASONS if each in text.lower())
    return f"the engine cannot run the command: {next(found, 'for a reason that it does not name')}"
