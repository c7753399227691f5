"""What a twin receives from others is read from the counters and tables of its network namespace."""

from __future__ import annotations

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record import observe

DEVICES = """Inter-|   Receive                    |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs
    lo:     500       {own}    0    0    0     0          0         0      500       5    0
  eth0:    9000      99    0    0    0     0          0         0        0       0    0
"""
MAPPED = "0000000000000000FFFF0000"  # an IPv4 address as one of IPv6


def receives(monkeypatch: pytest.MonkeyPatch, *, v4: int, v6: int, discarded: int, own: int) -> None:
    files = {
        "/proc/7/net/snmp": f"Ip: InReceives InDelivers\nIp: {v4} {v4}\nTcp: InSegs\nTcp: {v4}\n",
        "/proc/7/net/snmp6": f"Ip6InReceives  {v6 + discarded}\nIp6InDelivers  {v6}\n",
        "/proc/7/net/dev": DEVICES.format(own=own),
    }
    monkeypatch.setattr(observe, "read_pseudo", lambda path: files[path])


def test_received_packets_are_counted_without_those_of_the_loopback_interface(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receives(monkeypatch, v4=8, v6=2, discarded=0, own=3)
    assert observe.arrived(7) == 7


def test_discarded_multicast_packets_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    receives(monkeypatch, v4=0, v6=0, discarded=18, own=0)
    assert observe.arrived(7) == 0


def test_connections_are_read_with_those_that_were_closed_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    head = "  sl  local_address rem_address   st tx_queue rx_queue\n"
    files = {
        "/proc/7/net/tcp": (
            f"{head}   0: 00000000:0050 00000000:0000 0A 0:0 00:0\n   1: 050011AC:0050 020011AC:C350 06 0:0\n"
        ),
        "/proc/7/net/tcp6": f"{head}   0: {MAPPED}050011AC:A000 {MAPPED}020011AC:0035 01 0:0\n",
    }
    monkeypatch.setattr(observe, "read_pseudo", lambda path: files[path])
    found = sorted(observe.connections(7), key=lambda each: each.port)
    assert [(each.port, each.remote_port, each.is_to("172.17.0.2")) for each in found] == [
        (80, 50000, True),
        (40960, 53, True),
    ]
    assert not found[0].is_to("172.17.0.20")


def test_a_network_that_is_gone_has_no_connections() -> None:
    assert observe.connections(2**22 + 1) == set()
