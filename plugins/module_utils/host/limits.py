"""Hold a program and its helper processes within limits of time, processor time and memory.

What a program reads on a host was written by others. Should it keep the program busy all the same, the kernel
ends it: a signal whose action is the default one needs no turn of the interpreter, which may be inside a
function that never lets go of its lock.
"""

from __future__ import annotations

import os
import resource
import signal

MEMORY = 2 << 30  # bytes: several times what the largest snapshot takes
_LEAST = 256 << 20
_ADDRESSES = 4 << 30  # which threads and the allocator reserve and never use
_DIE_WITH_PARENT = 1  # prctl(2)


def hold(seconds: int, memory: int = MEMORY) -> None:
    """End this process after so many seconds, and fail what takes more memory.

    The programs that it starts inherit the limits but for the time.

    Args:
        seconds: of time, and of processor time.
        memory: bytes, and no more than half of the host's.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    _lower(resource.RLIMIT_CPU, seconds)
    hold_memory(memory)


def hold_memory(memory: int = MEMORY) -> None:
    """Fail what takes more memory, in this process and in the programs that it starts.

    Args:
        memory: bytes, and no more than half of the host's.
    """
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    data = max(_LEAST, min(memory, physical // 2))
    _lower(resource.RLIMIT_DATA, data)
    _lower(resource.RLIMIT_AS, data + _ADDRESSES)


def release() -> None:
    """Take the limits from this process, where it may: for a program of the host's own that needs more."""
    for kind in (resource.RLIMIT_CPU, resource.RLIMIT_DATA, resource.RLIMIT_AS):
        try:
            resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (OSError, ValueError):  # not root, or in a namespace whose root may not
            pass


def become_helper(parent: int, seconds: int) -> None:
    """Make a process that was just forked one that ends by itself; called in it, before anything else.

    It has a process group of its own, so that it can be ended with all that it starts. It ends after so many
    seconds, and when its parent does.

    Args:
        parent: the parent's process id.
        seconds: of time, and of processor time.
    """
    os.setpgid(0, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)  # a fork has no alarm
    _lower(resource.RLIMIT_CPU, seconds)
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    except (ImportError, OSError, AttributeError):
        return  # a Python without it: the alarm is left
    if os.getppid() != parent:
        os._exit(1)


def end_helper(pid: int) -> None:
    """Kill a helper and what it has started; one that has ended already is none."""
    for kill in (os.killpg, os.kill):  # it may not have its group yet
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _lower(kind: int, limit: int) -> None:
    """Set a limit, where there is no lower one."""
    _soft, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(kind, (limit, limit))
