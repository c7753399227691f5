"""Restart a guest."""

from __future__ import annotations

import subprocess
import time

from hardener import lab

BOOT_ID = "/proc/sys/kernel/random/boot_id"
_PATIENCE = 1200  # seconds; an emulated machine that shares a core takes its time


def reboot(guest: lab.Guest) -> None:
    """Restart a guest as an operator does, and wait until its services are up."""
    before = guest.ssh("cat", BOOT_ID).stdout
    guest.ssh("systemctl", "reboot", check=False)
    wait_for_reboot(guest, before)


def wait_for_reboot(guest: lab.Guest, before: str) -> None:
    """Wait until a guest has started anew, and its services are up.

    Args:
        guest: the guest.
        before: its boot id when it had not.
    """
    deadline = time.monotonic() + _PATIENCE
    while _boot_id(guest) in ("", before):
        assert time.monotonic() < deadline, (
            f"the guest did not come back; its console ends with:\n{_console(guest)}"
        )
        time.sleep(1)
    guest.ssh("systemctl", "is-system-running", "--wait", check=False)


def _boot_id(guest: lab.Guest) -> str:
    """Which boot of a guest answers; empty where none does: who asks while it falls may wait for ever."""
    try:
        return guest.ssh("cat", BOOT_ID, check=False, timeout=15).stdout
    except subprocess.TimeoutExpired:
        return ""


def _console(guest: lab.Guest) -> str:
    return (guest.directory / "console.log").read_text(errors="replace")[-4000:]
