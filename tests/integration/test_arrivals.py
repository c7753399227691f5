"""Which ports of a network are asked, by real packets in a network namespace."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record.arrivals import Arrivals

from tests.integration.namespaces import Space

PORTS = [(53, "tcp"), (53, "udp"), (80, "tcp"), (9, "sctp")]
V4, V6 = socket.AF_INET, socket.AF_INET6
ADDRESSES = {V4: "127.0.0.1", V6: "::1"}


@pytest.fixture
def space(own_network: object) -> Iterator[Space]:
    with Space() as space:
        yield space


def udp(family: socket.AddressFamily, port: int) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", (ADDRESSES[family], port))


def tcp(family: socket.AddressFamily, port: int) -> None:
    with (
        socket.create_server((ADDRESSES[family], port), family=family) as server,
        socket.socket(family) as client,
    ):
        client.connect((ADDRESSES[family], port))
        server.accept()[0].close()


def tcp_from(port: int) -> None:
    """A connection from a port to another one: the answers arrive at this port."""
    with socket.create_server((ADDRESSES[V4], 81)), socket.socket() as client:
        client.bind((ADDRESSES[V4], port))
        client.connect((ADDRESSES[V4], 81))


@pytest.mark.parametrize("family", [V4, V6])
@pytest.mark.parametrize(
    ("ask", "port", "asked"),
    [
        (udp, 53, {(53, "udp")}),
        (tcp, 53, {(53, "tcp")}),
        (tcp, 80, {(80, "tcp")}),
        (udp, 80, set()),
        (udp, 54, set()),
    ],
)
def test_a_port_is_asked_by_packets_that_arrive_there(
    space: Space,
    family: socket.AddressFamily,
    ask: Callable[[socket.AddressFamily, int], None],
    port: int,
    asked: set[tuple[int, str]],
) -> None:
    with space.entered():
        ask(family, port)
        arrivals = Arrivals(space.pid, PORTS)
        ask(family, port)
        assert arrivals.asked() == asked
        assert arrivals.asked() == set()


def test_a_port_is_not_asked_by_answers(space: Space) -> None:
    with space.entered():
        arrivals = Arrivals(space.pid, PORTS)
        tcp_from(53)
        assert arrivals.asked() == set()


def test_a_port_of_another_network_is_not_asked(space: Space) -> None:
    with Space() as other:
        arrivals = Arrivals(other.pid, PORTS)
        with space.entered():
            udp(V4, 53)
        assert arrivals.asked() == set()


def test_a_process_that_has_ended_is_asked_nothing() -> None:
    assert Arrivals(2**22 + 1, PORTS).asked() == set()
