"""Find outdated programs, libraries and kernels that still run after an update."""

from __future__ import annotations

import os
import re
from typing import Any

from ..host import processes
from ..host.errors import Failed
from ..host.kernels import newest_kernel
from ..host.read import read_or, read_text
from ..host.text import one_line

_MAPPED = re.compile(r"^\S+ ..x\S* \S+ \S+ \S+ +(/.*) \(deleted\)$", re.MULTILINE)
_CODE = ("/usr/", "/lib/", "/lib64/", "/bin/", "/sbin/", "/opt/")
_MAX_MAPS = 16 * 1024 * 1024
_MAX_FOUND = 500
_NAMED = 20
_STATUS = "/var/lib/dpkg/status"
_REBOOT = "/run/reboot-required"
_UNIT = re.compile(r"/([^/]+\.service)(?:/|$)")


def running() -> dict[str, Any]:
    """Return processes that need a restart, and whether a reboot is needed."""
    kernel = os.uname().release
    reboot = {
        "required": os.path.exists(_REBOOT),
        "packages": sorted(set(read_or(f"{_REBOOT}.pkgs", "").split()))[:_NAMED],
        "kernel": kernel,
        "newest_kernel": newest_kernel("/boot", kernel),
    }
    return {"restarts": processes_to_restart(), "reboot": reboot}


def packages_changed() -> int | None:
    """Return the time when packages were last installed or removed; None without packages."""
    try:
        return int(os.stat(_STATUS).st_mtime)
    except OSError:
        return None


def processes_to_restart() -> list[dict[str, Any]]:
    """Return processes that use replaced files: pid, start time, name, unit, and some of these files.

    Only those of the host: a container must be recreated from a new image.
    """
    found = []
    for pid, name in sorted(processes.scan().items()):
        try:
            if not processes.in_own_pid_namespace(pid):
                continue
            maps = read_text(f"/proc/{pid}/maps", _MAX_MAPS)
        except (OSError, Failed):
            continue  # it has ended, or must not be read
        files = sorted({path for path in _MAPPED.findall(maps) if _replaced(path)})
        if files:
            entry = {"pid": pid, "began": processes.started(pid), "name": one_line(name), "unit": _unit(pid)}
            found.append({**entry, "files": [one_line(path) for path in files[:_NAMED]]})
            if len(found) == _MAX_FOUND:
                break
    return found


def _replaced(path: str) -> bool:
    """Return whether another file has replaced a deleted file that a process still uses."""
    return path.startswith(_CODE) and os.path.exists(path)


def _unit(pid: int) -> str:
    try:
        found = _UNIT.search(read_text(f"/proc/{pid}/cgroup"))
    except (OSError, Failed):
        return ""
    return one_line(found.group(1)) if found else ""
