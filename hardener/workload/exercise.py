"""Exercise a twin: run the user's command, or wait while the user exercises it.

A command finds the twin by its environment: ``HARDENER_ADDR_80`` is the address for port 80 of the twin, such
as ``127.0.0.1:49153``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

PREFIX = "HARDENER_ADDR_"
_CODES = {126: ": a file is not executable (chmod +x)", 127: ": a program was not found"}  # of a shell
_GRACE = 5  # seconds between the request to terminate and SIGKILL


@dataclass(frozen=True, slots=True)
class Exercise:
    """The result of an exercise; ``problem`` is empty where it succeeded."""

    seconds: float
    problem: str = ""

    def result(self) -> dict[str, object]:
        """Return the result in the form that the on-host program takes."""
        return {"seconds": self.seconds, "problem": self.problem}


Exerciser = Callable[[Mapping[str, str]], Exercise]


def command(text: str, *, most: float) -> Exerciser:
    """Return an exercise by a shell command on this machine; its output goes to standard error.

    Args:
        text: the command.
        most: seconds after which it is ended.
    """

    def exercise(addresses: Mapping[str, str]) -> Exercise:
        environment = {**os.environ, **{f"{PREFIX}{port}": address for port, address in addresses.items()}}
        began = time.monotonic()
        process = subprocess.Popen(
            ["/bin/sh", "-c", text],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            env=environment,
            start_new_session=True,
        )
        problem = ""
        try:
            code = process.wait(most)
            if code != 0:
                problem = f"the command ended with code {code}{_CODES.get(code, '')}"
        except subprocess.TimeoutExpired:
            problem = f"the command did not end within {most:g} s"
        finally:
            _end(process)
        return Exercise(time.monotonic() - began, problem)

    return exercise


def pause(seconds: float, *, begin: Callable[[], None] = lambda: None) -> Exerciser:
    """Return an exercise that calls ``begin`` and waits ``seconds``, while the user exercises the twin."""

    def exercise(_addresses: Mapping[str, str]) -> Exercise:
        begin()
        time.sleep(seconds)
        return Exercise(seconds)

    return exercise


def nothing(_addresses: Mapping[str, str]) -> Exercise:
    """Do nothing: the exercise for a command that runs in the twin."""
    return Exercise(0.0)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Terminate a command and its children."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
            if number == signal.SIGTERM and not _group_lives(process.pid):
                return


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
