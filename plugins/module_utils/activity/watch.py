"""Read kernel records and engine events in one loop, and attribute each to its container."""

from __future__ import annotations

import os
import select
import time
from collections import deque
from queue import Empty
from typing import Any, Iterator, NamedTuple, Sequence

from ..host.audit import AuditSocket, Gaps, serial
from ..host.processes import label
from ..host.text import SHORT, shown
from .containers import Container, Directory, Process, look_up
from .engine import Engine, EngineEvent
from .records import Denial, classify, parse
from .tally import Baseline, Sighting, Tally

READY = 20.0  # seconds in which the engine must list the running containers
STEP = 0.5

_MAX_WAITING = 4096
_PATIENCE = 2.0  # seconds in which the engine must report a container that has just started


class _PendingDenial(NamedTuple):
    """A denial that waits for the data of a container that has just started."""

    until: float
    denial: Denial
    process: Process


class Watch:
    """Reads the kernel's records and the engine's events, and counts them.

    Args:
        socket: the engine's API socket.
        tally: where it counts.
        baseline: what is usual; ``learning`` teaches it what is seen.
        learning: whether it learns.
    """

    def __init__(
        self, socket: str, tally: Tally, baseline: Baseline | None = None, *, learning: bool = False
    ) -> None:
        self.directory = Directory()
        self.elsewhere = 0
        self.audit_problem = ""
        self._tally = tally
        self._baseline = baseline if learning else None
        self._gaps = Gaps()
        self._waiting: deque[_PendingDenial] = deque()
        self._audit: AuditSocket | None = None
        try:
            self._audit = AuditSocket()
        except OSError as error:
            self.audit_problem = error.strerror or str(error)
        self.engine = Engine(socket, self.directory)
        self.engine.start()

    def step(self, seconds: float) -> None:
        """Process the records and events that are available, or arrive within `seconds`."""
        if self._audit is None:
            time.sleep(seconds)
        elif select.select([self._audit], [], [], seconds)[0]:
            for record in self._audit.receive():
                self._gaps.note(serial(record.text), time.monotonic())
                denial = parse(record.kind, record.text)
                if denial is not None:
                    self._look_up_process(denial)
        self._gaps.expire(time.monotonic())
        while True:
            try:
                happening = self.engine.happenings.get_nowait()
            except Empty:
                break
            self._count(_event_sighting(happening))
        self._attribute(time.monotonic())
        if self._baseline is not None:
            for container in self.directory.running():
                self._baseline.watch(container.image, time.time())

    def finish(self) -> None:
        """Process the denials that still wait to be attributed."""
        until = time.monotonic() + _PATIENCE + 1
        while self._waiting and time.monotonic() < until:
            self.step(0.2)
        self._attribute(float("inf"))

    def lost(self) -> dict[str, int]:
        """Return the known losses: records that were not received or not kept."""
        return {
            "overruns": self._audit.overruns if self._audit else 0,
            "events": self._gaps.lost,
            "engine_cuts": self.engine.cuts,
            "engine_events": self.engine.lost,
            "no_room": self._tally.dropped,
        }

    def _look_up_process(self, denial: Denial) -> None:
        """Look up the process while it exists; the container's data may arrive later."""
        process = look_up(denial.pid, denial.at)
        if process.elsewhere and self.directory.confines(denial.confinement):
            # A build step, or a process that has left its container's cgroup.
            self._count(self._denial_sighting(denial, "", ""))
        elif process.elsewhere:
            self.elsewhere += 1
        elif self.directory.knows(process.container):
            self._count(self._denial_sighting(denial, process.container, "process"))
        elif len(self._waiting) < _MAX_WAITING:
            self._waiting.append(_PendingDenial(time.monotonic() + _PATIENCE, denial, process))
        else:
            self._count(
                self._denial_sighting(denial, process.container, "process" if process.container else "")
            )

    def _attribute(self, now: float) -> None:
        while self._waiting:
            until, denial, process = self._waiting[0]
            if until > now and not self.directory.knows(process.container):
                return
            self._waiting.popleft()
            identity, how = process.container, "process"
            if not identity:
                identity = self.directory.by_confinement(denial.confinement, denial.at)
                how = "confinement" if identity else ""
            self._count(self._denial_sighting(denial, identity, how))

    def _denial_sighting(self, denial: Denial, identity: str, how: str) -> Sighting:
        container = self.directory.get(identity)
        category, severity = classify(denial)
        return Sighting(
            at=denial.at,
            source=denial.source,
            kind=" ".join(filter(None, (denial.operation, denial.detail)))[:200],
            verdict=denial.verdict,
            category=category,
            severity=severity,
            target=denial.target,
            command=denial.command,
            container=identity,
            name=container.name,
            # The process is gone and several containers share its profile: the profile is all that is known.
            image=container.image if identity else "",
            how=how or f"not attributed ({shown(denial.confinement, SHORT) or 'no profile'})",
        )

    def _count(self, sighting: Sighting) -> None:
        self._tally.add(sighting)
        if self._baseline is not None:
            self._baseline.learn(sighting)


def _event_sighting(event: EngineEvent) -> Sighting:
    return Sighting(
        at=event.at,
        source="docker",
        kind=event.kind,
        verdict="seen",
        category="engine",
        severity=event.severity,
        target=event.target,
        command="",
        container=event.container.identity,
        name=event.container.name,
        image=event.container.image,
        how="engine",
    )


def summary(watch: Watch, began: float) -> dict[str, Any]:
    """Return the data of a watch except its entries."""
    return {
        "began": began,
        "ended": time.time(),
        "lost": watch.lost(),
        "elsewhere": watch.elsewhere,
        "deaf": unavailable_sources(watch.audit_problem, watch.engine.problem),
        "blind": unrecorded_actions(watch.directory.running()),
    }


_NAMED = 5
_ACTIONS_LOGGED = "/proc/sys/kernel/seccomp/actions_logged"
_UNCONFINED_TYPES = frozenset({"spc_t", "unconfined_service_t", "unconfined_t"})  # of SELinux
_TOLD = ("kill_process", "kill_thread", "log")


def unavailable_sources(audit_problem: str, engine_problem: str) -> list[str]:
    """Return the sources that should be readable and are not, with reasons.

    Args:
        audit_problem: why the kernel cannot be heard; empty where it can.
        engine_problem: the same of the engine.
    """
    found = []
    if audit_problem:
        found.append(
            f"the kernel's audit records cannot be received ({audit_problem}): no denial can be seen"
        )
    if engine_problem:
        found.append(
            f"the engine does not answer ({engine_problem}): its events and names of containers are missing"
        )
    return found


def unrecorded_actions(containers: Sequence[Container]) -> list[str]:
    """Return which actions of the running containers leave no trace on this host."""
    return list(_sentences(containers))


def _sentences(containers: Sequence[Container]) -> Iterator[str]:
    apparmor = _read("/sys/module/apparmor/parameters/enabled").startswith("Y")
    selinux = os.path.exists("/sys/fs/selinux/enforce")
    if not apparmor and not selinux:
        yield "neither AppArmor nor SELinux is on: they deny nothing"
    in_force = [(each, _silent(each)) for each in containers]
    silent = [each for each, profile in in_force if profile == "docker-default"] if apparmor else []
    if silent:
        yield (
            f"{_listed(silent)} run under docker-default, whose denials are not recorded:"
            " docker-default-audited (role activity) records them"
        )
    unconfined = [each for each, profile in in_force if profile == "unconfined"]
    if unconfined:
        yield f"{_listed(unconfined)} run unconfined: no action of theirs is denied or recorded"
    logged = _read(_ACTIONS_LOGGED).split()
    lacking = [name for name in _TOLD if logged and name not in logged]
    if lacking:
        yield f"the kernel does not record these seccomp actions: {', '.join(lacking)} ({_ACTIONS_LOGGED})"
    yield "calls that seccomp refuses with an error, as in the engine's own profile, leave no record"


def _silent(container: Container) -> str:
    """Return the confinement in force if it leaves no record; the declared one if the kernel tells none.

    A profile that was removed from the kernel confines no process, and the engine declares it all the same.
    """
    found = label(container.pid) if container.pid else ""
    parts = found.split(":")
    if len(parts) > 3:  # SELinux
        return "unconfined" if parts[2] in _UNCONFINED_TYPES else ""
    profile = found.partition(" (")[0]
    if not found:
        return container.silent
    return profile if found in ("unconfined", "docker-default (enforce)") else ""


def _listed(containers: Sequence[Container]) -> str:
    names = sorted(each.name or each.identity[:12] for each in containers)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(4096)
    except OSError:
        return ""
