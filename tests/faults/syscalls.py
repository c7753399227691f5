"""Stop a program at its system calls, and answer them: seccomp's notifications to another process.

    listener = Listener(lambda: work())     # a child process, and all that it starts
    while (call := listener.wait()) is not None:
        listener.answer(call, errno.EIO)    # or 0: let the kernel do it

Only calls that change something are seen: the kernel passes all others without asking. x86_64.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import select
import signal
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

# The classes of calls: those of one fail alike.
OPEN, WRITE, CHANGE, SYNC, EXECUTE, CONNECT = "open", "write", "change", "sync", "execute", "connect"


class Kind(NamedTuple):
    """What a system call is: its name, its class, and which argument names its subject."""

    name: str
    group: str
    path: int = -1  # the argument that points to a path
    handle: int = -1  # or the one that is a file descriptor


_AT = 1  # the path of a call that is relative to a folder
KINDS = {
    1: Kind("write", WRITE, handle=0),
    18: Kind("pwrite64", WRITE, handle=0),
    20: Kind("writev", WRITE, handle=0),
    40: Kind("sendfile", WRITE, handle=0),
    326: Kind("copy_file_range", WRITE, handle=2),
    285: Kind("fallocate", WRITE, handle=0),
    2: Kind("open", OPEN, path=0),
    257: Kind("openat", OPEN, path=_AT),
    437: Kind("openat2", OPEN, path=_AT),
    82: Kind("rename", WRITE, path=1),
    264: Kind("renameat", WRITE, path=3),
    316: Kind("renameat2", WRITE, path=3),
    83: Kind("mkdir", WRITE, path=0),
    258: Kind("mkdirat", WRITE, path=_AT),
    86: Kind("link", WRITE, path=1),
    265: Kind("linkat", WRITE, path=3),
    88: Kind("symlink", WRITE, path=1),
    266: Kind("symlinkat", WRITE, path=2),
    188: Kind("setxattr", WRITE, path=0),
    189: Kind("lsetxattr", WRITE, path=0),
    190: Kind("fsetxattr", WRITE, handle=0),
    76: Kind("truncate", CHANGE, path=0),
    77: Kind("ftruncate", CHANGE, handle=0),
    84: Kind("rmdir", CHANGE, path=0),
    87: Kind("unlink", CHANGE, path=0),
    263: Kind("unlinkat", CHANGE, path=_AT),
    90: Kind("chmod", CHANGE, path=0),
    91: Kind("fchmod", CHANGE, handle=0),
    268: Kind("fchmodat", CHANGE, path=_AT),
    452: Kind("fchmodat2", CHANGE, path=_AT),
    92: Kind("chown", CHANGE, path=0),
    93: Kind("fchown", CHANGE, handle=0),
    94: Kind("lchown", CHANGE, path=0),
    260: Kind("fchownat", CHANGE, path=_AT),
    197: Kind("removexattr", CHANGE, path=0),
    198: Kind("lremovexattr", CHANGE, path=0),
    199: Kind("fremovexattr", CHANGE, handle=0),
    280: Kind("utimensat", CHANGE, path=_AT),
    74: Kind("fsync", SYNC, handle=0),
    75: Kind("fdatasync", SYNC, handle=0),
    162: Kind("sync", SYNC),
    306: Kind("syncfs", SYNC, handle=0),
    59: Kind("execve", EXECUTE, path=0),
    322: Kind("execveat", EXECUTE, path=_AT),
    42: Kind("connect", CONNECT, handle=0),
}
_OPEN_FLAGS = {2: 1, 257: 2}  # which argument has them; those of openat2 lie in memory
_CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

_SECCOMP, _PIDFD_OPEN, _PIDFD_GETFD = 317, 434, 438
_SET_MODE_FILTER = 1
_NEW_LISTENER, _WAIT_KILLABLE = 1 << 3, 1 << 5
_ALLOW, _USER_NOTIF = 0x7FFF0000, 0x7FC00000
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1
_NOTICE = struct.Struct("=QIIiIQ6Q")
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06

_libc = ctypes.CDLL(None, use_errno=True)


class Call(NamedTuple):
    """A system call that waits for its answer."""

    identity: int
    thread: int
    number: int
    arguments: tuple[int, ...]

    @property
    def kind(self) -> Kind:
        """What it is."""
        return KINDS[self.number]

    def subject(self) -> str:
        """The path that it is about; of a relative one, and of a handle, what the kernel calls it."""
        if self.kind.path >= 0:
            path = self._text(self.arguments[self.kind.path])
            if path.startswith("/proc/self/fd/"):
                number, _, name = path.removeprefix("/proc/self/fd/").partition("/")
                return f"{self._handle(int(number))}/{name}".rstrip("/")
            if path.startswith("/"):
                return path
            folder = (
                self.arguments[self.kind.path - 1] & 0xFFFFFFFF if self.kind.name.endswith("at") else -100
            )
            known = f"fd/{folder}" if folder < 1 << 31 else "cwd"
            with suppress(OSError):
                return str(Path(f"/proc/{self.thread}/{known}").readlink() / path)
            return path
        return self._handle(self.arguments[self.kind.handle] & 0xFFFFFFFF) if self.kind.handle >= 0 else ""

    def _handle(self, number: int) -> str:
        with suppress(OSError):
            return str(Path(f"/proc/{self.thread}/fd/{number}").readlink())
        return ""

    def _text(self, address: int) -> str:
        data = b""
        memory_of = Path(f"/proc/{self.thread}/mem")
        with suppress(OSError, OverflowError), memory_of.open("rb", buffering=0) as memory:
            while b"\0" not in data and len(data) < 4096:  # a read must not leave the mapped pages
                memory.seek(address + len(data))
                data += memory.read(4096 - (address + len(data)) % 4096)
        return os.fsdecode(data.partition(b"\0")[0])


class Listener:
    """A child that does the work, and whose calls, and those of all that it starts, wait here.

    Args:
        work: runs in the child, which ends when it returns.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        assert platform.machine() == "x86_64", "the numbers of the system calls are those of x86_64"
        board = mmap.mmap(-1, 4)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                board[:4] = struct.pack("=i", _install())  # the first thing that it may not write to a pipe
                work()
            finally:
                os._exit(0)
        while not (number := struct.unpack("=i", board[:4])[0]):
            assert os.waitpid(self.pid, os.WNOHANG) == (0, 0), "the child has no filter"
        pidfd = _called(_libc.syscall(_PIDFD_OPEN, self.pid, 0))
        self._handle = _called(_libc.syscall(_PIDFD_GETFD, pidfd, number, 0))
        os.close(pidfd)
        self._poll = select.poll()
        self._poll.register(self._handle, select.POLLIN)

    def wait(self, seconds: float = 120) -> Call | None:
        """The next call; None when the child and all that it has started are gone.

        Raises:
            TimeoutError: nothing happens any more.
        """
        notice = bytearray(_NOTICE.size)
        while True:
            ready = self._poll.poll(seconds * 1000)
            if not ready:
                raise TimeoutError(f"no call and no end within {seconds:.0f} s")
            if not ready[0][1] & select.POLLIN:
                os.close(self._handle)
                os.waitpid(self.pid, 0)
                return None
            notice[:] = bytes(_NOTICE.size)
            try:
                fcntl.ioctl(self._handle, _RECEIVE, notice)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR):  # it was killed meanwhile
                    continue
                raise
            identity, thread, _, number, _, _, *arguments = _NOTICE.unpack(notice)
            return Call(identity, thread, number, tuple(arguments))

    def answer(self, call: Call, error: int = 0) -> None:
        """Have it fail with an error; 0 has the kernel do it."""
        reply = struct.pack("=QqiI", call.identity, 0, -error, 0 if error else _CONTINUE)
        with suppress(FileNotFoundError):  # it was killed meanwhile
            fcntl.ioctl(self._handle, _SEND, reply)


def _install() -> int:
    """Have the calls of this process wait for their answers; the number of the handle that has them."""
    lines = [(_LOAD, 0, 0, 0)]
    # Those that open are asked for their flags; then comes the list of the others.
    for number, argument in _OPEN_FLAGS.items():
        lines += [
            (_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, 16 + 8 * argument),
            (_ANY_BIT, 0, 1, _CHANGING),
            (_RETURN, 0, 0, _USER_NOTIF),
            (_RETURN, 0, 0, _ALLOW),
        ]
    others = [number for number in KINDS if number not in _OPEN_FLAGS]
    lines += [(_EQUAL, len(others) - position, 0, number) for position, number in enumerate(others)]
    lines += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _USER_NOTIF)]
    program = b"".join(struct.pack("=HBBI", *line) for line in lines)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HxxxxxxP", len(lines), ctypes.addressof(buffer))
    flags = _NEW_LISTENER | _WAIT_KILLABLE
    return _called(_libc.syscall(_SECCOMP, _SET_MODE_FILTER, flags, header))


def _called(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def kill(pid: int) -> None:
    """End a process at once."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
