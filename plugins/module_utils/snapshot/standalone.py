"""Define the sources that need no fact of another one: neither the engine, nor a digest for secrets."""

from __future__ import annotations

from ..host import units
from ..host.once import Once
from . import audit, firewall, kernel, mounts, network, nextboot, own_records, packages, system
from .scheduler import LATER, SOON

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from .scheduler import Plan


def plan() -> Plan:
    """Return every source with its function and time limit in seconds; slow sources come first."""
    mounted = Once(mounts.read)
    return [
        ("packages", packages.read, packages.LIMIT + SOON),
        ("firewall", firewall.read, LATER),
        ("audit.loaded", audit.loaded, LATER),
        ("system", lambda: system.read(mounted.get()), SOON),
        ("mounts", lambda: mounts.dated(mounted.get(), units.mounted()), LATER),
        ("block_devices", system.block_devices, SOON),
        ("network", network.read, SOON),
        ("lsm", kernel.lsm, SOON),
        ("sysctl", kernel.sysctl, SOON),
        ("modules", kernel.modules, SOON),
        ("next_boot", nextboot.read, SOON),
        ("audit.persistent", audit.persistent, SOON),
        ("hardener.runs", own_records.read_runs, SOON),
        ("hardener.trust", own_records.read_verification, SOON),
        ("hardener.scan", own_records.read_scan, SOON),
    ]
