"""Ports of the loopback interface lead into the network of a process, and go on when that is another one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.record.forward import Door, Forwarder, Target

from tests.integration.namespaces import Space

PORT = 4000
ECHO = """
import socket, sys
stream, dgram = socket.create_server(("127.0.0.1", 4000)), socket.socket(type=socket.SOCK_DGRAM)
dgram.bind(("127.0.0.1", 4000))
import threading
def datagrams():
    while True:
        data, peer = dgram.recvfrom(1000)
        dgram.sendto(data + sys.argv[1].encode(), peer)
threading.Thread(target=datagrams, daemon=True).start()
print("listening", flush=True)
while True:
    connection, _ = stream.accept()
    with connection:
        connection.sendall(connection.recv(1000) + sys.argv[1].encode())
"""


@contextmanager
def forwarder(
    target: Callable[[], Target | None],
) -> Iterator[tuple[Forwarder, tuple[str, int], tuple[str, int]]]:
    """Ports that lead there, by TCP and by UDP."""
    made = Forwarder([Door(7, PORT, kind, ("it",), target) for kind in ("tcp", "udp", "sctp")])
    try:
        addresses = []
        for name in ("it", "it_udp"):
            host, _, port = made.addresses[name].partition(":")
            addresses.append((host, int(port)))
        yield made, addresses[0], addresses[1]
    finally:
        made.close()


def stream(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address, timeout=10) as connection:
        connection.settimeout(10)
        try:
            connection.sendall(b"x")
            return connection.recv(100)
        except ConnectionError:
            return b""


def datagram(connection: socket.socket, address: tuple[str, int]) -> bytes:
    for _ in range(20):  # one may be lost while the other end is found to be gone
        connection.sendto(b"x", address)
        try:
            return connection.recv(100)
        except TimeoutError:
            continue
    return b""


def test_requests_are_forwarded_into_another_network(own_network: object) -> None:
    with Space() as first, Space() as second:
        for name, space in (("first", first), ("second", second)):
            process = space.start(ECHO, name)
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n"
        now = [Target(first.pid, "127.0.0.1")]
        with forwarder(lambda: now[0]) as (made, tcp, udp), socket.socket(type=socket.SOCK_DGRAM) as asking:
            asking.settimeout(60)
            assert made.refused == ["4000/sctp is not forwarded: only TCP and UDP are"]
            assert stream(tcp) == b"xfirst"
            asking.sendto(b"x", udp)  # once: each is counted
            assert asking.recv(100) == b"xfirst"
            assert made.carried[7] == 2
            now[0] = Target(second.pid, "127.0.0.1")
            assert stream(tcp) == b"xsecond"


@pytest.mark.parametrize("found", [None, Target(0, ""), Target(2**22 + 1, "127.0.0.1")])
def test_a_connection_without_a_container_ends_at_once(own_network: object, found: Target | None) -> None:
    with forwarder(lambda: found) as (made, tcp, _):
        for _ in range(600):  # more than are carried at once
            assert stream(tcp) == b""
        assert made.carried == {}


def test_connections_do_not_wait_for_each_other_if_the_engine_fails(own_network: object) -> None:
    together = threading.Barrier(4, timeout=60)  # asyncio has a thread more than this for one processor
    asked = []

    def target() -> Target | None:
        together.wait()  # for three other connections, whose engine is asked meanwhile
        asked.append(1)
        raise Failed("the engine is gone")

    with forwarder(target) as (_, tcp, _udp):
        waiting = [socket.create_connection(tcp, timeout=300) for _ in range(8)]
        assert [connection.recv(1) for connection in waiting] == [b""] * 8
        assert len(asked) == 8, "they wait for one another"
        for connection in waiting:
            connection.close()


def test_datagrams_of_more_senders_than_the_forwarder_remembers_are_answered(own_network: object) -> None:
    with Space() as space:
        process = space.start(ECHO, "it")
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        with forwarder(lambda: Target(space.pid, "127.0.0.1")) as (_, _tcp, udp):
            for _ in range(600):
                with socket.socket(type=socket.SOCK_DGRAM) as asking:
                    asking.settimeout(1)
                    assert datagram(asking, udp) == b"xit"
