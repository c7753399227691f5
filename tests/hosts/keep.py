"""Keep a host for programs that start and stop it by its name, such as Molecule.

python -m tests.hosts.keep up NAME RELEASE namespaces|guest    # prints its inventory
python -m tests.hosts.keep down NAME

A process in the background owns the host, and holds a lock with its own pid in it. It ends the host when told
to, and as soon as the process has ended whose pid is in HARDENER_KEPT_FOR: a run of Molecule.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from hardener import lab
from hardener.errors import InternalError
from hardener.lab import host
from tests.hosts import guests, namespace_host

_LAST = 60  # seconds until a host is gone
_STARTED = "started: "


def up(name: str, release: str, kind: str) -> str:
    """Start a host and return the path of its inventory.

    Raises:
        SystemExit: it runs already, or does not come up.
    """
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        _keep(name, release, kind, writing)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    if not said.startswith(_STARTED):
        raise SystemExit(f"{name}: {said or 'the process that keeps it has ended'}")
    return said.removeprefix(_STARTED)


def down(name: str) -> None:
    """Stop a host, if it runs.

    Raises:
        SystemExit: it does not end.
    """
    deadline = time.monotonic() + _LAST
    with _lock(name).open("a+") as file:
        while not _locked(file.fileno()):
            if time.monotonic() > deadline:
                raise SystemExit(f"{name} does not end")
            file.seek(0)
            with suppress(
                ValueError, ProcessLookupError
            ):  # it has not written its pid yet, or has just ended
                os.kill(int(file.read()), signal.SIGTERM)
            time.sleep(0.2)


def _keep(name: str, release: str, kind: str, writing: int) -> None:
    """Own a host until SIGTERM, or until the run ends that it is for; this process never returns."""
    answer = os.fdopen(writing, "w")
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        signal.signal(signal.SIGTERM, _ended)
        with _lock(name).open("a+") as file:
            if not _locked(file.fileno()):
                raise InternalError("it runs already")
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            run = os.environ.get("HARDENER_KEPT_FOR")
            ends = [os.pidfd_open(int(run))] if run else []
            started = _start(name, release, kind)
            try:
                print(_STARTED, started.inventory, sep="", end="", file=answer)
                answer.close()
                select.select(ends, [], [])
            finally:
                started.stop()
    except BaseException as error:
        if not answer.closed:
            print(error, end="", file=answer)
            answer.close()
    finally:
        os._exit(0)


def _start(name: str, release: str, kind: str) -> lab.Guest:
    if kind == "namespaces":
        return namespace_host.start(name, release)
    return guests.start(release, name)


def _ended(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # `down` repeats it
    raise SystemExit


def _locked(descriptor: int) -> bool:
    """Take the lock; return whether no other process holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock(name: str) -> Path:
    folder = host.cache_dir() / "locks"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"kept-{name}"


if __name__ == "__main__":
    if sys.argv[1] == "up":
        print(up(*sys.argv[2:]))
    else:
        down(*sys.argv[2:])
