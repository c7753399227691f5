"""Check the resource limits of containers: memory, processor, processes, file descriptors; and their cgroup.

The cgroup's limits of a running container decide: a declared limit may not be in force (a rootless engine
without delegation, a kernel without the controller).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hardener.checks import check
from hardener.checks.lib import fields, policy
from hardener.checks.lib.containers import SOURCE, Container, container_check, every_container
from hardener.checks.lib.rule import Note, Question
from hardener.checks.lib.settings import Settings
from hardener.checks.lib.verdicts import needs_engine
from hardener.model import Verdict
from hardener.snapshot import FactUnavailable, Snapshot

_DEFAULT_SHARES = 1024  # the engine's default weight
_DEFAULT_WEIGHT = 100  # the kernel's default weight
_SHARES = range(10, 100_001)  # a weight outside starves this container, or all others
_MISSING = object()
_LIST = re.compile(r"(\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*)?")  # of processors; Linux has 8192 at most
_LONGEST_LIST = 1000


@container_check(
    "container-memory-limit", expected="every container has a memory limit below the memory of the host"
)
def _memory(container: Container) -> Iterator[str]:
    declared = fields.number(container.host_config, "Memory", SOURCE)
    total = fields.number(container.snapshot.info, "MemTotal", "docker.info")
    if not container.running:
        if declared <= 0:
            yield "is set to run without a memory limit"
        elif container.snapshot.info.get("MemoryLimit") is False:
            yield f"declares {_size(declared)}, but the engine cannot limit memory on this host"
        elif 0 < total <= declared:
            yield f"declares {_size(declared)}, no less than the host has ({_size(total)})"
        return
    limit = _limit(container, "memory_max")
    but = f", although {_size(declared)} are declared" if declared > 0 else ""
    if limit is _MISSING:
        yield f"runs without a memory controller{but}"
    elif limit is None:
        yield f"runs without a memory limit{but}"
    elif 0 < total <= limit:
        yield f"may use {_size(limit)}, no less than the host has ({_size(total)})"
    elif declared <= 0:
        yield Note(f"is limited to {_size(limit)} by its cgroup, not by its own configuration")


@container_check(
    "container-cpu-limit",
    expected="every container has a processor quota, fewer processors than the host, or a weight of its own",
    question="check on which processors each of these containers may run",
)
def _cpu(container: Container) -> Iterator[str]:
    shares = fields.number(container.host_config, "CpuShares", SOURCE)
    quota = fields.number(container.host_config, "NanoCpus", SOURCE) > 0 or (
        fields.number(container.host_config, "CpuQuota", SOURCE) > 0
    )
    weighted = shares not in {0, _DEFAULT_SHARES}
    processors = fields.number(container.snapshot.info, "NCPU", "docker.info")
    wanted = fields.text(container.host_config, "CpusetCpus", SOURCE)
    pinned = (
        container.snapshot.info.get("CPUSet") is not False and 0 < _listed_processors(wanted) < processors
    )
    declared = quota or weighted or pinned
    if shares and shares not in _SHARES:
        whom = "is starved by" if shares < _SHARES.start else "starves"
        yield f"{whom} other containers: its CPU shares are {shares}, the default is {_DEFAULT_SHARES}"
    if not container.running:
        able = (
            pinned
            or (quota and container.snapshot.info.get("CpuCfsQuota") is not False)
            or (weighted and container.snapshot.info.get("CPUShares") is not False)
        )
        if not declared:
            yield "is set to run without a processor limit"
        elif not able:
            yield "declares a processor limit, but the engine cannot enforce it on this host"
        elif quota and not (weighted or pinned) and 0 < processors <= _declared_processors(container):
            yield f"is set to run on all {processors} processors of the host"
        return
    ceiling = _limit(container, "cpu_max")
    weight = _limit(container, "cpu_weight")
    limited = ceiling is not _MISSING and ceiling is not None
    if limited and not 0 < processors <= _processors(str(ceiling)):
        return
    # The default weight sets no limit, though runc may write it as another number.
    weighty = weight is not _MISSING and weight is not None and weight != _DEFAULT_WEIGHT
    if weighty and shares != _DEFAULT_SHARES:
        return
    allowed = _limit(container, "cpuset_cpus")
    if allowed is _MISSING and pinned:
        yield Question(f"is set to run on processors {wanted}, and the snapshot has no set that is in force")
        return
    if allowed is not _MISSING and 0 < _listed_processors(str(allowed)) < processors:
        return
    if limited:
        yield f"may use all {processors} processors of the host"
        return
    but = ", although a limit is declared" if declared else ""
    same = " (the declared weight 1024 is the default)" if shares == _DEFAULT_SHARES else ""
    yield f"runs without a processor limit{but}{same}"


def _listed_processors(text: str) -> int:
    """Count the processors of a list such as ``0-3,8``."""
    if len(text) > _LONGEST_LIST or not _LIST.fullmatch(text):
        raise FactUnavailable(SOURCE, f"{text[:40]!r} is not a list of processors")
    ranges = [part.partition("-") for part in text.split(",") if part]
    return len({number for low, _, high in ranges for number in range(int(low), int(high or low) + 1)})


def _processors(ceiling: str) -> float:
    """Parse a CPU quota and its period, such as ``"50000 100000"``, into a number of processors."""
    quota, _, period = ceiling.partition(" ")
    if not (quota.isdigit() and period.isdigit() and int(period)):
        raise FactUnavailable(SOURCE, f"cpu_max is not a quota and a period: {ceiling}")
    return int(quota) / int(period)


def _declared_processors(container: Container) -> float:
    nano = fields.number(container.host_config, "NanoCpus", SOURCE)
    period = fields.number(container.host_config, "CpuPeriod", SOURCE) or 100_000
    return nano / 1e9 if nano > 0 else fields.number(container.host_config, "CpuQuota", SOURCE) / period


@container_check("container-pids-limit", expected="every container has a limit on its processes")
def _pids(container: Container) -> Iterator[str]:
    declared = fields.number(container.host_config, "PidsLimit", SOURCE)  # null, 0 and -1 set no limit
    most = _half_of_all_processes(container.snapshot)
    if not container.running:
        if declared <= 0:
            yield "is set to run without a limit on its processes"
        elif container.snapshot.info.get("PidsLimit") is False:
            yield f"declares {declared} processes, but the engine cannot limit processes on this host"
        elif most and declared > most:
            yield f"declares {declared} processes, more than half of the kernel's process ids"
        return
    limit = _limit(container, "pids_max")
    but = f", although {declared} are declared" if declared > 0 else ""
    if limit is _MISSING:
        yield f"runs without a pids controller{but}"
    elif limit is None:
        yield f"runs without a limit on its processes{but}"
    elif most and limit > most:
        yield f"may start {limit} processes, more than half of the kernel's process ids"
    elif declared <= 0 and container.snapshot.info.get("CgroupDriver") == "systemd":
        # systemd gives every unit a share of the host's maximum.
        yield f"declares no limit on its processes; the limit of its cgroup ({limit}) is systemd's default"
    elif declared <= 0:
        yield Note(f"is limited to {limit} processes by its cgroup, not by its own configuration")


def _half_of_all_processes(snapshot: Snapshot) -> int:
    """Return half of kernel.pid_max; 0 if an earlier collector did not read it."""
    value = str(snapshot.fact("sysctl").get("kernel.pid_max") or "") if snapshot.has("sysctl") else ""
    return int(value) // 2 if value.isdigit() else 0


@check("container-cgroup-parent")
@needs_engine
def cgroup_parent(snapshot: Snapshot) -> Verdict:
    """Check that the cgroup parent of every container is the engine's own, or named in the policy."""
    driver = snapshot.info.get("CgroupDriver")
    # The engine's default has no effect.
    accepted = {"", *({"system.slice"} if driver == "systemd" else {"docker", "/docker"})}
    accepted.update(policy.texts(snapshot, "cgroup_parents") or ())

    def judge(container: Container) -> Iterator[str]:
        parent = fields.text(container.host_config, "CgroupParent", SOURCE)
        if parent not in accepted:
            actual = str(_cgroup(container).get("path")) if container.running else ""
            yield f"has the cgroup parent {parent}" + (f", at {actual}" if actual else "")
        elif parent:
            yield Note(f"has the cgroup parent {parent}, which is accepted")

    return every_container(
        snapshot,
        judge,
        expected="every container has the engine's cgroup parent, or one from hardener_policy.cgroup_parents",
    )


@check("container-ulimits")
@needs_engine
def ulimits(snapshot: Snapshot) -> Verdict:
    """Check that no container raises a limit above the daemon's default; a person judges other overrides."""
    defaults = _daemon_ulimits(snapshot)

    def judge(container: Container) -> Iterator[str]:
        for entry in fields.rows(container.host_config, "Ulimits", SOURCE):
            name = fields.text(entry, "Name", SOURCE)
            soft, hard = (fields.number(entry, key, SOURCE) for key in ("Soft", "Hard"))
            override = f"{name}={_ulimit(soft)}:{_ulimit(hard)}"
            if hard == -1:
                yield f"removes the limit: {override}"
            elif name in defaults and 0 <= defaults[name] < hard:
                yield f"raises {override} above the daemon's default of {defaults[name]}"
            elif name in defaults:
                yield Note(f"lowers the daemon's default of {_ulimit(defaults[name])}: {override}")
            else:
                yield Question(f"sets {override}, for which the daemon has no default")

    shown = ", ".join(f"{name}={_ulimit(hard)}" for name, hard in sorted(defaults.items()))
    return every_container(
        snapshot,
        judge,
        expected="no container has ulimits above the daemon's defaults",
        question="check that each of these limits was set on purpose",
        evidence=(f"the daemon's default ulimits: {shown or 'none'}",),
    )


def _daemon_ulimits(snapshot: Snapshot) -> dict[str, int]:
    """Return the daemon's default hard limits for containers, from its flags or its file."""
    value = Settings(snapshot).get("default-ulimits").value
    try:
        if isinstance(value, Mapping):
            return {name: int(entry.get("Hard", entry.get("hard", -1))) for name, entry in value.items()}
        # --default-ulimit nofile=SOFT[:HARD]
        pairs = [str(flag).partition("=") for flag in value or ()]
        return {name: int(limits.rpartition(":")[2]) for name, _, limits in pairs}
    except (AttributeError, TypeError, ValueError) as error:
        raise FactUnavailable("daemon.config", "default-ulimits cannot be read") from error


def _ulimit(value: int) -> str:
    return "unlimited" if value == -1 else str(value)


def _cgroup(container: Container) -> Mapping[str, Any]:
    container.fact("cgroup")
    return fields.table(container.facts or {}, "cgroup", SOURCE)


def _limit(container: Container, key: str) -> Any:
    """Return a limit of a container's cgroup: ``None`` for unlimited, ``_MISSING`` without controller."""
    return _cgroup(container).get(key, _MISSING)


def _size(number: int) -> str:
    return f"{number / 2**20:.0f} MiB" if number >= 2**20 else f"{number} bytes"
