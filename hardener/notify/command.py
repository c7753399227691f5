"""A command that gets the message on its standard input. No shell has a part in it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from contextlib import suppress

from hardener import umask
from hardener.errors import HardenerError
from hardener.notify.target import NotDelivered, Target
from hardener.text import line

_TIMEOUT_S = 30.0
_READ = 4096  # bytes of what it says


class Command(Target):
    """A command as the user wrote it, split into words as a shell would, and no more of a shell than that.

    Args:
        text: the command and its arguments.
        timeout: seconds that it is given.

    Raises:
        HardenerError: these are no words.
    """

    def __init__(self, text: str, *, timeout: float = _TIMEOUT_S) -> None:
        try:
            self._words = shlex.split(text)
        except ValueError as error:
            raise HardenerError(f"the command to notify cannot be read: {error}") from error
        if not self._words or "\0" in text:
            raise HardenerError("the command to notify is empty")
        self._timeout = timeout

    @property
    def name(self) -> str:
        """The program; its arguments may be nobody's business."""
        return self._words[0]

    def send(self, message: bytes) -> None:
        """Run it. What it prints is not ours to print: standard output has the report."""
        # A file and no pipe: what it leaves running in the background holds nobody up.
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
                raise NotDelivered(f"it did not end within {self._timeout:.0f} s") from error
            finally:
                _end(process)
            if process.returncode:
                size = said.seek(0, os.SEEK_END)
                said.seek(max(0, size - _READ))
                words = said.read(_READ).decode("utf-8", "replace").strip().splitlines()
                why = f": {line(words[-1])}" if words else ""
                raise NotDelivered(f"{_ending(process.returncode)}{why}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Where it has not ended, end it with all that it has started."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin:
        with suppress(OSError):  # what it has not read is lost
            process.stdin.close()


def _ending(code: int) -> str:
    return f"it was ended by signal {-code}" if code < 0 else f"it ended with {code}"
