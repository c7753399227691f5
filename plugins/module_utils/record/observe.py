"""Read data about a running container's processes from /proc and its cgroups."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from typing import Any, Iterable

from ..host.read import read_or, read_pseudo
from ..host.text import shown
from .rootfiles import Ids

_MAX_PROCESSES = 4096
_MAX_IDENTITIES = 2000
_MAX_LISTENS = 1000
_STATUS = re.compile(
    r"^(Name|State|Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp|Seccomp_filters):\t(.*)",
    re.MULTILINE,
)
_SETS = {
    "effective": "CapEff",
    "permitted": "CapPrm",
    "inheritable": "CapInh",
    "bounding": "CapBnd",
    "ambient": "CapAmb",
}
# Older kernels name a runtime that has executed itself by a descriptor (crun) after its number.
_RUNTIME = re.compile(r"runc(:\[.*)?|crun|\d{1,4}")
_LISTENING = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
_EMBEDDED_DNS = "0B00007F"  # 127.0.0.11, the engine's name server in user-defined networks
_PAUSE = 0.1  # seconds


def status(pid: int) -> dict[str, str]:
    """Return the used fields of a process's status."""
    return dict(_STATUS.findall(read_pseudo(f"/proc/{pid}/status")))


def catches(pid: int, number: int) -> bool:
    """Return whether a process has a handler for a signal."""
    found = re.search(r"^SigCgt:\t([0-9a-f]+)", read_pseudo(f"/proc/{pid}/status"), re.MULTILINE)
    return bool(found and int(found[1], 16) >> (number - 1) & 1)


class Cgroup:
    """The cgroups of a container."""

    def __init__(self, pid: int, tree: str) -> None:
        self.folders: dict[str, str] = {}
        mounts = dict(_controllers())
        for line in read_pseudo(f"/proc/{pid}/cgroup").splitlines():
            _number, controllers, path = line.split(":", 2)
            if not controllers:
                self.folders[""] = tree + path
            for name in controllers.split(","):
                if name in mounts:
                    self.folders[name] = mounts[name] + path
        os.stat(self.folders[""])  # raises if it is gone

    def members(self) -> list[int]:
        """Return the processes of the container's cgroup, including those in nested groups."""
        found: list[int] = []
        waiting = [self.folders[""]]
        while waiting and len(found) < _MAX_PROCESSES:
            folder = waiting.pop()
            try:
                found += [int(word) for word in read_pseudo(f"{folder}/cgroup.procs").split()]
                waiting += [each.path for each in os.scandir(folder) if each.is_dir(follow_symlinks=False)]
            except OSError:
                continue
        return found[:_MAX_PROCESSES]

    def divided(self) -> bool:
        """Return whether the cgroup has nested groups, whose processes are not recorded."""
        try:
            return any(each.is_dir(follow_symlinks=False) for each in os.scandir(self.folders[""]))
        except OSError:
            return False

    def peak_memory(self) -> int | None:
        """Return the container's peak memory use; None if the kernel does not report it."""
        for controller, name in (("", "memory.peak"), ("memory", "memory.max_usage_in_bytes")):
            value = read_or(f"{self.folders.get(controller, '/-')}/{name}", "")
            if value.isdigit():
                return int(value)
        return None

    def peak_pids(self) -> int | None:
        """Return the container's peak number of tasks, or the present number if the kernel keeps no peak."""
        for controller in ("", "pids"):
            for name in ("pids.peak", "pids.current"):
                value = read_or(f"{self.folders.get(controller, '/-')}/{name}", "")
                if value.isdigit():
                    return int(value)
        return None


def _controllers() -> Iterable[tuple[str, str]]:
    for line in read_pseudo("/proc/self/mountinfo").splitlines():
        fields, _separator, rest = line.partition(" - ")
        kind, _source, options = rest.split(" ", 2)
        if kind == "cgroup":
            for name in options.split()[-1].split(","):
                yield name, fields.split()[4]


class Unobserved:
    """A sampler that does nothing, for a twin that is not recorded."""

    def follow(self, pid: int, cgroup: Cgroup) -> None:
        """Do nothing."""

    def leave(self) -> None:
        """Do nothing."""

    def phase(self, number: int) -> None:
        """Do nothing."""

    def look(self) -> None:
        """Do nothing."""


class Sampler(Unobserved):
    """Samples the processes of a container: identities on request, numbers continuously.

    Called at the same points of every recording, it finds the same long-running programs.
    """

    def __init__(self, label_file: str | None) -> None:
        self.pids: int | None = None
        self.memory: int | None = None
        self.divided = False
        self.unfiltered = False  # whether a program had no seccomp filter
        self.cut = False
        self._found: dict[str, set[int]] = {}
        self._listens: set[tuple[str, int]] = set()
        self._label_file = label_file
        self._phase = 0
        self._pid = 0
        self._cgroup: Cgroup | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def follow(self, pid: int, cgroup: Cgroup) -> None:
        """Sample this container from now on."""
        with self._lock:
            self._pid, self._cgroup = pid, cgroup

    def leave(self) -> None:
        """Stop sampling the container, which is about to end or restart."""
        with self._lock:
            self._cgroup = None

    def clear(self) -> None:
        """Forget all samples."""
        with self._lock:
            self._cgroup = None
            self._found.clear()
            self._listens.clear()

    def phase(self, number: int) -> None:
        """Assign all further samples to this phase."""
        with self._lock:
            self._phase = number

    def look(self) -> None:
        """Take one sample."""
        with self._lock:
            if self._cgroup is not None:
                try:
                    self._look(self._cgroup)
                except (OSError, ValueError, KeyError):
                    pass  # it ended meanwhile

    def identities(self) -> list[dict[str, Any]]:
        """Return the identities of the sampled processes, each with its phases."""
        with self._lock:
            return [{**json.loads(key), "phases": sorted(phases)} for key, phases in self._found.items()]

    def listens(self) -> list[dict[str, Any]]:
        """Return the ports that were listened on."""
        with self._lock:
            return [{"protocol": protocol, "port": port} for protocol, port in sorted(self._listens)]

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._cgroup is not None:
                    self._look_at_peaks(self._cgroup)
            time.sleep(_PAUSE)

    def _look(self, cgroup: Cgroup) -> None:
        for pid in cgroup.members():
            try:
                found = self._identity(pid)
            except (OSError, KeyError, ValueError):
                continue
            if found is None:
                continue
            self.unfiltered = self.unfiltered or found["seccomp_mode"] == 0
            key = json.dumps(found, sort_keys=True)
            if key not in self._found and len(self._found) >= _MAX_IDENTITIES:
                self.cut = True
                continue
            self._found.setdefault(key, set()).add(self._phase)
        self._look_at_peaks(cgroup)
        for each in listening(self._pid):
            if len(self._listens) < _MAX_LISTENS:
                self._listens.add(each)

    def _look_at_peaks(self, cgroup: Cgroup) -> None:
        self.divided = self.divided or cgroup.divided()
        self.pids = _larger(self.pids, cgroup.peak_pids())
        self.memory = _larger(self.memory, cgroup.peak_memory())

    def _identity(self, pid: int) -> dict[str, Any] | None:
        fields = status(pid)
        if fields["State"].startswith("Z") or (_RUNTIME.fullmatch(fields["Name"]) and _is_foreign(pid)):
            return None
        if runs_file_of_host(pid):  # a runtime of any name
            return None
        ids = Ids(pid)
        label = read_or(f"/proc/{pid}/{self._label_file}", "").strip("\0") if self._label_file else ""
        return {
            "program": shown(fields["Name"], 64) or "?",
            "uid": ids.one("uid", int(fields["Uid"].split()[1])),
            "gid": ids.one("gid", int(fields["Gid"].split()[1])),
            "groups": sorted({ids.one("gid", int(word)) for word in fields["Groups"].split()})[:1000],
            **{name: int(fields[field], 16) for name, field in _SETS.items()},
            "no_new_privileges": fields["NoNewPrivs"] == "1",
            "seccomp_mode": int(fields["Seccomp"]),
            "seccomp_filters": int(fields.get("Seccomp_filters", 0)),
            "lsm": shown(label, 500),
        }


def _is_foreign(pid: int) -> bool:
    """Return whether a process runs a program outside of its root file system, like the runtime."""
    try:
        return os.stat(f"/proc/{pid}/exe").st_dev != os.stat(f"/proc/{pid}/root").st_dev
    except OSError:
        return True  # it has ended


def runs_file_of_host(pid: int) -> bool:
    """Return whether a process runs a program of the host that its own root file system does not have."""
    try:
        program = os.stat(f"/proc/{pid}/exe")
        path = os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return True  # it has ended
    return _is_at(path, program) and not _is_at(f"/proc/{pid}/root{path}", program)


def _is_at(path: str, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), file)
    except OSError:
        return False


def writable_layer(pid: int) -> str:
    """Return the host's path of a container's writable layer; empty if unknown."""
    for line in read_pseudo(f"/proc/{pid}/mountinfo").splitlines():
        fields, _separator, rest = line.partition(" - ")
        words = rest.split()
        if fields.split()[4:5] == ["/"] and words[:1] == ["overlay"]:
            options = dict(option.partition("=")[::2] for option in words[-1].split(","))
            layer = options.get("upperdir", "")
            return layer if layer.startswith("/") else ""
    return ""


def listening(pid: int) -> set[tuple[str, int]]:
    """Return the listening ports in the network namespace of a process."""
    found = set()
    for protocol, state in _LISTENING.items():
        try:
            lines = read_pseudo(f"/proc/{pid}/net/{protocol}").splitlines()[1:]
        except OSError:
            continue
        for line in lines[:10_000]:
            words = line.split()
            address, _separator, port = words[1].partition(":")
            if words[3] == state and address != _EMBEDDED_DNS:
                found.add((protocol, int(port, 16)))
    return found


def arrived(pid: int) -> int:
    """Return the number of IP packets that a process's network namespace has received from others.

    Only packets that are delivered count: all namespaces of a bridge receive the multicasts of each other.
    """
    try:
        fields = dict(_counters(read_pseudo(f"/proc/{pid}/net/snmp")))
        for line in read_pseudo(f"/proc/{pid}/net/snmp6").splitlines():
            name, value = line.split()[:2]
            fields[name] = value
        devices = dict(
            line.strip().split(":", 1) for line in read_pseudo(f"/proc/{pid}/net/dev").splitlines()[2:]
        )
        own = int(devices["lo"].split()[1])
    except (OSError, ValueError, KeyError):
        return 0
    return int(fields.get("Ip.InDelivers", 0)) + int(fields.get("Ip6InDelivers", 0)) - own


def _counters(text: str) -> Iterable[tuple[str, str]]:
    lines = text.splitlines()
    for names, values in zip(lines[::2], lines[1::2]):
        kind = names.partition(":")[0]
        for name, value in zip(names.split()[1:], values.split()[1:]):
            yield f"{kind}.{name}", value


def busy(cgroup: Cgroup) -> tuple[int, int]:
    """Return the CPU ticks that a container's processes have used, and how many of them are runnable."""
    ticks = wanting = 0
    for pid in cgroup.members():
        try:
            words = read_pseudo(f"/proc/{pid}/stat").rpartition(")")[2].split()
        except OSError:
            continue
        wanting += words[0] in "RD"
        ticks += sum(map(int, words[11:15]))
    return ticks, wanting


def _larger(one: int | None, other: int | None) -> int | None:
    return max((each for each in (one, other) if each is not None), default=None)
