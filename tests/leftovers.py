"""What a test run or a benchmark leaves behind when it is killed, and how the next one clears it up.

A process that is started with ``tied`` dies with the process that started it. What a kill does not reach that
way (guests of the lab, shims and containers of an engine, cgroups, mounts, files) belongs to something that
has its owner in its name: ``hardener-KIND-PID-START-SPACE-RANDOM``. START is when that process began, for
process ids are used again, and SPACE its namespace of process ids: nothing is known of owners in another one.
Each run of pytest, and each process that makes such a name, first clears up those of owners that are gone.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hardener.errors import HardenerError
from hardener.lab.host import cache_dir, tied

__all__ = ["PLUGINS", "clear", "folder", "mark", "name", "scratch", "sweep", "tied"]

PLUGINS = Path("/run/docker/plugins")  # where engines look for the sockets of plugins
_TEMPORARY = (Path("/tmp"), Path("/dev/shm"))
_PLACES = (*_TEMPORARY, Path("/var/tmp"), Path("/run"), PLUGINS)
_CGROUPS = Path("/sys/fs/cgroup")
_NAME = re.compile(r"(?:guest-)?hardener-[a-z]+-(\d+)-(\d+)-(\d+)-\w+(?:\.sock)?")
_PATIENCE = 30  # seconds for killed processes to be gone


def name(kind: str) -> str:
    """The beginning of a name that says whose it is."""
    _sweep_once()
    return _own(kind)


def _own(kind: str) -> str:
    return f"hardener-{kind}-{os.getpid()}-{_began(os.getpid())}-{_space()}-"


def folder(kind: str, *, parent: Path = Path("/tmp")) -> Path:
    """A folder of this process. A unix socket's path may have 107 characters: pytest's own are too deep."""
    return Path(tempfile.mkdtemp(prefix=name(kind), dir=parent))


@contextmanager
def scratch(kind: str, *, parent: Path = Path("/tmp")) -> Iterator[Path]:
    """A folder of this process for a while."""
    path = folder(kind, parent=parent)
    try:
        yield path
    finally:
        clear(path)


@functools.cache
def _sweep_once() -> None:
    sweep()


def mark(folder: Path) -> None:
    """Say whose a folder of pytest is. Its own lock has a process id alone, and counts for three days."""
    (folder / f"{_own('pytest')}mark").touch()


def sweep() -> None:
    """Clear up what processes have left that are gone."""
    for path in _left():
        with suppress(OSError):  # another run clears it up meanwhile
            clear(path)


def _left() -> Iterator[Path]:
    yield from filter(_is_left, _named())
    for place in _TEMPORARY:
        for each in filter(_is_left, place.glob("pytest-of-*/pytest-[0-9]*/hardener-pytest-*")):
            if (each.parent / ".lock").exists():  # a run that ends removes it, and keeps its files
                yield each.parent


def _named() -> Iterator[Path]:
    """What has an owner in its name."""
    places = [*_PLACES]
    with suppress(HardenerError):  # no lab in such a folder
        places += [cache_dir() / "guests", cache_dir() / "locks"]
    for place in places:
        yield from place.glob("*hardener-*")
    for folder, names, _ in os.walk(_CGROUPS):
        yield from (Path(folder) / each for each in names if each.startswith("hardener-"))


def _is_left(path: Path) -> bool:
    """Whether something is this user's, and its owner is gone."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return False
    pid, start, space = map(int, found.groups())
    with suppress(OSError):
        return space == _space() and _began(pid) != start and path.lstat().st_uid == os.geteuid()
    return False


def clear(path: Path) -> None:
    """End the processes that belong to a folder, unmount what is mounted below it, and remove it."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    deadline = time.monotonic() + _PATIENCE
    while processes := set(_processes(path)):  # an engine that is being killed may start others
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes of {path} cannot be ended: {sorted(processes)}")
        time.sleep(0.01)
    for mount_point in _mount_points(path):
        subprocess.run(["umount", "-l", mount_point], check=False, stderr=subprocess.DEVNULL)
    _remove_tree(path)
    while path.exists() and time.monotonic() < deadline:  # a cgroup, whose processes are about to end
        time.sleep(0.05)
        _remove_tree(path)


def _remove_tree(path: Path) -> None:
    try:
        shutil.rmtree(path, ignore_errors=True)
    except RecursionError:  # folders nested deeper than Python follows
        subprocess.run(["rm", "-rf", "--", path], check=False)


def _space() -> int:
    """Our namespace of process ids."""
    return Path("/proc/self/ns/pid").stat().st_ino


def _began(pid: int) -> int:
    """When a process began, in the kernel's ticks; 0 where there is none, or only its parent knows of it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def _processes(path: Path) -> Iterator[int]:
    """The processes that name a folder in their command line, those of its cgroup and of its containers."""
    cgroups = {path.name, *(file.parent.name for file in path.glob("exec/containerd/daemon/*/*/*/init.pid"))}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            _, found, rest = (entry / "cmdline").read_bytes().partition(os.fsencode(path))
            named = found and not rest[:1].isdigit()  # pytest-12 is not pytest-1
            groups = re.split(r"[/\n]", (entry / "cgroup").read_text())
            if (named or not cgroups.isdisjoint(groups)) and _began(int(entry.name)):
                yield int(entry.name)


def _mount_points(path: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in lines]
    return sorted((point for point in points if point.startswith(f"{path}/")), key=len, reverse=True)
