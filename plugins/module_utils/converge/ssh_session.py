"""Find the ssh connection that started this process."""

from __future__ import annotations

import os
from typing import NamedTuple


class Session(NamedTuple):
    """Source and destination address of an ssh connection."""

    client: str
    address: str
    port: int


def current() -> Session | None:
    """Return the ssh connection that started this process; None if there is none.

    Sudo removes the variable, so the environments of the parent processes are read, up to the one that sshd
    started.
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
    except OSError:  # it ended meanwhile, or is another user's and not readable
        return ""
