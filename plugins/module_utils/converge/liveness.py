"""Verify, at the end of every run, that this host still starts programs and accepts new connections.

A change without an impact may still remove the execute bits of the loader or the shell, and nothing in the
health check starts a new process. So programs are started, as root and as an unprivileged user, and if the
run uses ssh, a new connection to its server must be answered, for which the server starts a process.

Only what worked before the first change is required afterwards. Restoring files needs no program.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import suppress
from typing import Any, Callable, Mapping, NamedTuple

from ..host import processes
from . import system

_NOBODY = 65534
_PROGRAM = 20  # seconds per program
_BANNER = 20  # seconds for a server to start the process of a connection: a busy host needs more than five
_PATIENCE = 30  # seconds for a server that is restarting
_MOMENT = 1  # seconds for a program: a host without a loader must be repaired at once
_PAUSE = 0.2

Question = Callable[[], bool]


class Session(NamedTuple):
    """Source and destination address of an ssh connection."""

    client: str
    address: str
    port: int


def current_session() -> Session | None:
    """Return the ssh connection that started this process; None if there is none."""
    words = processes.ssh_connection()
    return Session(words[0].partition("%")[0], words[2], int(words[3])) if words else None


class Look(NamedTuple):
    """The names of the checks that passed, the ssh connection of the run, and the Python interpreter."""

    working: frozenset[str]
    came_in: Session | None
    python: str = ""

    def data(self) -> dict[str, Any]:
        """Return the result as JSON data, for the rollback, which checks again."""
        return {"working": sorted(self.working), "came_in": self.came_in, "python": self.python}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Look:
        """Return the result that ``data`` stored; an empty one for journals of older versions."""
        came_in = data.get("came_in")
        session = Session(*came_in) if came_in else None
        return cls(frozenset(data.get("working") or ()), session, str(data.get("python") or ""))


def look(came_in: Session | None) -> Look:
    """Check programs and connections before the first change."""
    python = sys.executable or ""
    working = frozenset(name for name, works in _questions(came_in, python).items() if works())
    return Look(working, came_in, python)


def lost(before: Look) -> list[str]:
    """Return a problem for each check that passed before and fails now."""
    questions = _questions(before.came_in, before.python)
    failed: list[str] = []
    for name in sorted(before.working & set(questions), reverse=True):  # programs before connections
        patience = _MOMENT if name.startswith("runs") else _PATIENCE
        if not _in_time(questions[name], _MOMENT if failed else patience):
            failed.append(f"this host no longer {name}")
    return failed


def _in_time(question: Question, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while not question():
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True


def _questions(came_in: Session | None, python: str) -> dict[str, Question]:
    questions: dict[str, Question] = {
        "runs programs (/bin/sh)": lambda: _runs_programs("/bin/sh", "-c", "echo $((6*7))"),
        "runs programs of users (/bin/sh)": lambda: _runs_programs(
            "/bin/sh", "-c", "echo $((6*7))", user=_NOBODY
        ),
    }
    if os.path.isabs(python):
        questions[f"runs programs ({python})"] = lambda: _runs_programs(python, "-IBS", "-c", "print(6*7)")
    if came_in is not None:
        session = came_in
        questions[f"answers new connections by ssh ({session.address} port {session.port})"] = lambda: (
            _identifies_itself(session.address, session.port)
        )
    return questions


def _runs_programs(*command: str, user: int = 0) -> bool:
    outcome = system.run(*command, timeout=_PROGRAM, user=user)
    return (outcome.code, outcome.output.strip()) == (0, "42")


def _identifies_itself(address: str, port: int) -> bool:
    """Return whether an ssh server sends its identification to a new connection."""
    said = b""
    with suppress(OSError), socket.create_connection((address, port), timeout=_BANNER) as connection:
        deadline = time.monotonic() + _BANNER
        while len(said) < 4096 and time.monotonic() < deadline:
            part = connection.recv(512)
            said += part
            # Other lines may precede it (RFC 4253, 4.2).
            if not part or any(line.startswith(b"SSH-") for line in said.split(b"\n")[:-1]):
                break
    return any(line.startswith(b"SSH-") for line in said.split(b"\n"))
