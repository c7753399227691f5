"""What /proc tells of processes: who runs, with which command line, as whom."""

from __future__ import annotations

import os
import re

from .read import read_bytes, read_pseudo, read_text


def scan() -> dict[int, str]:
    """Process id to command name, of every process this process can see."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                found[int(name)] = read_pseudo(f"/proc/{name}/comm").rstrip("\n")
            except OSError:
                continue  # it ended meanwhile
    return found


_FIELDS = re.compile(r"^(Name|NSpid|Uid|Gid|Cap\w+|NoNewPrivs|Seccomp|Seccomp_filters):\t(.*)", re.MULTILINE)


class Process:
    """A process whose folder in /proc is held open: all that is read is of one and the same process."""

    def __init__(self, pid: int) -> None:
        self._folder = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._folder)

    def text(self, name: str) -> str:
        """Content of one of its files."""
        return read_pseudo(name, self._folder)

    def link(self, name: str) -> str | None:
        """Where one of its links points, None where that cannot be read."""
        try:
            return os.readlink(name, dir_fd=self._folder)
        except OSError:
            return None

    def namespaces(self, kinds: tuple[str, ...]) -> dict[str, str | None]:
        """Identities of its namespaces."""
        found = {}
        for kind in kinds:
            link = self.link(f"ns/{kind}")
            found[kind] = link[len(kind) + 2 : -1] if link else None
        return found


def status(pid: int) -> dict[str, str]:
    """Fields of /proc/PID/status."""
    return parse_status(read_pseudo(f"/proc/{pid}/status"))


def parse_status(text: str) -> dict[str, str]:
    """The fields of a process's status that anybody asks for here."""
    return dict(_FIELDS.findall(text))


def argv(pid: int) -> list[str]:
    """Command line of a process, one item an argument."""
    return nul_separated(f"/proc/{pid}/cmdline")


def environment(pid: int) -> dict[str, str]:
    """Environment a process was started with."""
    return dict(item.partition("=")[::2] for item in nul_separated(f"/proc/{pid}/environ"))


def nul_separated(path: str) -> list[str]:
    """Items of a file that separates them by NUL bytes."""
    items = read_bytes(path).decode("utf-8", "backslashreplace").split("\0")
    return items[:-1] if items and not items[-1] else items


def effective_uid(pid: int) -> int:
    """Effective user id of a process, as this process sees it."""
    return int(status(pid)["Uid"].split()[1])


def executable(pid: int) -> str | None:
    """Path of the program a process runs, None where it cannot be told."""
    try:
        return os.readlink(f"/proc/{pid}/exe").replace(" (deleted)", "")
    except OSError:
        return None


def started(pid: int) -> int | None:
    """When a process began, in seconds since the epoch."""
    try:
        # The name in parentheses may hold spaces and parentheses: fields count from behind the last one.
        ticks = int(read_pseudo(f"/proc/{pid}/stat").rpartition(")")[2].split()[19])
        booted = next(line for line in read_text("/proc/stat").splitlines() if line.startswith("btime "))
        return int(booted.split()[1]) + ticks // os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def parent(pid: int) -> int:
    """Parent process id, 0 where it cannot be told."""
    try:
        return int(read_pseudo(f"/proc/{pid}/stat").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def in_own_pid_namespace(pid: int) -> bool:
    """Whether a process has its id in our namespace only, which one in a container has not."""
    return len(status(pid).get("NSpid", "").split()) <= 1


def namespace(pid: int | str, kind: str) -> str | None:
    """Identity of a process's namespace, None where it cannot be read."""
    try:
        link = os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return None
    return link[link.find("[") + 1 : -1]
