"""Run programs with limits of time and output."""

from __future__ import annotations

import os
import select
import time

from .errors import Absent, Failed
from .text import one_line

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MAX_OUTPUT = 16 * 1024 * 1024
# Seconds for what usually takes less than one: an emulated host that is also busy is a hundred times slower.
TIMEOUT = 45


def find_program(name: str, path: str = PATH) -> str | None:
    """Return the absolute path of a program, searched in a fixed PATH."""
    for folder in path.split(":"):
        candidate = f"{folder}/{name}"
        if os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    return None


def run(
    program: str,
    *arguments: str,
    timeout: float = TIMEOUT,
    limit: int = MAX_OUTPUT,
    codes: tuple[int, ...] = (0,),
) -> str:
    """Return the standard output of a program as text; see ``run_bytes``."""
    output = run_bytes(program, *arguments, timeout=timeout, limit=limit, codes=codes)
    return output.decode("utf-8", "backslashreplace")


def run_bytes(
    program: str,
    *arguments: str,
    timeout: float = TIMEOUT,
    limit: int = MAX_OUTPUT,
    codes: tuple[int, ...] = (0,),
) -> bytes:
    """Return the standard output of a program, run without a shell and with a fixed environment.

    Raises:
        Absent: there is no such program.
        Failed: it did not end in time, said too much, or ended with another code than ``codes``.
    """
    path = program if program.startswith("/") else find_program(program)
    if path is None:
        raise Absent(f"there is no {program}")
    process = _Process([path, *arguments], timeout)
    try:
        process.read_all(limit)
        code = process.wait()
    except Failed as error:
        process.kill()
        raise Failed(f"{program} {error}") from None
    if code not in codes:
        said = (process.output(2) or process.output(1)).decode("utf-8", "replace")
        raise Failed(f"{program}: {one_line(said) or f'ended with code {code}'}")
    return process.output(1)


class _Process:
    """A child process with piped outputs. Importing `subprocess` instead would take 10 % of the run time."""

    def __init__(self, argv: list[str], seconds: float) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        try:
            self._pid = os.posix_spawn(
                argv[0],
                argv,
                {"PATH": PATH, "LC_ALL": "C", "HOME": "/", "SYSTEMD_COLORS": "0"},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, out_write, 1),
                    (os.POSIX_SPAWN_DUP2, err_write, 2),
                ],
            )
        except OSError:
            os.close(out_read)
            os.close(err_read)
            raise
        finally:
            os.close(out_write)
            os.close(err_write)
        self._streams = {out_read: 1, err_read: 2}
        self._pieces: dict[int, list[bytes]] = {1: [], 2: []}

    def read_all(self, limit: int) -> None:
        """Read until the child closes its outputs.

        Raises:
            Failed: the deadline or the size limit comes first.
        """
        poller = select.poll()
        for descriptor in self._streams:
            poller.register(descriptor, select.POLLIN)
        size = 0
        try:
            while self._streams:
                remaining = self._deadline - time.monotonic()
                events = poller.poll(remaining * 1000) if remaining > 0 else []
                if not events:
                    raise self._too_long()
                for descriptor, _event in events:
                    piece = os.read(descriptor, 1024 * 1024)
                    size += len(piece)
                    if size > limit:
                        raise Failed(f"printed more than {limit} bytes")
                    if piece:
                        self._pieces[self._streams[descriptor]].append(piece)
                    else:
                        poller.unregister(descriptor)
                        os.close(descriptor)
                        del self._streams[descriptor]
        finally:
            for descriptor in self._streams:
                os.close(descriptor)

    def wait(self) -> int:
        """Return the exit code of the child; negative if a signal ended it.

        Raises:
            Failed: it closed its outputs and goes on.
        """
        pause = 0.0005
        while True:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            if time.monotonic() > self._deadline:
                raise self._too_long()
            time.sleep(pause)
            pause = min(pause * 2, 0.05)

    def _too_long(self) -> Failed:
        return Failed(f"did not end within {self._seconds:g} s")

    def kill(self) -> None:
        """Kill the child; do not wait for a child that hangs in the kernel."""
        os.kill(self._pid, 9)
        self._deadline = time.monotonic() + 0.5
        try:
            self.wait()
        except Failed:
            pass

    def output(self, stream: int) -> bytes:
        """Return what the child wrote to standard output (1) or standard error (2)."""
        return b"".join(self._pieces[stream])
