"""Forward free ports of the loopback interface to ports of containers.

The connection is made by a socket created in the container's network namespace. So its network needs no
address of the host, through which the container could reach the host.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from functools import partial
from typing import Any, Awaitable, Callable, NamedTuple, cast

from ..host.errors import Failed
from .arrivals import inside

_PIECE = 65536
_CONNECTIONS = 512
_PEERS = 512
_WAITING = 64  # datagrams of one who asks, until there is a socket for them
_OPEN = 30  # seconds
_CONNECT = 20  # seconds until the other end has to answer
_CLOSE = 5  # seconds


class Target(NamedTuple):
    """The present location of a container."""

    pid: int  # a process in its network namespace
    address: str


class Door(NamedTuple):
    """A port of a container, and the environment names under which its address is published."""

    owner: int  # number of the container
    port: int
    protocol: str
    names: tuple[str, ...]
    target: Callable[[], Target | None]  # returns None while it does not run


class Forwarder:
    """Forwards connections and datagrams to containers, in its own thread.

    Raises:
        Failed: no port can be opened.
    """

    def __init__(self, doors: list[Door]) -> None:
        self.addresses: dict[str, str] = {}
        self.refused: list[str] = []
        self.carried: dict[int, int] = {}  # connections and datagrams, by the container's number
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[Any] = []
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        opened = asyncio.run_coroutine_threadsafe(self._open(doors), self._loop)
        try:
            opened.result(_OPEN)
        except (OSError, FutureTimeoutError) as error:  # another one than asyncio's before Python 3.11
            opened.cancel()
            self.close()
            raise Failed(f"no port of the loopback interface can be opened: {error}") from None

    def forget(self) -> None:
        """Count from zero again."""
        self.carried = {}

    def close(self) -> None:
        """Stop forwarding; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        ended = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        with suppress(Exception):  # any error just ends the connection
            ended.result(_CLOSE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE)
        if not self._thread.is_alive():
            self._loop.close()

    async def _open(self, doors: list[Door]) -> None:
        for door in doors:
            if door.protocol == "tcp":
                server = await asyncio.start_server(self._carrier(door), "127.0.0.1", 0)
                self._servers.append(server)
                own = server.sockets[0].getsockname()[1]
            elif door.protocol == "udp":
                transport, _protocol = await self._loop.create_datagram_endpoint(
                    partial(_Datagrams, door, self._count), ("127.0.0.1", 0)
                )
                self._servers.append(transport)
                own = transport.get_extra_info("sockname")[1]
            else:
                self.refused.append(f"{door.port}/{door.protocol} is not forwarded: only TCP and UDP are")
                continue
            suffix = "" if door.protocol == "tcp" else f"_{door.protocol}"
            for name in door.names:
                self.addresses[f"{name}{suffix}"] = f"127.0.0.1:{own}"

    async def _end(self) -> None:
        for each in self._servers:
            each.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # closed connections end in the next round of the loop

    def _count(self, door: Door) -> None:
        self.carried[door.owner] = self.carried.get(door.owner, 0) + 1

    def _carrier(self, door: Door) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is None or len(self._tasks) >= _CONNECTIONS:
                writer.close()
                return
            self._tasks.add(task)
            far_writer = None
            try:
                far = await connected(door, socket.SOCK_STREAM)
                far_reader, far_writer = await asyncio.open_connection(sock=far)
                self._count(door)
                await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))
            except (OSError, ValueError, Failed, asyncio.TimeoutError, asyncio.CancelledError):
                pass  # the container does not listen: the caller's connection is closed
            finally:
                self._tasks.discard(task)
                for each in (writer, far_writer):
                    if each is not None:
                        each.close()

        return carry


async def connected(door: Door, kind: int) -> socket.socket:
    """Connect to a port of a container from inside its network namespace.

    Raises:
        OSError: it does not run, or nothing listens there.
        asyncio.TimeoutError: it does not answer.
    """
    loop = asyncio.get_running_loop()
    # Asking the engine takes time: keep the loop running meanwhile.
    target = await loop.run_in_executor(None, door.target)
    if target is None or not target.address:
        raise ConnectionRefusedError
    make = partial(socket.socket, socket.AF_INET, kind)
    found = await loop.run_in_executor(None, inside, target.pid, make)
    try:
        await asyncio.wait_for(loop.sock_connect(found, (target.address, door.port)), _CONNECT)
    except BaseException:
        found.close()
        raise
    return found


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            piece = await reader.read(_PIECE)
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()
    except (OSError, RuntimeError):  # the other end is gone
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    """Forwards datagrams to the container, and its answers to their senders."""

    def __init__(self, door: Door, count: Callable[[Door], None]) -> None:
        self._door = door
        self._count = count
        self._transport: asyncio.DatagramTransport | None = None
        self._peers: dict[Any, _Answers] = {}
        self._tasks: set[asyncio.Future[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport for answers."""
        # A subclass of it only from Python 3.12 on.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Close all sockets to the container."""
        for peer in list(self._peers):
            self._forget(peer)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Forward a datagram, with one socket per sender."""
        if len(self._tasks) >= _PEERS:
            return
        task = asyncio.ensure_future(self._carry(data, addr))
        self._tasks.add(task)  # the loop keeps only a weak reference
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, data: bytes, addr: Any) -> None:
        if self._transport is None:
            return
        known = self._peers.get(addr)
        if known is not None and known.transport is None:  # which is being made
            if len(known.waiting) < _WAITING:
                known.waiting.append(data)
            return
        if known is None or known.transport is None or known.transport.is_closing() or known.lost:
            self._forget(addr)
            while len(self._peers) >= _PEERS:  # the oldest sender, which may be gone
                self._forget(next(iter(self._peers)))
            known = self._peers[addr] = _Answers(self._transport, addr)
            try:
                far = await connected(self._door, socket.SOCK_DGRAM)
                made, _protocol = await asyncio.get_running_loop().create_datagram_endpoint(
                    partial(_itself, known), sock=far
                )
            except (OSError, ValueError, Failed, asyncio.TimeoutError):
                if self._peers.get(addr) is known:
                    del self._peers[addr]
                return
            if self._peers.get(addr) is not known:  # forgotten meanwhile
                made.close()
                return
        if known.transport is not None:
            for each in (data, *known.waiting):
                known.transport.sendto(each)
                self._count(self._door)
            known.waiting.clear()

    def _forget(self, addr: Any) -> None:
        known = self._peers.pop(addr, None)
        if known is not None and known.transport is not None:
            known.transport.close()


def _itself(answers: _Answers) -> _Answers:
    return answers


class _Answers(asyncio.DatagramProtocol):
    """Forwards the container's answers to one sender."""

    def __init__(self, back: asyncio.DatagramTransport, addr: Any) -> None:
        self.transport: asyncio.DatagramTransport | None = None
        self.waiting: list[bytes] = []  # what came before there was a way to the container
        self.lost = False  # whether the container's network is another one by now
        self._back = back
        self._addr = addr

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport for datagrams."""
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, _addr: Any) -> None:
        """Forward an answer."""
        if not self._back.is_closing():
            self._back.sendto(data, self._addr)

    def error_received(self, _exc: Exception) -> None:
        """Look up the container again at the next datagram, since nothing listens at this address."""
        self.lost = True
