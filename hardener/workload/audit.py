"""Audit the running containers of a host: their privileges, and their distance from least privilege."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hardener.checks.lib import fields
from hardener.checks.lib.containers import SOURCE, Container, containers, readable
from hardener.checks.lib.filters import MALFORMED
from hardener.model import Severity, WorkloadRisk, Workloads
from hardener.snapshot import FactUnavailable, Snapshot
from hardener.workload.privileges import Privileges, neighbours, privileges
from hardener.workload.risk import LEVELS, Excess, excesses

if TYPE_CHECKING:
    from hardener.workload.use import Use

FIRST = 3  # number of recommendations that are named first
RISKIEST = 20  # containers of a host that a report of a whole assessment lists
_GRAVITY = {level: place for place, (_, level) in enumerate(LEVELS)}

_ELSEWHERE = (
    "no process of the engine's containers is on this host: the engine seems to run on another machine; name"
    " that machine with -i"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerAudit:
    """One running container."""

    id: str
    name: str
    image: str
    has: Privileges
    excess: tuple[Excess, ...]  # most severe first
    use: Use | None = None  # of a requested profile

    @property
    def level(self) -> Severity:
        """Return the level of the most severe privilege."""
        return self.excess[0].level if self.excess else Severity.LOW

    @property
    def points(self) -> int:
        """Return the points of all privileges; a lower bound where something is unknown."""
        return sum(each.points for each in self.excess)

    @property
    def gravest(self) -> str:
        """Return the privilege with the most points, as ``is privileged``; empty for least privilege."""
        return next((each.has for each in self.excess if not each.follows), "")

    @property
    def first(self) -> tuple[str, ...]:
        """Return the first recommendations, without those that another recommendation includes."""
        return tuple(each.do for each in self.excess if not each.follows)[:FIRST]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAudit:
    """The running containers of one host, riskiest first; ``error`` says why they could not be judged."""

    host: str
    collected_at: str = ""
    engine: str = ""  # version
    containers: tuple[ContainerAudit, ...] = ()
    error: str = ""

    def levels(self) -> Counter[Severity]:
        """Return the number of containers by level of risk."""
        return Counter(each.level for each in self.containers)

    @property
    def complete(self) -> bool:
        """Return whether all facts about all containers are known."""
        return not self.error and not any(each.has.unknown for each in self.containers)


def audit(
    snapshot: Snapshot, *, host: str = "", use: Callable[[Container], Use | None] = lambda _: None
) -> HostAudit:
    """Judge the running containers of a host.

    Args:
        snapshot: the host's facts.
        host: its name, where that is known better than from the snapshot.
        use: tells the profile that a container is under, where profiles are known.
    """
    host = host or snapshot.host
    try:
        return _audit(snapshot, host, use)
    except FactUnavailable as missing:
        return HostAudit(
            host=host,
            collected_at=snapshot.collected_at,
            error=f"{missing.source} could not be read: {missing.reason}",
        )
    except MALFORMED as error:  # the data come from an untrusted host
        reason = f"the facts are not in the format of the collector ({type(error).__name__})"
        return HostAudit(host=host, collected_at=snapshot.collected_at, error=reason)


def workloads(snapshot: Snapshot) -> Workloads | None:
    """Return the containers of a host for reports of an assessment; None where they cannot be judged."""
    found = audit(snapshot)
    if found.error:
        return None
    levels = found.levels()
    return Workloads(
        levels={level.value: levels[level] for level in Severity},
        riskiest=tuple(
            WorkloadRisk(
                container=each.name,
                image=each.image,
                level=each.level,
                points=each.points,
                why=tuple(excess.has for excess in each.excess if not excess.follows)[:FIRST],
                first=each.first,
            )
            for each in found.containers[:RISKIEST]
        ),
    )


def by_risk(audits: Iterable[HostAudit]) -> list[tuple[str, ContainerAudit]]:
    """Return all containers with their hosts, sorted by level, points and name."""
    found = [(each.host, container) for each in audits for container in each.containers]
    return sorted(found, key=lambda pair: (*_rank(pair[1]), pair[0], pair[1].name, pair[1].id))


def refusal(snapshot: Snapshot) -> str:
    """Return why the containers of an engine cannot be judged on its host; empty where they can."""
    if not snapshot.engine_installed:
        return "Docker is not installed"
    if snapshot.info.get("OperatingSystem") == "Docker Desktop":
        return "the engine is Docker Desktop's: its containers run in a virtual machine that this host hides"
    if snapshot.fact("engine").get("rootless") or "rootless" in snapshot.security_options:
        return "the engine is rootless: these commands work with the system's engine"
    return ""


def _audit(snapshot: Snapshot, host: str, use: Callable[[Container], Use | None]) -> HostAudit:
    collected_at = snapshot.collected_at
    if reason := refusal(snapshot):
        return HostAudit(host=host, collected_at=collected_at, error=reason)
    everyone, _ = readable(snapshot)
    running = tuple(container for container in everyone if container.running)
    if not running and any(_has_process(container) for container in everyone):
        return HostAudit(host=host, collected_at=collected_at, error=_ELSEWHERE)
    near = neighbours(running)
    judged = [_unread(container) for container in containers(snapshot) if container.error]
    for container in running:
        has = privileges(container, near)
        used = None
        with suppress(FactUnavailable, *MALFORMED):  # ``has.unknown`` names the unreadable parts
            used = use(container)
        judged.append(
            ContainerAudit(
                id=container.id,
                name=container.name,
                image=str(container.config.get("Image") or container.inspect.get("Image") or ""),
                has=has,
                excess=excesses(has),
                use=used,
            )
        )
    judged.sort(key=lambda each: (*_rank(each), each.name, each.id))
    return HostAudit(
        host=host,
        collected_at=collected_at,
        engine=str(snapshot.fact("docker.version").get("Version") or ""),
        containers=tuple(judged),
    )


def _has_process(container: Container) -> bool:
    """Return whether the engine names a process of the container."""
    pid = fields.table(container.inspect, "State", SOURCE).get("Pid")
    return isinstance(pid, int) and pid > 0


def _unread(container: Container) -> ContainerAudit:
    """Return the audit of a container that could not be read; it may not be running."""
    has = Privileges(unknown=(f"all facts: {container.error}",))
    return ContainerAudit(id=container.id, name=container.name, image=container.image_id, has=has, excess=())


def _rank(container: ContainerAudit) -> tuple[int, int]:
    return _GRAVITY[container.level], -container.points
