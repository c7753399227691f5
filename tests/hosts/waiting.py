"""Wait for a guest."""

from __future__ import annotations

import subprocess
import time

from hardener import lab

_PATIENCE = 900  # seconds; an emulated machine takes its time
_LOOK = "for _ in $(seq 40); do if {condition}; then exit 0; fi; sleep 0.5; done >/dev/null 2>&1; exit 1"


def until(guest: lab.Guest, condition: str) -> None:
    """Wait until a condition of the shell holds, through times without a login.

    The guest looks by itself: to log in costs it a second.
    """
    deadline = time.monotonic() + _PATIENCE
    while not _holds(guest, condition):
        assert time.monotonic() < deadline, f"it never came to that: {condition}"
        time.sleep(1)


def _holds(guest: lab.Guest, condition: str) -> bool:
    try:
        look = guest.ssh("sh", "-c", _LOOK.format(condition=condition), check=False, timeout=120)
    except subprocess.TimeoutExpired:
        return False
    return look.returncode == 0
