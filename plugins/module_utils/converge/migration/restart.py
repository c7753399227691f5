"""Restart the engine by its unit, and remove what an ended engine has left behind: bridges, containers."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import time
from contextlib import suppress

from .. import system
from ..engine import Engine, wait_for
from ..errors import Failed


def problem(unit: str) -> str:
    """Return why a unit cannot be restarted on this host; empty if it can."""
    state = "no systemd"
    if system.has_systemd():
        state = system.run("systemctl", "is-active", "--", unit).output.strip()
    return "" if state == "active" else f"the engine is not run by {unit} ({state}): name its unit"


def restart(unit: str, *, timeout: float) -> None:
    """Restart a unit, or start it if it has stopped.

    Raises:
        Failed: it does not start.
    """
    system.run("systemctl", "reset-failed", "--", unit)  # a reached start limit would keep it down
    outcome = system.run("systemctl", "restart", "--", unit, timeout=timeout)
    if outcome.code != 0:
        raise Failed(f"{unit} does not start: {outcome.said}")


def restart_engine(engine: Engine, unit: str, *, timeout: float) -> None:
    """Restart the engine's unit, and wait until the engine answers.

    Raises:
        Failed: it does not start, or does not answer.
    """
    restart(unit, timeout=timeout)
    wait_for(
        f"{unit} started, but did not answer at {engine.path}",
        lambda: engine.info() is not None,
        seconds=timeout,
    )


_GRACE = 10  # seconds
_GET_FLAGS, _SET_FLAGS, _REMOVE = 0x8913, 0x8914, 0x89A1  # SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCBRDELBR
_UP = 1


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


def remove_bridge(name: str) -> None:
    """Remove a bridge without attached containers; ignore a missing bridge.

    Raises:
        Failed: the kernel refuses.
    """
    folder = f"/sys/class/net/{name}"
    if not name or "/" in name or not os.path.isdir(f"{folder}/bridge"):
        return
    if os.listdir(f"{folder}/brif"):
        raise Failed(f"an interface is still attached to the bridge {name}")
    raw = name.encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            answer = fcntl.ioctl(control, _GET_FLAGS, struct.pack("16sH14x", raw, 0))
            flags = struct.unpack("16sH14x", answer)[1]
            fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sH14x", raw, flags & ~_UP))
            fcntl.ioctl(control, _REMOVE, struct.pack("16s", raw))
        except OSError as error:
            raise Failed(f"the bridge {name} cannot be removed: {error.strerror}") from error
