from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record.astray import connected

HERE = "127.0.0.5"


def original(host: str = "0.0.0.0", name: str = "80/tcp") -> dict[str, Any]:
    """Inspect data of a container that publishes its port 80 at 8080."""
    return {
        "Name": "/web",
        "NetworkSettings": {
            "Networks": {
                "shop": {"IPAddress": "172.30.0.2", "GlobalIPv6Address": "fd00::2"},
                "none": {"IPAddress": "", "GlobalIPv6Address": ""},
            },
            "Ports": {name: [{"HostIp": host, "HostPort": "8080"}], "81/tcp": None},
        },
    }


@pytest.mark.parametrize(
    ("container", "address", "port", "its"),
    [
        (original(), "172.30.0.2", 80, True),
        (original(), "172.30.0.2", 9, True),
        (original(), "fd00::2", 80, True),
        (original(), "172.30.0.3", 80, False),
        (original(), HERE, 8080, True),
        (original(), HERE, 8081, False),
        (original("::"), "::1", 8080, True),
        (original("192.0.2.1"), "192.0.2.1", 8080, True),
        (original("192.0.2.1"), HERE, 8080, False),
        (original(), "192.0.2.1", 8080, False),  # another host
        (original(name="80/udp"), HERE, 8080, False),
        ({"Name": "/web"}, HERE, 8080, False),
    ],
)
def test_a_connection_to_an_original_is_named_with_the_way_out(
    container: dict[str, Any], address: str, port: int, *, its: bool
) -> None:
    said = connected([container], {(ip_address("198.51.100.1"), 443), (ip_address(address), port)})
    assert said == (
        f"the exercise connected to web itself ({address}, port {port}), and not to its twin:"
        " use the addresses in HARDENER_ADDR_..."
        if its
        else ""
    )


def test_an_address_of_this_host_is_known_by_the_route_to_it() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        address = probe.getsockname()[0]
    assert connected([original()], {(ip_address(address), 8080)})
