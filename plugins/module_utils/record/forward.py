"""Free ports of the loopback interface that lead to the ports of containers, whatever their addresses are."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Any, Awaitable, Callable, NamedTuple

_PIECE = 65536
_CONNECTIONS = 512
_PEERS = 512


class Door(NamedTuple):
    """A port of a container, and under which names it is given."""

    owner: int  # number of the container
    port: int
    protocol: str
    names: tuple[str, ...]
    address: Callable[[], str]  # of the container; empty while it has none


class Forwarder:
    """Carries connections and datagrams to containers; in a thread of its own."""

    def __init__(self, doors: list[Door]) -> None:
        self.addresses: dict[str, str] = {}
        self.refused: list[str] = []
        self.carried: dict[int, int] = {}  # connections and datagrams, by the container's number
        self._connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(doors), self._loop).result(10)

    def close(self) -> None:
        """Carry nothing any more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _open(self, doors: list[Door]) -> None:
        for door in doors:
            if door.protocol == "tcp":
                server = await asyncio.start_server(self._carrier(door), "127.0.0.1", 0)
                own = server.sockets[0].getsockname()[1]
            elif door.protocol == "udp":
                transport, _ = await self._loop.create_datagram_endpoint(
                    partial(_Datagrams, door, self._count), ("127.0.0.1", 0)
                )
                own = transport.get_extra_info("sockname")[1]
            else:
                self.refused.append(f"{door.port}/{door.protocol} has no port of the loopback interface")
                continue
            suffix = "" if door.protocol == "tcp" else f"_{door.protocol}"
            for name in door.names:
                self.addresses[f"{name}{suffix}"] = f"127.0.0.1:{own}"

    def _count(self, door: Door) -> None:
        self.carried[door.owner] = self.carried.get(door.owner, 0) + 1

    def _carrier(self, door: Door) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self._connections >= _CONNECTIONS:
                writer.close()
                return
            self._connections += 1
            try:
                far_reader, far_writer = await asyncio.open_connection(door.address(), door.port)
                self._count(door)
                await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))
            except (OSError, ValueError):
                pass  # the container does not listen: the caller sees the end of its connection
            finally:
                self._connections -= 1
                writer.close()

        return carry


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
    except OSError:
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    """Datagrams from here to the container, and its answers back to who asked."""

    def __init__(self, door: Door, count: Callable[[Door], None]) -> None:
        self._door = door
        self._count = count
        self._transport: asyncio.DatagramTransport | None = None
        self._peers: dict[Any, _Answers] = {}
        self._tasks: set[asyncio.Future[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        assert isinstance(transport, asyncio.DatagramTransport)
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Carry one on, from a socket of its own for each who asks."""
        task = asyncio.ensure_future(self._carry(data, addr))
        self._tasks.add(task)  # the loop itself would let go of it
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, data: bytes, addr: Any) -> None:
        assert self._transport is not None
        if addr not in self._peers:
            if len(self._peers) >= _PEERS:
                return
            answers = self._peers[addr] = _Answers(self._transport, addr)
            try:
                await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: answers, remote_addr=(self._door.address(), self._door.port)
                )
            except (OSError, ValueError):
                del self._peers[addr]
                return
        far = self._peers[addr].transport
        if far is not None:
            far.sendto(data)
            self._count(self._door)


class _Answers(asyncio.DatagramProtocol):
    """The container's answers to one who asked."""

    def __init__(self, back: asyncio.DatagramTransport, addr: Any) -> None:
        self.transport: asyncio.DatagramTransport | None = None
        self._back = back
        self._addr = addr

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to send to."""
        assert isinstance(transport, asyncio.DatagramTransport)
        self.transport = transport

    def datagram_received(self, data: bytes, _addr: Any) -> None:
        """Carry one back."""
        self._back.sendto(data, self._addr)

    def error_received(self, exc: Exception) -> None:
        """Ignore that nothing listens there: so does who sends datagrams."""
