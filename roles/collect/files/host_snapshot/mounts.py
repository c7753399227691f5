"""The host's mounts, as PID 1 has them."""

from __future__ import annotations

import re

from host_snapshot.bounds import read_text

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

_OCTAL = re.compile(r"\\([0-7]{3})")


def read() -> list[dict[str, Any]]:
    """The source `mounts`."""
    try:
        text = read_text("/proc/1/mountinfo")
    except PermissionError:
        text = read_text("/proc/self/mountinfo")
    return parse(text)


def parse(text: str) -> list[dict[str, Any]]:
    """Mounts from mountinfo: see proc_pid_mountinfo(5)."""
    mounts = []
    for line in text.splitlines():
        fixed, _, rest = line.partition(" - ")
        fields, tail = fixed.split(" "), rest.split(" ")
        if len(fields) < 6 or len(tail) < 2:
            continue
        tags = [tag.partition(":")[0] for tag in fields[6:]]
        slave, shared = "master" in tags, "shared" in tags
        propagation = "unbindable" if "unbindable" in tags else "private"
        if shared or slave:
            propagation = "shared,slave" if shared and slave else "shared" if shared else "slave"
        mounts.append(
            {
                "mount_point": _plain(fields[4]),
                "root": _plain(fields[3]),
                "device": fields[2],
                "fstype": tail[0],
                "source": _plain(tail[1]),
                "options": fields[5],
                "propagation": propagation,
            }
        )
    return mounts


def _plain(text: str) -> str:
    """A path with its octal escapes (space, tab, newline, backslash) resolved."""
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text) if "\\" in text else text
