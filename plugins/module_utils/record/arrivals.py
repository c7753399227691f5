"""See which ports of a container are asked, by a filter of its network's packets in the kernel."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
from contextlib import suppress
from functools import partial
from typing import Callable, Sequence, Tuple

from ..host import processes

Port = Tuple[int, str]

_EVERY_PROTOCOL = 0x0003  # ETH_P_ALL
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER
_NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}
_MOST = 256  # ports of a container
_EARLIER = 10_000  # packets that a socket can hold, at least
# Classic BPF: code, jump if true, jump if false, operand.
_Instruction = Tuple[int, int, int, int]
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30
_LOAD_HALF_AT, _LOAD_BYTE_AT = 0x48, 0x50  # relative to the index
_INDEX_BY_HEADER = 0xB1  # the length of an IPv4 header, into the index
_AND, _IF_EQUAL, _IF_BITS, _RETURN = 0x54, 0x15, 0x45, 0x06
_PACKET_TYPE = 0xFFFFF004  # SKF_AD_OFF + SKF_AD_PKTTYPE
_SYN, _SYN_OR_ACK, _FRAGMENT = 0x02, 0x12, 0x1FFF


class Arrivals:
    """Notes which ports are asked in the network of a process from now on.

    A port is asked by the first packet of a TCP connection, or by any packet of another protocol, that
    arrives there: from elsewhere, or from the container itself.

    Args:
        pid: the process.
        ports: which ports count.

    Attributes:
        watched: the ports of which that can be seen: none if the process has ended, or the kernel refuses.
    """

    def __init__(self, pid: int, ports: Sequence[Port]) -> None:
        self._sockets: dict[Port, socket.socket] = {}
        for port, protocol in ports[:_MOST]:
            with suppress(OSError):
                self._sockets[port, protocol] = inside(pid, partial(_filtered, port, protocol))
        self.watched = frozenset(self._sockets)

    def asked(self) -> set[Port]:
        """Return the ports that were asked, and stop."""
        found = set()
        for port, each in self._sockets.items():
            with suppress(OSError):  # nothing has arrived
                each.recv(1)
                found.add(port)
            each.close()
        self._sockets.clear()
        return found


def inside(pid: int, make: Callable[[], socket.socket]) -> socket.socket:
    """Create a socket in the network namespace of a process.

    Raises:
        OSError: there is no such process, or the kernel refuses.
    """
    found: list[socket.socket | OSError] = []

    def work() -> None:  # in a separate thread, which cannot return from the namespace
        try:
            handle = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                processes.enter(handle, processes.NETWORK)
            finally:
                os.close(handle)
            made = make()
            made.setblocking(False)
            found.append(made)
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join()
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


def _filtered(port: int, protocol: str) -> socket.socket:
    """Return a socket that gets only the packets by which a port is asked."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_EVERY_PROTOCOL))
    try:
        program = b"".join(struct.pack("HBBI", *each) for each in _program(port, protocol))
        buffer = ctypes.create_string_buffer(program, len(program))
        head = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
        made.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, head)
        made.setblocking(False)
        with suppress(BlockingIOError):
            for _ in range(_EARLIER):  # what arrived before there was a filter
                made.recv(1)
    except BaseException:
        made.close()
        raise
    return made


def _program(port: int, protocol: str) -> Sequence[_Instruction]:
    """Return the filter of the packets to a port that arrive here and do not only leave."""
    number = _NUMBERS[protocol]
    drop, keep = (_RETURN, 0, 0, 0), (_RETURN, 0, 0, 1)

    def require(code: int, operand: int) -> Sequence[_Instruction]:
        return (code, 1, 0, operand), drop

    def begins(load: int, at: int) -> Sequence[_Instruction]:
        """Require the first packet of a connection, whose flags are there."""
        if protocol != "tcp":
            return ()
        return (load, 0, 0, at), (_AND, 0, 0, _SYN_OR_ACK), *require(_IF_EQUAL, _SYN)

    version4: Sequence[_Instruction] = (
        *((_LOAD_BYTE, 0, 0, 9), *require(_IF_EQUAL, number)),
        *((_LOAD_HALF, 0, 0, 6), (_IF_BITS, 0, 1, _FRAGMENT), drop),
        *((_INDEX_BY_HEADER, 0, 0, 0), (_LOAD_HALF_AT, 0, 0, 2), *require(_IF_EQUAL, port)),
        *begins(_LOAD_BYTE_AT, 13),
        keep,
    )
    return (
        *((_LOAD_WORD, 0, 0, _PACKET_TYPE), *require(_IF_EQUAL, 0)),
        *((_LOAD_BYTE, 0, 0, 0), (_AND, 0, 0, 0xF0), (_IF_EQUAL, 0, len(version4), 0x40), *version4),
        *require(_IF_EQUAL, 0x60),
        *((_LOAD_BYTE, 0, 0, 6), *require(_IF_EQUAL, number)),
        *((_LOAD_HALF, 0, 0, 42), *require(_IF_EQUAL, port)),
        *begins(_LOAD_BYTE, 53),
        keep,
    )
