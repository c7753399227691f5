"""What a twin receives from others is read from the counters of its network namespace."""

from __future__ import annotations

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record import observe

DEVICES = """Inter-|   Receive                    |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs
    lo:     500       {own}    0    0    0     0          0         0      500       5    0
  eth0:    9000      99    0    0    0     0          0         0        0       0    0
"""


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
