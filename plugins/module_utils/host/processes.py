"""Read processes from /proc: names, command lines, users."""

from __future__ import annotations

import os
import re

from . import limits
from .errors import Failed
from .read import read_bytes, read_pseudo, read_text

MOUNT, NETWORK = 0x20000, 0x40000000  # CLONE_NEWNS, CLONE_NEWNET
_CAP_SYS_RESOURCE = 24
_INITIAL_USER_NAMESPACE = 0xEFFFFFFD  # PROC_USER_INIT_INO


def scan() -> dict[int, str]:
    """Return process id to command name of every visible process."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                found[int(name)] = read_pseudo(f"/proc/{name}/comm").rstrip("\n")
            except OSError:
                continue  # it ended meanwhile
    return found


_ENTERED = 20  # seconds for reading the mounts of another namespace
_FIELDS = re.compile(r"^(Name|NSpid|Uid|Gid|Cap\w+|NoNewPrivs|Seccomp|Seccomp_filters):\t(.*)", re.MULTILINE)


class Process:
    """A process whose folder in /proc is held open, so that all reads refer to the same process."""

    def __init__(self, pid: int) -> None:
        self._folder = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._folder)

    def text(self, name: str) -> str:
        """Return the content of a file in the process's folder."""
        return read_pseudo(name, self._folder)

    def link(self, name: str) -> str | None:
        """Return the target of a link in the process's folder; None if it cannot be read."""
        try:
            return os.readlink(name, dir_fd=self._folder)
        except OSError:
            return None

    def mountinfo(self) -> str:
        """Return all mounts of the process's mount namespace.

        The file of a process that has changed its root lacks the mounts outside of that. Then the file of a
        child is read that enters the namespace.

        Raises:
            OSError: the namespace cannot be entered.
        """
        if self.link("root") in ("/", None):
            return self.text("mountinfo")
        namespace = os.open("ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder)
        entered, entering = os.pipe()
        end, ended = os.pipe()
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            try:
                limits.become_helper(parent, _ENTERED)
                os.close(ended)
                error = 0
                try:
                    enter(namespace, MOUNT)
                except OSError as refused:
                    error = refused.errno or 1
                os.write(entering, bytes([error]))
                os.read(end, 1)
            finally:
                os._exit(0)
        os.close(entering)
        os.close(end)
        try:
            error = (os.read(entered, 1) or b"\1")[0]
            if error:
                raise OSError(error, os.strerror(error))
            return read_pseudo(f"/proc/{child}/mountinfo")
        finally:
            for descriptor in (ended, entered, namespace):
                os.close(descriptor)
            os.waitpid(child, 0)

    def namespaces(self, kinds: tuple[str, ...]) -> dict[str, str | None]:
        """Return the identities of the process's namespaces of these kinds."""
        found = {}
        for kind in kinds:
            link = self.link(f"ns/{kind}")
            found[kind] = link[len(kind) + 2 : -1] if link else None
        return found


def status(pid: int) -> dict[str, str]:
    """Return the fields of /proc/PID/status."""
    return parse_status(read_pseudo(f"/proc/{pid}/status"))


def most_open_files(pid: int) -> int | None:
    """Return the highest limit of open files that a process can give its children; None if it is unknown."""
    try:
        most = int(read_pseudo("/proc/sys/fs/nr_open"))
        rows = read_pseudo(f"/proc/{pid}/limits").splitlines()
        own = next(row.split()[4] for row in rows if row.startswith("Max open files "))
        raises = int(status(pid)["CapEff"], 16) >> _CAP_SYS_RESOURCE & 1
        if raises and os.stat(f"/proc/{pid}/ns/user").st_ino == _INITIAL_USER_NAMESPACE:
            return most
        return most if own == "unlimited" else min(most, int(own))
    except (OSError, ValueError, KeyError, IndexError, StopIteration):
        return None


def parse_status(text: str) -> dict[str, str]:
    """Return the used fields of a process's status."""
    return dict(_FIELDS.findall(text))


def argv(pid: int) -> list[str]:
    """Return the command line of a process as a list of arguments."""
    return nul_separated(f"/proc/{pid}/cmdline")


def environment(pid: int) -> dict[str, str]:
    """Return the environment with which a process was started."""
    return dict(item.partition("=")[::2] for item in nul_separated(f"/proc/{pid}/environ"))


def nul_separated(path: str) -> list[str]:
    """Return the items of a file with NUL separators."""
    items = read_bytes(path).decode("utf-8", "backslashreplace").split("\0")
    return items[:-1] if items and not items[-1] else items


def effective_uid(pid: int) -> int:
    """Return the effective user id of a process, in this process's user namespace."""
    return int(status(pid)["Uid"].split()[1])


def executable(pid: int) -> str | None:
    """Return the path of a process's program, None if unknown."""
    try:
        return os.readlink(f"/proc/{pid}/exe").replace(" (deleted)", "")
    except OSError:
        return None


def started(pid: int) -> int | None:
    """Return the start time of a process, in seconds since the epoch."""
    try:
        # The name in parentheses may contain spaces and parentheses: count fields after the last one.
        ticks = int(read_pseudo(f"/proc/{pid}/stat").rpartition(")")[2].split()[19])
        booted = next(line for line in read_text("/proc/stat").splitlines() if line.startswith("btime "))
        return int(booted.split()[1]) + ticks // os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def parent(pid: int) -> int:
    """Return the parent process id, 0 if unknown."""
    try:
        return int(read_pseudo(f"/proc/{pid}/stat").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def ssh_connection() -> list[str]:
    """Return the words of the ssh connection that started this process: client and server, address and port.

    Sudo removes the variable, so the environments of parent processes are read, up to the one that sshd
    started. Without ssh there are no words.
    """
    pid = os.getpid()
    while pid > 1:
        try:
            words = environment(pid).get("SSH_CONNECTION", "").split()
        except (OSError, Failed):  # it ended meanwhile, or is another user's and not readable
            words = []
        if len(words) == 4 and words[3].isdigit():
            return words
        pid = parent(pid)
    return []


def in_own_pid_namespace(pid: int) -> bool:
    """Return whether a process is in this pid namespace, and not in a nested one such as a container's."""
    return len(status(pid).get("NSpid", "").split()) <= 1


def namespace(pid: int | str, kind: str) -> str | None:
    """Return the identity of a process's namespace, None if it cannot be read."""
    try:
        link = os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return None
    return link[link.find("[") + 1 : -1]


def label_file() -> str | None:
    """Return the file below ``/proc/PID`` with the security module's label; None if no module labels."""
    for name in ("attr/apparmor/current", "attr/current"):
        try:
            if read_pseudo(f"/proc/self/{name}"):
                return name
        except OSError:
            continue
    return None


def label(pid: int) -> str:
    """Return the label that confines a process, such as ``docker-default (enforce)``; empty if unknown."""
    try:
        name = label_file()
        return read_pseudo(f"/proc/{pid}/{name}").strip("\0\n ") if name else ""
    except OSError:
        return ""


def enter(handle: int, kind: int) -> None:
    """Move the calling thread into a namespace.

    Args:
        handle: of a file in /proc/PID/ns.
        kind: of the namespace, which has to be that of the file.

    Raises:
        OSError: the kernel refuses.
    """
    if hasattr(os, "setns"):
        os.setns(handle, kind)
        return
    import ctypes  # before Python 3.12

    if ctypes.CDLL(None, use_errno=True).setns(handle, kind):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
