from __future__ import annotations

import asyncio
import socket

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.record import forward

from tests.hanging import must_end


def test_concurrent_datagrams_share_a_socket_and_all_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []
    with socket.socket(type=socket.SOCK_DGRAM) as container, socket.socket(type=socket.SOCK_DGRAM) as asking:
        container.bind(("127.0.0.1", 0))
        container.settimeout(10)

        async def connected(_door: forward.Door, kind: int) -> socket.socket:
            await asyncio.sleep(0.1)
            found = socket.socket(type=kind)
            found.setblocking(False)
            found.connect(container.getsockname())
            made.append(found)
            return found

        monkeypatch.setattr(forward, "connected", connected)
        forwarder = forward.Forwarder([forward.Door(0, 53, "udp", ("it",), lambda: None)])
        try:
            host, _separator, port = forwarder.addresses["it_udp"].partition(":")
            for number in range(5):
                asking.sendto(b"%d" % number, (host, int(port)))
            assert [container.recv(9) for _number in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
        finally:
            forwarder.close()
        assert len(made) == 1
        assert made[0].fileno() == -1, "it stays open"


def test_ports_that_cannot_be_opened_in_time_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_arguments: object, **_options: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(forward, "_OPEN", 0.05)
    monkeypatch.setattr(asyncio, "start_server", never)
    with pytest.raises(Failed, match="no port of the loopback interface can be opened"):
        forward.Forwarder([forward.Door(0, 80, "tcp", ("it",), lambda: None)])


def test_closing_the_forwarder_leaves_no_port_and_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "_CLOSE", 3600)  # it ends by itself, not since this is over
    forwarder = forward.Forwarder([forward.Door(0, 80, "tcp", ("it",), lambda: None)])
    host, _separator, port = forwarder.addresses["it"].partition(":")
    socket.create_connection((host, int(port)), timeout=5).close()
    for _time in range(2):
        with must_end():
            forwarder.close()
    assert not forwarder._thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5).close()
