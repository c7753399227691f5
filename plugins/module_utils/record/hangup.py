"""Connect to a port of a container, and hang up."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from functools import partial

from .arrivals import inside
from .forward import Target

_CONNECT = 5  # seconds
_AT_ONCE = struct.pack("ii", 1, 0)  # closing resets the connection
_SAID = (b"", b"\n")
_READS = 0.1  # seconds for the program to read what was said


def hang_up(target: Target, port: int) -> None:
    """Connect to a TCP port from inside the container's network, and end the connection without waiting.

    Nothing happens where nothing listens.
    """
    for said in _SAID:
        with suppress(OSError), inside(target.pid, partial(socket.socket, socket.AF_INET)) as client:
            client.settimeout(_CONNECT)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            client.connect((target.address, port))
            client.sendall(said)
            time.sleep(_READS)
