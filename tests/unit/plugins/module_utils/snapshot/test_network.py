"""Interfaces, addresses and routes, as the kernel's messages tell them."""

from __future__ import annotations

import struct
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import netlink
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import network


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def link(index: int, name: str, *, up: bool = True, kind: str = "", master: int = 0) -> bytes:
    found = struct.pack("=BxHiII", 0, 1, index, up, 0) + attribute(3, name.encode() + b"\0")
    found += attribute(18 | 0x8000, attribute(1, kind.encode())) if kind else b""
    return found + (attribute(10, struct.pack("=i", master)) if master else b"")


def address(index: int, text: str, prefix: int, *, peer: str = "") -> bytes:
    family = AF_INET6 if ":" in text else AF_INET
    found = struct.pack("=BBBBI", family, prefix, 0, 0, index)
    return found + attribute(1, inet_pton(family, peer or text)) + attribute(2, inet_pton(family, text))


def route(text: str, length: int, rest: bytes, *, table: int = 254, kind: int = 1) -> bytes:
    family = AF_INET6 if ":" in text else AF_INET
    head = struct.pack("=BBBBBBBBI", family, length, 0, 0, table, 2, 0, kind, 0)
    return head + (attribute(1, inet_pton(family, text)) if length else b"") + rest


def out(index: int, gateway: str = "") -> bytes:
    return attribute(4, struct.pack("=i", index)) + (
        attribute(5, inet_pton(AF_INET, gateway)) if gateway else b""
    )


def hop(index: int, gateway: str) -> bytes:
    rest = attribute(5, inet_pton(AF_INET, gateway))
    return struct.pack("=HBBi", 8 + len(rest), 0, 0, index) + rest


ROUTES = [
    route("192.0.2.0", 24, out(2)),
    route("192.0.2.7", 32, out(2), table=255),
    route("198.51.100.0", 24, out(2), kind=6),
    route("0.0.0.0", 0, attribute(9, hop(2, "192.0.2.1") + hop(3, "203.0.113.1"))),
    route("fd00::", 64, out(4)),
]


def answering(monkeypatch: pytest.MonkeyPatch, routes: list[bytes]) -> dict[str, Any]:
    answers = {
        18: [link(2, "eth0"), link(3, "eth1", up=False, master=4), link(4, "br0", kind="bridge")],
        22: [address(2, "192.0.2.7", 24), address(4, "fd00::1", 64), address(9, "192.0.2.9", 24)],
        26: routes,
    }
    answers[22].append(address(2, "10.8.0.2", 32, peer="10.8.0.1"))
    monkeypatch.setattr(netlink, "ask", lambda _protocol, kind, *_arguments, **_options: answers[kind])
    return network.read()


def test_interfaces_addresses_and_routes_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    found = answering(monkeypatch, ROUTES)
    assert found["interfaces"] == [
        {
            "name": "eth0",
            "up": True,
            "kind": "",
            "master": "",
            "addresses": ["192.0.2.7/24", "10.8.0.2/32"],
        },
        {"name": "eth1", "up": False, "kind": "", "master": "br0", "addresses": []},
        {"name": "br0", "up": True, "kind": "bridge", "master": "", "addresses": ["fd00::1/64"]},
    ]
    assert found["routes"] == [
        {"to": "0.0.0.0/0", "interface": "eth0", "gateway": "192.0.2.1"},
        {"to": "0.0.0.0/0", "interface": "eth1", "gateway": "203.0.113.1"},
        {"to": "192.0.2.0/24", "interface": "eth0", "gateway": ""},
        {"to": "fd00::/64", "interface": "br0", "gateway": ""},
    ]
    assert found["cut"] is False


def test_a_router_keeps_its_default_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [route("192.0.2.0", 24, out(2))] * (network.MAX_ROUTES + 1)
    found = answering(monkeypatch, [*many, *ROUTES])
    assert (len(found["routes"]), found["cut"]) == (network.MAX_ROUTES, True)
    assert found["routes"][0]["to"] == "0.0.0.0/0"


def test_this_machine_has_a_loopback_interface() -> None:
    found = network.read()
    assert ("lo", True) in {
        (each["name"], "127.0.0.1/8" in each["addresses"]) for each in found["interfaces"]
    }
