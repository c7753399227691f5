"""The ssh connection that brought us here."""

from __future__ import annotations

import os
from typing import NamedTuple


class Session(NamedTuple):
    """Whence it comes, and where on this host it came to."""

    client: str
    address: str
    port: int


def current() -> Session | None:
    """The ssh connection by which this process was started; None where it was started another way.

    Sudo takes the variable away, so that those who called us are asked, up to the one whom sshd started.
    """
    pid = os.getpid()
    while pid > 1:
        words = _environment(pid).get("SSH_CONNECTION", "").split()
        if len(words) == 4 and words[3].isdigit():
            return Session(words[0].partition("%")[0], words[2], int(words[3]))
        pid = _parent(pid)
    return None


def _environment(pid: int) -> dict[str, str]:
    items = _read(f"/proc/{pid}/environ").split("\0")
    return dict(item.partition("=")[::2] for item in items)


def _parent(pid: int) -> int:
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            return file.read()
    except OSError:  # it ended meanwhile, or is somebody's who does not show it
        return ""
