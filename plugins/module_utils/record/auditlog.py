"""Count system calls by the kernel's audit records, where no BPF program can be attached.

Twins get a seccomp profile that refuses what theirs refuses, and logs what it permits (``SCMP_ACT_LOG``):
the kernel writes a record for each such call. The records are received from the audit multicast group, with
or without an audit daemon. The filter is a part of the twin: nothing is changed on the host.

A record has the call, the program and the process, and nothing else: capability checks, arguments and paths
are not seen. An audit daemon writes the records into its log as well, so that their number is limited, and
twins end with this process, however that ends.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import threading
import time
from collections import defaultdict
from contextlib import suppress
from typing import Any, Collection, Mapping

from ..docker import security_options
from ..host import audit
from ..host.cgroups import look_up
from ..host.errors import Failed, describe
from ..host.read import read_or
from . import layout
from .source import Source
from .text import shown

_LOGGED = "/proc/sys/kernel/seccomp/actions_logged"
_ALLOW, _LOG = "SCMP_ACT_ALLOW", "SCMP_ACT_LOG"
_CODE = 0x7FFC0000  # SCMP_ACT_LOG in a record
# Every profile permits these calls, whatever was recorded. Some programs make them all the time.
_QUIET = """brk clock_gettime clock_nanosleep exit_group futex getpid gettid gettimeofday madvise mmap
    mprotect mremap munmap nanosleep restart_syscall rt_sigprocmask rt_sigreturn sched_yield tgkill time
    writev"""
QUIET = frozenset(_QUIET.split())
_MOST = 50_000  # records: 15 MB in the log of an audit daemon
_MOST_NAMES = 10_000
_LONGEST_PATH = 4096
_SILENT = 0.5  # seconds without a record, after which none is expected
_DRAINED = 15.0
_ROUNDS, _LOOK = 10, 0.2
_COARSE = 0.01  # seconds by which the clock of records may be late
_NUMBER_OF_CALLS = 1024
_X32 = 0x40000000
_RUNTIME = re.compile(r"runc(:\[.*)?|crun")
_DELETED = " (deleted)"


class AuditLog(Source):
    """Receives the records of twins.

    Raises:
        Failed: the kernel does not log, or the records cannot be received.
    """

    kind = "audit"
    title = "the audit log"
    measures_runtime = False
    needs_twins = True

    def __init__(self) -> None:
        super().__init__()
        if "log" not in read_or(_LOGGED, "").split():
            raise Failed(f"the kernel writes no records of logged calls ({_LOGGED})")
        try:
            self._lost = audit.kernel_status()["lost"]
            self._socket = audit.AuditSocket()
        except OSError as error:
            raise Failed(f"the kernel's audit records cannot be received: {describe(error)}") from None
        self._gaps = audit.Gaps()
        self._slots: dict[str, int] = {}  # by container
        self._processes: dict[int, int] = {}  # their slots, by process
        self._phases: dict[int, list[tuple[float, int]]] = defaultdict(list)
        self._calls: dict[tuple[Any, ...], set[int]] = defaultdict(set)
        self._execs: dict[tuple[int, str], tuple[str, set[int]]] = {}
        self._records = 0
        self._last = time.monotonic()
        self._unknown = 0
        self._cut = False
        self._lock = threading.Lock()
        self._guard = _Guard()
        threading.Thread(target=self._work, daemon=True).start()

    def want(self, identity: str, slot: int = 0) -> None:
        """Start to count the events of a container."""
        with self._lock:
            self._slots[identity] = slot
        self._guard.watch(identity)

    def phase(self, name: str, *, unfiltered: bool = False, slot: int = 0) -> None:  # noqa: ARG002
        """Count calls for this phase from now on."""
        with self._lock:
            self._phases[slot].append((time.time(), layout.PHASES.index(name)))

    def cgroups(self, slot: int = 0) -> set[int]:
        """Return the slot instead of cgroups, which may be gone when the records of processes arrive."""
        return {slot}

    def losses(self) -> list[str]:
        """Return the observations that were lost, in words."""
        self._drain()
        with self._lock:
            self._gaps.expire(float("inf"))
            kernel = self._kernel_lost()
            found = []
            if self._socket.overruns or self._gaps.lost or kernel:
                found.append("the kernel lost audit records")
            if self._unknown:
                found.append(
                    f"{self._unknown} audit records are of ended processes, and count for every service"
                )
            if self._cut:
                found.append("there were more names of programs than are listed")
            if self._records >= _MOST:
                found.append(f"the twins were killed after {_MOST} audit records")
            if not self._records:
                found.append("no audit record of a twin arrived: do rules exclude them (auditctl -l)?")
            return found

    def read(self) -> dict[str, list[dict[str, Any]]]:
        """Return all counts."""
        self._drain()
        names = ("calls", "execs", "capsets", "sockets", "capabilities")
        return {name: self.read_one(name) for name in names}

    def read_one(self, name: str) -> list[dict[str, Any]]:
        """Return the counts of one kind, as far as their records have arrived."""
        with self._lock:
            if name == "calls":
                names = ("cgroup", "program", "phase", "kind", "runtime")
                return [
                    {**dict(zip(names, key)), "numbers": sorted(found)} for key, found in self._calls.items()
                ]
            if name == "execs":
                return [
                    {"cgroup": slot, "program": program, "path": os.fsencode(path), "phases": sorted(phases)}
                    for (slot, path), (program, phases) in self._execs.items()
                ]
            return []

    def prepared(self, body: dict[str, Any], granted: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the request with a seccomp profile that logs the calls that the twin's own profile permits.

        Raises:
            Failed: the engine's default profile is not known, or its own cannot be read.
        """
        host = body["HostConfig"]
        options = [str(option) for option in host.get("SecurityOpt") or ()]
        own = security_options.value(host, "seccomp") or "builtin"
        if own == "builtin":
            if granted is None:
                raise Failed(
                    "the engine's default seccomp profile is not known; "
                    "without it, the calls that it permits cannot be logged"
                )
            profile = granted.get("own") or granted.get("seccomp")
        else:
            try:
                profile = None if own == "unconfined" else json.loads(own)
            except ValueError as error:
                raise Failed(f"the seccomp profile of the container cannot be read: {error}") from None
        kept = [option for option in options if security_options.split(option)[0] != "seccomp"]
        options = [*kept, f"seccomp={json.dumps(logging(profile))}"]
        return {**body, "HostConfig": {**host, "SecurityOpt": options}}

    # --- records --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while True:
                select.select([self._socket], [], [])
                for record in self._socket.receive():
                    self._receive(record)
        except OSError as error:
            self.problems.append(f"receiving audit records failed: {describe(error)}")

    def _receive(self, record: audit.Record) -> None:
        found = audit.event(record.text)
        if found is None:
            return
        with self._lock:
            self._gaps.note(found.serial, time.monotonic())
            if record.kind == audit.SECCOMP:
                self._take(found.at, audit.fields(found.body, _LONGEST_PATH))

    def _take(self, at: float, fields: Mapping[str, str]) -> None:
        """Count the system call of a record, if a twin made it."""
        if audit.number(fields.get("code", ""), 16) & 0xFFFF0000 != _CODE:
            return
        slots = self._slots_of(audit.number(fields.get("pid", "")), at)
        if slots:
            self._last = time.monotonic()
            self._records += 1
        for slot in slots:
            self._count(slot, at, fields)

    def _count(self, slot: int, at: float, fields: Mapping[str, str]) -> None:
        comm, path = fields.get("comm", ""), fields.get("exe", "")
        runtime = bool(_RUNTIME.fullmatch(comm)) and ("runc" in path or "crun" in path)
        call, phase = audit.number(fields.get("syscall", "")), self._phase_at(slot, at)
        number = call & ~_X32
        if not 0 <= number < _NUMBER_OF_CALLS:
            return
        kind = 2 if call & _X32 else int(fields.get("compat") == "1")
        key = (slot, "?" if runtime else shown(comm) or "?", phase, kind, runtime)
        if key in self._calls or len(self._calls) < _MOST_NAMES:
            self._calls[key].add(number)
        else:
            self._cut = True
        if runtime or not path.startswith("/"):
            return
        if path.endswith(_DELETED):
            path = path[: -len(_DELETED)]
        if (slot, path) in self._execs or len(self._execs) < _MOST_NAMES:
            self._execs.setdefault((slot, path), (shown(comm) or "?", set()))[1].add(phase)
        else:
            self._cut = True

    def _slots_of(self, pid: int, at: float) -> set[int]:
        """Return the slots of the twins to which a calling process may belong; empty if it is in no twin.

        A process that has ended may be of any twin. A twin's process is killed if there are too many records.
        """
        process = look_up(pid, at)
        if process.elsewhere:
            return set()
        if not process.container:  # it has ended
            known = self._processes.get(pid)
            every = set(self._slots.values()) if known is None else {known}
            self._unknown += len(every) > 1
            return every
        slot = self._slots.get(process.container)
        if slot is None:
            return set()
        if len(self._processes) < _MOST_NAMES:
            self._processes[pid] = slot
        if self._records >= _MOST:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return {slot}

    def _phase_at(self, slot: int, at: float) -> int:
        begun = [phase for when, phase in self._phases[slot] if when <= at + _COARSE]
        return begun[-1] if begun else 0

    def _drain(self) -> None:
        """Wait until no more records arrive."""
        deadline = time.monotonic() + _DRAINED
        while time.monotonic() < min(deadline, self._last + _SILENT):
            time.sleep(0.05)

    def _kernel_lost(self) -> int:
        try:
            return audit.kernel_status()["lost"] - self._lost
        except OSError:
            return 1


class _Guard:
    """A process that kills the processes of containers when its parent has ended."""

    def __init__(self) -> None:
        reader, self._writer = os.pipe()
        if os.fork() == 0:
            try:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                # Others wait for the end of what this process inherited.
                for number in map(int, os.listdir("/proc/self/fd")):
                    if number != reader:
                        with suppress(OSError):
                            os.close(number)
                with os.fdopen(reader, "r", encoding="ascii") as file:
                    _kill(file.read().split())
            finally:
                os._exit(0)
        os.close(reader)

    def watch(self, identity: str) -> None:
        """Kill the processes of this container, too, when the parent has ended."""
        os.write(self._writer, f"{identity}\n".encode("ascii"))


def _kill(containers: Collection[str]) -> None:
    """Kill the processes of containers, and those that they start meanwhile."""
    for _round in range(_ROUNDS):
        for name in os.listdir("/proc"):
            if name.isdigit() and look_up(int(name), time.time()).container in containers:
                with suppress(OSError):
                    os.kill(int(name), signal.SIGKILL)
        time.sleep(_LOOK)


def logging(profile: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a copy of a seccomp profile that logs the permitted calls, except those in ``QUIET``.

    Args:
        profile: the other one, in the form of an engine or of a runtime; None for no filter.
    """
    if profile is None:
        return {"defaultAction": _LOG, "syscalls": [{"names": sorted(QUIET), "action": _ALLOW}]}
    rules = []
    for rule in profile.get("syscalls") or ():
        names = set(rule.get("names") or [rule.get("name")])
        if rule.get("action") != _ALLOW:
            rules.append(rule)
            continue
        rest = {key: value for key, value in rule.items() if key != "name"}
        for action, chosen in ((_ALLOW, names & QUIET), (_LOG, names - QUIET)):
            if chosen:
                rules.append({**rest, "names": sorted(chosen), "action": action})
    otherwise = profile.get("defaultAction")
    return {**profile, "defaultAction": _LOG if otherwise == _ALLOW else otherwise, "syscalls": rules}
