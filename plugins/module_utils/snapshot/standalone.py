"""Define the sources that need no fact of another one: neither the engine, nor a digest for secrets."""

from __future__ import annotations

from ..host.once import Once
from . import (
    audit,
    blockdevices,
    firewall,
    kernel,
    mounts,
    nextboot,
    packages,
    runs,
    scans,
    system,
    trust,
)

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from .scheduler import Plan

_SOON = 45  # seconds; an emulated host that is also busy is a hundred times slower than a fast one
_LATER = 60  # seconds for slow programs


def plan() -> Plan:
    """Return every source with its function and time limit in seconds; slow ones first."""
    mounted = Once(mounts.read)
    return [
        ("packages", packages.read, packages.LIMIT + _SOON),
        ("firewall", firewall.read, _LATER),
        ("audit.loaded", audit.loaded, _LATER),
        ("system", lambda: system.read(mounted.get()), _SOON),
        ("mounts", mounted.get, _SOON),
        ("block_devices", blockdevices.read, _SOON),
        ("lsm", kernel.lsm, _SOON),
        ("sysctl", kernel.sysctl, _SOON),
        ("modules", kernel.modules, _SOON),
        ("next_boot", nextboot.read, _SOON),
        ("audit.persistent", audit.persistent, _SOON),
        ("hardener.runs", runs.read, _SOON),
        ("hardener.trust", trust.read, _SOON),
        ("hardener.scan", scans.read, _SOON),
    ]
