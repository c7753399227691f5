"""Run programs of the host."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import partial
from typing import NamedTuple, Sequence

from ..host.text import one_line
from .errors import Failed

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = {"PATH": _PATH, "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": ""}

# Seconds: a busy host may take a minute for `systemctl daemon-reload`, which other commands wait for.
_PATIENCE = 180
_TOO_LONG, _NOT_STARTED = 124, 126  # exit codes as in a shell


class Outcome(NamedTuple):
    """The result of a command."""

    code: int
    output: str
    error: str

    @property
    def said(self) -> str:
        """Return the error output of the command in one line."""
        return one_line(self.error or self.output, end=True)


def run(
    *command: str,
    timeout: float = _PATIENCE,
    keep_open: Sequence[int] = (),
    environment: dict[str, str] | None = None,
    given: str = "",
    user: int = 0,
) -> Outcome:
    """Run a command without a shell; code 127 if the program is missing, 124 on a timeout.

    ``given`` is its input, ``user`` the number of the user that runs it; 0 for the present user.
    """
    try:
        done = subprocess.run(
            command,
            input=given.encode(),
            capture_output=True,
            timeout=timeout,
            pass_fds=keep_open,
            env={**_ENVIRONMENT, **(environment or {})},
            cwd="/",
            check=False,
            preexec_fn=partial(_become, user) if user else None,
        )
    except FileNotFoundError:
        return Outcome(127, "", f"{command[0]} is not installed")
    except OSError as error:
        return Outcome(_NOT_STARTED, "", f"{command[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Outcome(_TOO_LONG, "", f"{command[0]} did not end within {timeout:.0f} s")
    except subprocess.SubprocessError as error:
        return Outcome(_NOT_STARTED, "", f"{command[0]}: {error}")
    return Outcome(
        done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )


def _become(user: int) -> None:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def attempt(*command: str, timeout: float = _PATIENCE) -> Outcome:
    """Run a command whose failure is acceptable, such as stopping a unit that systemd does not know.

    Raises:
        Failed: it could not be run to its end, so that nothing is known of what it was to do.
    """
    outcome = run(*command, timeout=timeout)
    if outcome.code in (_TOO_LONG, _NOT_STARTED):
        raise Failed(f"{' '.join(command)}: {outcome.said}")
    return outcome


def must(*command: str, timeout: float = _PATIENCE) -> str:
    """Run a command that has to succeed, and return its output.

    Raises:
        Failed: it did not.
    """
    outcome = run(*command, timeout=timeout)
    if outcome.code != 0:
        raise Failed(f"{' '.join(command)}: {outcome.said or f'ended with code {outcome.code}'}")
    return outcome.output


def installed(program: str) -> bool:
    """Return whether a program is in the system's path."""
    return shutil.which(program, path=_PATH) is not None


def has_systemd() -> bool:
    """Return whether systemd runs this host."""
    return os.path.isdir("/run/systemd/system")


def read(path: str) -> str:
    """Read a small text file, such as one of /proc; empty if it cannot be read. Invalid UTF-8 is replaced."""
    try:
        # A process can choose any name, which is part of its status.
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def boot() -> str:
    """Return the boot id of the running kernel; a soft reboot does not change it."""
    return read("/proc/sys/kernel/random/boot_id")
