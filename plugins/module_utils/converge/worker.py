"""Run work in a process that outlives the connection and the controller."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from typing import Any, Callable

from ..host import steps
from . import system
from .errors import Failed, Refused

_MOVED = 5  # seconds that systemd may take to move a process to its scope

Work = Callable[[], "dict[str, Any]"]


def run(work: Work, *, name: str) -> dict[str, Any]:
    """Run work in a process with its own session, wait for it, and return its result.

    The waiting process may be killed at any time without an effect on the worker.

    Raises:
        Refused: the worker refused.
        Failed: the worker failed, or was killed.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _work(work, writer, name)
    os.close(writer)
    with os.fdopen(reader, "rb") as lines:
        text = steps.answer(lines)
    os.waitpid(pid, 0)
    if system.has_systemd():  # systemd may not notice a worker that ends at once
        system.run("systemctl", "stop", "--", _scope(name), timeout=10)
    if not text:
        raise Failed("the worker was killed on the host; the next run undoes its changes")
    message = json.loads(text)
    if "refused" in message:
        raise Refused(message["refused"])
    if "failed" in message:
        raise Failed(message["failed"])
    result: dict[str, Any] = message["result"]
    return result


def _work(work: Work, writer: int, name: str) -> None:
    """Run the body of the worker; never returns."""
    try:
        os.setsid()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        _leave_session(name)
        steps.serve(writer)
        try:
            message: dict[str, Any] = {"result": work()}
        except Refused as refused:
            message = {"refused": str(refused)}
        except Exception as error:  # report every exception to the waiting process
            message = {"failed": f"the worker failed on the host: {type(error).__name__}: {error}"}
        with suppress(OSError), os.fdopen(writer, "wb") as answer:  # the waiting process may be gone
            answer.write(json.dumps(message).encode())
    finally:
        os._exit(0)


def _leave_session(name: str) -> None:
    """Move to a separate scope, since logind may kill all processes of a login session at its end."""
    if system.has_systemd():
        outcome = system.run(
            "busctl",
            "call",
            "--quiet",
            "org.freedesktop.systemd1",
            "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Manager",
            "StartTransientUnit",
            "ssa(sv)a(sa(sv))",
            _scope(name),
            "fail",
            "2",
            "PIDs",
            "au",
            "1",
            str(os.getpid()),
            "CollectMode",
            "s",
            "inactive-or-failed",
            "0",
        )
        # The reply comes before the move. A worker that ends in between leaves an empty scope behind.
        deadline = time.monotonic() + _MOVED
        while outcome.code == 0 and _scope(name) not in system.read("/proc/self/cgroup"):
            if time.monotonic() > deadline:
                return
            time.sleep(0.005)


def _scope(name: str) -> str:
    return f"hardener-{name}.scope"
