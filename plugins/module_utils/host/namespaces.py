"""Enter a namespace of another process."""

from __future__ import annotations

import os

MOUNT, NETWORK = 0x20000, 0x40000000  # CLONE_NEWNS, CLONE_NEWNET


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
