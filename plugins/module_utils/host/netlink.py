"""Query the kernel over netlink(7), and subscribe to its multicast groups.

`_socket` is `socket` without its wrappers, whose import takes long: see `docker.api`.
"""

from __future__ import annotations

import os
import struct
import time
from _socket import AF_NETLINK, MSG_TRUNC, SO_RCVBUF, SOCK_RAW, SOL_SOCKET, timeout
from _socket import socket as Socket  # noqa: N812 - it is a class
from contextlib import closing
from errno import EBADMSG, EMSGSIZE, ENOBUFS, ETIMEDOUT

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterator

ROUTE, SOCK_DIAG, AUDIT = 0, 4, 9  # protocols

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_CODE = struct.Struct("=i")
_ERROR, _DONE = 2, 3  # types
_REQUEST, _MULTI, _DUMP = 0x1, 0x2, 0x300  # flags
_TYPE = 0x3FFF  # bits of an attribute's type; the others are flags
_LARGEST = 64 * 1024  # bytes of a datagram: the kernel puts at most 32 KiB of a long answer into one
_MAX_BYTES = 64 * 1024 * 1024  # of an answer
_MAX_MESSAGES = 1_000_000  # of an answer: a container in the network of its host can open many sockets
_SECONDS = 10  # for an answer
_RCVBUFFORCE = 33
_BUFFER = 8 * 1024 * 1024  # bytes that may wait for a subscriber
_AT_ONCE = 256


def ask(
    protocol: int, kind: int, request: bytes = b"", *, dump: bool = False, least: int = 0, answer: int = 0
) -> list[bytes]:
    """Send a request to the kernel, and return the contents of the messages of its answer.

    Args:
        protocol: such as ``AUDIT``.
        kind: type of the request, and of the messages of its answer unless ``answer`` is given.
        request: content of the request.
        dump: whether it asks for all objects.
        least: bytes that the content of each message must have.
        answer: type of the messages of the answer.

    Raises:
        OSError: the kernel refuses, does not answer in time, or its answer is broken or too long.
    """
    # An answer to an earlier owner of the port, which is often the process id, may still arrive.
    number = int.from_bytes(os.urandom(4), "little")
    flags = _REQUEST | _DUMP if dump else _REQUEST
    with closing(Socket(AF_NETLINK, SOCK_RAW, protocol)) as kernel:
        head = _HEADER.pack(_HEADER.size + len(request), kind, flags, number, 0)
        kernel.sendto(head + request, (0, 0))
        return _answer(kernel, answer or kind, number, least)


def _answer(kernel: Socket, kind: int, number: int, least: int) -> list[bytes]:
    """Return the contents of an answer: of a single message, or of all parts of a multipart message."""
    deadline = time.monotonic() + _SECONDS
    contents: list[bytes] = []
    size = messages = 0
    while size <= _MAX_BYTES and messages <= _MAX_MESSAGES:
        data = _receive(kernel, deadline)
        size += len(data)
        for told, flags, answered, content in _messages(data):
            messages += 1
            if answered != number:
                continue
            if told in (_ERROR, _DONE):
                _raise_error(content)
                if told == _DONE:
                    return contents
            elif told == kind:
                if len(content) < least:
                    raise _broken(f"a message has {len(content)} bytes instead of {least}")
                contents.append(content)
                if not flags & _MULTI:
                    return contents
    raise OSError(
        EMSGSIZE, f"the kernel's answer has more than {_MAX_MESSAGES} messages or {_MAX_BYTES} bytes"
    )


def attributes(data: bytes) -> dict[int, bytes]:
    """Return the attributes of a message by their type."""
    found, offset = {}, 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        found[kind & _TYPE] = data[offset + 4 : offset + length]
        offset += max(4, (length + 3) & ~3)
    return found


def _receive(kernel: Socket, deadline: float) -> bytes:
    """Return the kernel's next datagram."""
    while True:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise OSError(ETIMEDOUT, f"the kernel did not answer within {_SECONDS} s")
        kernel.settimeout(remaining)
        try:
            data, _ancillary, state, (port, _groups) = kernel.recvmsg(_LARGEST)
        except timeout:
            continue
        if port != 0:  # another process sent it
            continue
        if state & MSG_TRUNC:
            raise _broken(f"a datagram has more than {_LARGEST} bytes")
        return data


def _messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield type, flags, sequence number and content of each message of a datagram."""
    offset = 0
    while offset < len(data):
        left = len(data) - offset
        if left < _HEADER.size:
            raise _broken(f"the last header has only {left} bytes")
        length, told, flags, number, _port = _HEADER.unpack_from(data, offset)
        if not _HEADER.size <= length <= left:
            raise _broken(f"a message gives its length as {length} where {left} bytes are left")
        yield told, flags, number, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def _raise_error(content: bytes) -> None:
    """Raise the error that a message reports, if any; an acknowledgement reports none."""
    code = -_CODE.unpack_from(content)[0] if len(content) >= _CODE.size else 0
    if code > 0:
        raise OSError(code, os.strerror(code))


def _broken(what: str) -> OSError:
    return OSError(EBADMSG, f"the kernel's answer cannot be read: {what}")


class Subscription:
    """A subscription to a multicast group. ``overruns`` counts how often the kernel dropped messages.

    Raises:
        OSError: this kernel does not have the protocol, or refuses.
    """

    def __init__(self, protocol: int, groups: int) -> None:
        self.overruns = 0
        self._socket = Socket(AF_NETLINK, SOCK_RAW, protocol)
        try:
            self._socket.setblocking(False)
            try:
                self._socket.setsockopt(SOL_SOCKET, _RCVBUFFORCE, _BUFFER)
            except OSError:  # a larger buffer than the system limit needs CAP_NET_ADMIN
                self._socket.setsockopt(SOL_SOCKET, SO_RCVBUF, _BUFFER)
            self._socket.bind((0, groups))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the file descriptor for ``select``."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def messages(self) -> Iterator[tuple[int, bytes]]:
        """Yield type and content of the messages that are available now, at most some hundred.

        Each has a datagram of its own, which tells its length: an audit record leaves out its header from the
        length in the header. One that is too long is cut.
        """
        for _datagram in range(_AT_ONCE):
            try:
                data, (port, _groups) = self._socket.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != ENOBUFS:
                    raise
                self.overruns += 1
                continue
            if port == 0 and len(data) > _HEADER.size:  # accept messages of the kernel only
                yield _HEADER.unpack_from(data)[1], data[_HEADER.size :]
