"""Find the container of a process by its control group."""

from __future__ import annotations

import os
import re
import time
from typing import Callable, NamedTuple

_CGROUP = re.compile(r"[/-]([0-9a-f]{64})(?:\.scope)?(?:/| \(deleted\)$|$)", re.MULTILINE)
_EXITING = 0x4  # PF_EXITING among the flags of /proc/PID/stat
SLACK = 0.1  # seconds: process start times have a resolution of 0.01 s, and clocks are adjusted now and then


class Process(NamedTuple):
    """The location of a process: in a container, on the host, or unknown because the process has ended."""

    container: str = ""
    elsewhere: bool = False


def look_up(pid: int, at: float, read: Callable[[str], str] | None = None) -> Process:
    """Return the container of the process that acted at a wall-clock time.

    The process may be gone and its number reused: then the result is unknown.
    """
    read = read or _read
    if pid <= 0:
        return Process()
    try:
        cgroup = read(f"/proc/{pid}/cgroup")
        # Read the start time after the cgroup: if it is old enough, the cgroup belongs to the same process.
        stat = read(f"/proc/{pid}/stat")
    except OSError:
        return Process()
    try:
        fields = stat.rpartition(")")[2].split()
        flags, ticks = int(fields[6]), int(fields[19])
    except (IndexError, ValueError):
        return Process()
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    if booted + ticks / os.sysconf("SC_CLK_TCK") > at + SLACK:
        return Process()
    found = _CGROUP.search(cgroup)
    if found:
        return Process(found[1])
    # An ending process has already left its cgroup v1 groups and is listed in the root group.
    unified = cgroup.startswith("0::")
    return Process(elsewhere=unified or not flags & _EXITING)


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 65536).decode("utf-8", "backslashreplace")
    finally:
        os.close(descriptor)
