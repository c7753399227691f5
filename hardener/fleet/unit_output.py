"""Read the output of a unit of work on a mesh until it ends or sends nothing for too long."""

from __future__ import annotations

import base64
import math
import socket
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import IO

from hardener.errors import HardenerError
from hardener.fleet.events import Event, Idle
from hardener.fleet.receptor import Receptor, ReceptorError

_WAIT_S = 1.0
_LONGEST = 64 << 20  # bytes of an event
_LONGEST_S = 25 * 3600.0  # the time of a slice: a host may be listened to for 24 hours


class EndedError(HardenerError):
    """The work has ended."""


class UnitOutput:
    """The output of a unit of work; after a lost connection, reading resumes at the same position."""

    def __init__(self, receptor: Receptor, unit: str, lease: float) -> None:
        self._receptor, self._unit, self._lease = receptor, unit, lease
        self._connection: socket.socket | None = None
        self._buffer = bytearray()
        self._position = 0  # of what was received
        self._alive = time.monotonic()
        self._end = self._alive + _LONGEST_S

    def close(self) -> None:
        """Close the connection; the unit goes on."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def line(self) -> Generator[Event, None, bytes]:
        """Return the next line of the output; yield ``Idle`` while no line is available."""
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            if len(self._buffer) > _LONGEST:
                raise ValueError(f"a line of the output has more than {_LONGEST} bytes")
            start = len(self._buffer)
            yield from self._more()
        text = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return text

    def decode(self, length: int, target: IO[bytes]) -> Iterator[Event]:
        """Decode ``length`` bytes of Base64 output into a file; yield ``Idle`` while none are available."""
        left = 4 * math.ceil(length / 3)
        while left:
            usable = min(left, len(self._buffer)) // 4 * 4
            if not usable:
                yield from self._more()
                continue
            target.write(base64.b64decode(bytes(self._buffer[:usable]), validate=True))
            del self._buffer[:usable]
            left -= usable

    def _more(self) -> Iterator[Event]:
        """Receive the next bytes of the output.

        Raises:
            EndedError: the unit has ended.
            ReceptorError: there was no output for its lease, or the work takes too long.
        """
        if time.monotonic() > self._end:
            raise ReceptorError(f"the work did not end in {_LONGEST_S:g} s")
        if time.monotonic() > self._alive + self._lease:
            raise ReceptorError(f"the node sent no output for {self._lease:g} s")
        try:
            if self._connection is None:
                self._connection = self._receptor.results(self._unit, self._position)
                self._connection.settimeout(_WAIT_S)
            data = self._connection.recv(1 << 18)
        except TimeoutError:
            yield Idle()
            return
        except (OSError, ReceptorError):
            data = b""
        if data:
            self._buffer += data
            self._position += len(data)
            self._alive = time.monotonic()
            return
        self.close()
        with suppress(ReceptorError):  # its lease decides
            if ended := self._receptor.ended(self._unit):
                raise EndedError(f"the work ended before its output was complete: it {ended}")
        time.sleep(_WAIT_S)
        yield Idle()
