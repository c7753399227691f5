"""Find the mounts and the running containers that an ended engine has left behind."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress

_GRACE = 10  # seconds


def mounted_below(folder: str) -> list[str]:
    """Return what is mounted in a folder, the innermost mounts first."""
    points = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            # Blanks and similar characters are octal escapes there (proc_pid_mountinfo(5)).
            point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), line.split()[4])
            if point == folder or point.startswith(f"{folder}/"):
                points.append(point)
    return sorted(points, key=len, reverse=True)


def end_orphans(namespace: str) -> None:
    """Kill containers that a dead engine left running: the next engine does not know them."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + _GRACE
        while True:
            found = _orphans(namespace)
            for pid in found:
                with suppress(OSError):
                    os.kill(pid, number)
            if not found or time.monotonic() > deadline:
                break
            time.sleep(0.5)


def _orphans(namespace: str) -> list[int]:
    """Return the init processes of a containerd namespace's containers: children of its shims."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with suppress(OSError):
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
            if b"containerd-shim" in words[0] and namespace.encode() in words:
                with open(f"/proc/{entry}/task/{entry}/children", "rb") as file:
                    found += [int(child) for child in file.read().split()]
    return found
