"""Find the running containers that an ended engine has left behind."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

_GRACE = 10  # seconds


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
