"""Free ports of the loopback interface that lead to the ports of a container, whatever its address is."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Any, Awaitable, Callable, Tuple

_PIECE = 65536
_CONNECTIONS = 512
_PEERS = 512

Port = Tuple[int, str]


class Forwarder:
    """Carries connections and datagrams to a container; in a thread of its own.

    Args:
        ports: of the container, with their protocols.
        address: gives the container's address, empty while it has none.
    """

    def __init__(self, ports: list[Port], address: Callable[[], str]) -> None:
        self.addresses: dict[str, str] = {}
        self.refused: list[str] = []
        self._address = address
        self._connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(ports), self._loop).result(10)

    def close(self) -> None:
        """Carry nothing any more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _open(self, ports: list[Port]) -> None:
        for port, protocol in ports:
            name = str(port) if protocol == "tcp" else f"{port}_{protocol}"
            if protocol == "tcp":
                server = await asyncio.start_server(self._carrier(port), "127.0.0.1", 0)
                own = server.sockets[0].getsockname()[1]
            elif protocol == "udp":
                transport, _ = await self._loop.create_datagram_endpoint(
                    partial(_Datagrams, self._address, port), ("127.0.0.1", 0)
                )
                own = transport.get_extra_info("sockname")[1]
            else:
                self.refused.append(f"{port}/{protocol} has no port of the loopback interface")
                continue
            self.addresses[name] = f"127.0.0.1:{own}"

    def _carrier(self, port: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self._connections >= _CONNECTIONS:
                writer.close()
                return
            self._connections += 1
            try:
                far_reader, far_writer = await asyncio.open_connection(self._address(), port)
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

    def __init__(self, address: Callable[[], str], port: int) -> None:
        self._address = address
        self._port = port
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
                    lambda: answers, remote_addr=(self._address(), self._port)
                )
            except (OSError, ValueError):
                del self._peers[addr]
                return
        far = self._peers[addr].transport
        if far is not None:
            far.sendto(data)


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
