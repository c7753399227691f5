"""Mount file systems in a separate mount namespace; they vanish when its last process ends."""

from __future__ import annotations

import ctypes
import os

from ..host.errors import Failed

_CLONE_NEWNS = 0x20000
_MS_REC, _MS_SLAVE, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 0x4000, 0x80000, 2, 4, 8


def leave() -> None:
    """Leave the mount namespace of the host.

    Raises:
        Failed: that is not permitted.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(_CLONE_NEWNS), "cannot leave the mount namespace")
    # Not private: an unmount on the host must reach this namespace, or the device stays busy.
    _check(libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None), "cannot separate the mounts")


def mount(kind: str, folder: str, *, executable: bool = False) -> None:
    """Mount a new file system on a folder, which is made if it does not exist.

    Raises:
        Failed: that is not possible.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _MS_NOSUID | _MS_NODEV | (0 if executable else _MS_NOEXEC)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    name = kind.encode()
    _check(
        libc.mount(name, os.fsencode(folder), name, flags, b"mode=0700"),
        f"cannot mount a file system ({kind})",
    )


def _check(result: int, what: str) -> None:
    if result != 0:
        raise Failed(f"{what}: {os.strerror(ctypes.get_errno())}")
