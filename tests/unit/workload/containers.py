"""Running containers as the collector finds them, for the tests of workloads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardener.workload.audit import ContainerAudit, audit
from tests.unit.snapshots import container, hardened, merge, with_containers

ALL = "000001ffffffffff"
DEFAULT = "00000000a80425fb"
NO_CAPABILITY = "0" * 16

# As the collector condenses them; figures of Docker 26.1.5.
BUILTIN = {
    "default": "SCMP_ACT_ERRNO",
    "open": [],
    "calls": 361,
    "unlimited": [],
    "digest": "0" * 32,
}
EVERYTHING = {
    "default": "SCMP_ACT_ALLOW",
    "open": [f"call{number}" for number in range(41)],
    "calls": None,
    "unlimited": ["clone", "clone3", "personality", "socket"],
    "digest": "f" * 32,
}
FLAT = {**BUILTIN, "calls": 67, "unlimited": ["clone", "socket"], "digest": "1" * 32}
NARROW = {**BUILTIN, "calls": 74, "digest": "2" * 32}


def running(
    name: str = "web",
    *,
    profile: Mapping[str, Any] | None = BUILTIN,
    proc: Mapping[str, Any] | None = None,
    **inspect: Any,
) -> dict[str, Any]:
    """A container as the engine starts it when it is asked for nothing, changed."""
    made = container(name, proc={"mounts": [ROOT], **(proc or {})}, Id=identity(name), **inspect)
    return {**made, "seccomp": dict(profile)} if profile is not None else made


def least(name: str = "least", **changes: Any) -> dict[str, Any]:
    """A container that holds every rule, with a profile of its own, changed."""
    proc = merge({"mounts": [{**ROOT, "options": "ro"}], "label": "own (enforce)"}, changes.pop("proc", {}))
    host_config = merge({"SecurityOpt": ["no-new-privileges", "seccomp={}"]}, changes.pop("HostConfig", {}))
    profile = changes.pop("profile", NARROW)
    made = hardened(name, proc=proc, Id=identity(name), HostConfig=host_config, **changes)
    return {**made, "seccomp": profile}


ROOT = {
    "id": 1,
    "parent": 0,
    "mount_point": "/",
    "root": "/",
    "device": "0:90",
    "fstype": "overlay",
    "source": "overlay",
    "options": "rw,relatime",
    "propagation": "private",
}


def identity(name: str) -> str:
    """An id that only a container of this name has."""
    return name.encode("utf-8", "surrogatepass").hex().ljust(64, "0")[-64:]


def judged(*containers: Mapping[str, Any], **sources: Any) -> dict[str, ContainerAudit]:
    """The audit of each container of a host, by its name."""
    found = audit(with_containers(*containers, **sources))
    assert not found.error
    return {each.name: each for each in found.containers}


def keys(found: ContainerAudit) -> dict[str, int]:
    """The points of everything that a container has beyond the least."""
    return {each.key: each.points for each in found.excess}
