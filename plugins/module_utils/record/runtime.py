"""Measure the runtime's own system calls under the filter, and the engine's default privileges.

Both are measured with containers of a static program that does nothing, which are removed at once.
"""

from __future__ import annotations

import json
import os
import re
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, ContextManager, Dict, Mapping, Set

from ..docker import seccomp as security_options
from ..docker import waiting
from ..host import processes
from ..host.errors import Failed
from ..host.read import read_bytes
from ..host.text import shown
from .engine import Engine
from .recorder import unified_cgroups
from .twin import LABEL
from .workspace import prefix

Base = Dict[bool, Set[int]]  # cgroups of idle containers, by no-new-privileges

# gVisor, Kata, Firecracker, libkrun, WebAssembly: the host sees a sandbox, not its programs.
_SANDBOX = re.compile(r"runsc|gvisor|kata|firecracker|krun|wasm|urunc", re.IGNORECASE)
_USERS = ("", "65534:65534")
_PROFILE_KEYS = ("defaultAction", "defaultErrnoRet", "architectures", "flags")
_RULE_KEYS = ("names", "action", "errnoRet", "args")
_MAX_BUNDLE = 8 << 20
_AT_ONCE = 4  # container starts, if there are as many processors


class Idle:
    """Idle containers of a minimal image.

    Args:
        engine: the engine.
        run: the label for everything.
        archive: the image's root file system.
        runtime: the runtime that starts them; empty for the engine's default.
        series: a distinct number, if a run has several of these.
    """

    def __init__(self, engine: Engine, run: str, archive: bytes, runtime: str, *, series: int = 0) -> None:
        # The runtime's config.json of a container with default settings.
        self.default: Mapping[str, Any] | None = None
        self._engine = engine
        self._run = run
        self._runtime = runtime
        self._series = series
        self._made = 0
        self._lock = threading.Lock()
        self.image = f"hardener-twin:{run}"
        waiting.create_image(engine, archive, self.image, f"{LABEL}={run}")

    def create(self, *, user: str = "", no_new_privileges: bool = False, **options: Any) -> str:
        """Create an idle container; return its id. ``options`` are further keys of its HostConfig."""
        body = {
            "Image": self.image,
            "Cmd": [waiting.COMMAND],
            "User": user,
            "Labels": {LABEL: self._run},
            "HostConfig": {
                "NetworkMode": "none",
                "LogConfig": {"Type": "none"},
                "SecurityOpt": [f"no-new-privileges={'true' if no_new_privileges else 'false'}"],
                **({"Runtime": self._runtime} if self._runtime else {}),
                **options,
            },
        }
        with self._lock:
            self._made += 1
            name = f"{prefix(self._run)}-idle-{self._series}-{self._made}"
        return str(self._engine.call("POST", "/containers/create", body, query={"name": name})["Id"])

    def start(self, identity: str) -> int:
        """Start an idle container; return its process id."""
        self._engine.call("POST", f"/containers/{identity}/start")
        return int(self._engine.get(f"/containers/{identity}/json")["State"]["Pid"])

    def uninterrupted(self) -> ContextManager[None]:
        """Return a context that no signal interrupts, as during a request to the engine."""
        return self._engine.around()

    def remove(self, identity: str) -> None:
        """Stop and remove an idle container."""
        self._engine.remove(identity)


def granted(idle: Idle, host: Mapping[str, Any]) -> dict[str, Any]:
    """Return the engine's default privileges: capabilities and the seccomp profile.

    Args:
        idle: containers to measure with.
        host: the HostConfig of the recorded container; if it has further capabilities, ``own`` is the profile
            with those.
    """
    if idle.default is None:
        idle.default = _spec(idle, {})
    spec = idle.default
    capabilities = ((spec.get("process") or {}).get("capabilities") or {}).get("bounding") or []
    found = {"capabilities": capabilities, "seccomp": _seccomp(spec)}
    if host.get("CapAdd") and not host.get("Privileged"):
        found["own"] = _seccomp(_spec(idle, {"CapAdd": host["CapAdd"]}))
    return found


def names_seccomp_profile(host: Mapping[str, Any]) -> bool:
    """Return whether a container has a seccomp profile of its own, by its HostConfig."""
    return security_options.value(host, "seccomp") not in ("", "unconfined", "builtin")


def seccomp(pid: int) -> dict[str, Any] | None:
    """Return the seccomp profile of a running container; None if it has none.

    Raises:
        Failed: it cannot be read.
    """
    return _seccomp(bundle(pid))


def _seccomp(spec: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the seccomp profile of a container's config.json, without parts that a profile cannot use."""
    found = (spec.get("linux") or {}).get("seccomp")
    if not found:
        return None
    profile = {key: found[key] for key in _PROFILE_KEYS if key in found}
    profile["syscalls"] = [
        {key: rule[key] for key in _RULE_KEYS if key in rule} for rule in found.get("syscalls") or ()
    ]
    return profile


def _spec(idle: Idle, options: Mapping[str, Any]) -> Mapping[str, Any]:
    identity = idle.create(**options)
    try:
        return bundle(idle.start(identity))
    finally:
        idle.remove(identity)


def bundle(pid: int) -> Mapping[str, Any]:
    """Return a running container's config.json, which containerd keeps.

    Raises:
        Failed: it is not where it should be.
    """
    # The shim is the parent of a container's first process, and its working folder is the bundle.
    try:
        shim = processes.parent(pid)
        found = json.loads(read_bytes(f"/proc/{shim}/cwd/config.json", _MAX_BUNDLE))
    except (OSError, ValueError, IndexError, RecursionError) as error:
        raise Failed(f"the runtime's config.json of a container cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise Failed("the runtime's config.json of a container is not an object")
    return found


def starts(idle: Idle, want: Callable[[str], None], count: int) -> Base:
    """Start idle containers under the recorder, as root and as another user.

    Returns:
        cgroups of the containers without and with no-new-privileges.
    """

    def one(plan: tuple[bool, str]) -> tuple[bool, int | None]:
        limited, user = plan
        identity = idle.create(user=user, no_new_privileges=limited)
        try:
            want(identity)
            return limited, cgroup_of(idle.start(identity))
        finally:
            idle.remove(identity)

    plans = [(limited, user) for limited in (False, True) for user in _USERS for _trial in range(count)]
    found: dict[bool, set[int]] = {False: set(), True: set()}
    with ThreadPoolExecutor(min(_AT_ONCE, len(os.sched_getaffinity(0)))) as pool:
        futures: list[Future[tuple[bool, int | None]]] = []
        try:
            # The pool does not wait for a thread whose start a signal has interrupted.
            with idle.uninterrupted():
                futures += [pool.submit(one, plan) for plan in plans]
            for future in futures:
                limited, cgroup = future.result()
                if cgroup is not None:
                    found[limited].add(cgroup)
        finally:
            for future in futures:
                future.cancel()
    return found


def default_runtime(info: Mapping[str, Any], inspected: Mapping[str, Any]) -> str:
    """Return the name of a container's runtime."""
    return str(inspected["HostConfig"].get("Runtime") or info.get("DefaultRuntime") or "runc")


def require_processes_here(info: Mapping[str, Any], inspected: Mapping[str, Any]) -> None:
    """Refuse a container that does not run on this kernel (virtual machine, gVisor).

    Raises:
        Failed: its runtime is a sandbox or a virtual machine.
    """
    name = default_runtime(info, inspected)
    known = (info.get("Runtimes") or {}).get(name) or {}
    told = (name, str(known.get("path") or "").rpartition("/")[2], str(known.get("runtimeType") or ""))
    if any(_SANDBOX.search(word) for word in told):
        container = str(inspected.get("Name") or "").lstrip("/")
        raise Failed(
            f"{shown(container, 100)} runs under {shown(name, 100)}, which has a kernel of its own: "
            "the system calls of its programs cannot be observed on the host"
        )


def cgroup_of(pid: int, container: str = "") -> int | None:
    """Return the kernel's number of a process's cgroup.

    Args:
        pid: the process.
        container: an id in the name of a cgroup; if the process is in one below it, that one is meant.
    """
    tree = unified_cgroups()
    if tree is None:
        return None
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            if line.startswith("0::"):
                path, found, rest = line[3:].rstrip("\n").partition(container or "\n")
                return os.stat(tree + path + found + (rest.partition("/")[0] if found else "")).st_ino
    return None
