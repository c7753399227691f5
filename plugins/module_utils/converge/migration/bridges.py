"""Remove bridges that a stopped engine left in the kernel."""

from __future__ import annotations

import fcntl
import os
import socket
import struct

from ..errors import Failed

_GET_FLAGS, _SET_FLAGS, _REMOVE = 0x8913, 0x8914, 0x89A1  # SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCBRDELBR
_UP = 1


def remove(name: str) -> None:
    """Remove a bridge without attached containers; ignore a missing bridge.

    Raises:
        Failed: the kernel refuses.
    """
    folder = f"/sys/class/net/{name}"
    if not name or "/" in name or not os.path.isdir(f"{folder}/bridge"):
        return
    if os.listdir(f"{folder}/brif"):
        raise Failed(f"an interface is still attached to the bridge {name}")
    raw = name.encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            answer = fcntl.ioctl(control, _GET_FLAGS, struct.pack("16sH14x", raw, 0))
            flags = struct.unpack("16sH14x", answer)[1]
            fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sH14x", raw, flags & ~_UP))
            fcntl.ioctl(control, _REMOVE, struct.pack("16s", raw))
        except OSError as error:
            raise Failed(f"the bridge {name} cannot be removed: {error.strerror}") from error
