"""Limit time, processor time and memory of a program and its helper processes.

The data that a program reads on a host may be hostile. If it keeps the program busy, the kernel ends the
program: a signal with the default action needs no Python code, which may be inside a function that never
releases its lock.
"""

from __future__ import annotations

import os
import resource
import signal

MEMORY = 2 << 30  # bytes: several times the need of the largest snapshot
_LEAST = 256 << 20
_ADDRESSES = 4 << 30  # address space that threads and the allocator reserve and never use
_DIE_WITH_PARENT = 1  # prctl(2)


def hold(seconds: int, memory: int = MEMORY) -> None:
    """End this process after some seconds, and limit its memory.

    Programs that it starts inherit the limits except the time.

    Args:
        seconds: of time, and of processor time.
        memory: bytes, and at most half of the host's.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    _lower(resource.RLIMIT_CPU, seconds)
    hold_memory(memory)


def hold_memory(memory: int = MEMORY) -> None:
    """Limit the memory of this process and of the programs that it starts.

    Args:
        memory: bytes, and at most half of the host's.
    """
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    data = max(_LEAST, min(memory, physical // 2))
    _lower(resource.RLIMIT_DATA, data)
    _lower(resource.RLIMIT_AS, data + _ADDRESSES)


def release() -> None:
    """Remove the limits of this process, if allowed, to start a program that needs more."""
    for kind in (resource.RLIMIT_CPU, resource.RLIMIT_DATA, resource.RLIMIT_AS):
        try:
            resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (OSError, ValueError):  # not root, or in a user namespace without the right
            pass


def become_helper(parent: int, seconds: int) -> None:
    """Limit the life of a forked helper process; the child must call this first.

    It gets its own process group, so that it can be killed with its children. It ends after some seconds, and
    when its parent ends.

    Args:
        parent: the parent's process id.
        seconds: of time, and of processor time.
    """
    os.setpgid(0, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)  # a forked process has no alarm
    _lower(resource.RLIMIT_CPU, seconds)
    try:
        import _ctypes  # `ctypes` takes four times as long

        prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type] # None: this program
        _ctypes.call_function(prctl, (_DIE_WITH_PARENT, int(signal.SIGKILL)))
    except (ImportError, OSError, AttributeError):
        return  # a Python without it: the alarm remains
    if os.getppid() != parent:
        os._exit(1)


def end_helper(pid: int) -> None:
    """Kill a helper and its children; an ended one is ignored."""
    for kill in (os.killpg, os.kill):  # it may not have its group yet
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _lower(kind: int, limit: int) -> None:
    """Set a limit, unless a lower one is set."""
    _soft, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(kind, (limit, limit))
