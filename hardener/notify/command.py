"""Notify by a command that reads the message from standard input. It is started without a shell."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from contextlib import suppress

from hardener import umask
from hardener.errors import HardenerError
from hardener.notify.message import NotDelivered, Target
from hardener.text import line

_TIMEOUT_S = 30.0
_READ = 4096  # bytes of its output


class Command(Target):
    """A command that the user gave, split into words like in a shell, without other shell syntax.

    Args:
        text: the command and its arguments.
        timeout: its time limit in seconds.

    Raises:
        HardenerError: the text is empty or its quotes do not match.
    """

    def __init__(self, text: str, *, timeout: float = _TIMEOUT_S) -> None:
        try:
            self._words = shlex.split(text)
        except ValueError as error:
            raise HardenerError(f"invalid notification command: {error}") from error
        if not self._words or "\0" in text:
            raise HardenerError("the notification command is empty")
        self._timeout = timeout

    @property
    def name(self) -> str:
        """Return the program; its arguments may be secret."""
        return self._words[0]

    def send(self, message: bytes) -> None:
        """Run the command. Its output is not printed: standard output has the report."""
        # A file instead of a pipe: background processes that it leaves running do not block this one.
        with tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(
                    self._words,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    start_new_session=True,
                    umask=umask.given(),
                )
            except OSError as error:
                raise NotDelivered(error.strerror or str(error)) from error
            try:
                process.communicate(message, timeout=self._timeout)
            except subprocess.TimeoutExpired as error:
                raise NotDelivered(f"the command did not finish within {self._timeout:.0f} s") from error
            finally:
                _end(process)
            if process.returncode:
                size = said.seek(0, os.SEEK_END)
                said.seek(max(0, size - _READ))
                words = said.read(_READ).decode("utf-8", "replace").strip().splitlines()
                why = f": {line(words[-1])}" if words else ""
                raise NotDelivered(f"{_ending(process.returncode)}{why}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and its children if it still runs."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin:
        with suppress(OSError):  # input that it has not read is lost
            process.stdin.close()


def _ending(code: int) -> str:
    return f"signal {-code} ended the command" if code < 0 else f"exit code {code}"
