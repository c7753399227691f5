"""What is lost is counted; the sequence of a kernel may come out of order."""

from __future__ import annotations

import struct

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import netlink
from ansible_collections.hardener.docker.plugins.module_utils.host.audit import (
    AuditSocket,
    Gaps,
    kernel_status,
)


def test_a_sequence_without_gaps_has_no_losses() -> None:
    gaps = Gaps(grace=1.0)
    for number in (100, 101, 101, 101, 102):
        gaps.note(number, 0.0)
    gaps.expire(99.0)
    assert gaps.lost == 0


def test_late_records_are_not_losses_and_missing_ones_are() -> None:
    gaps = Gaps(grace=1.0)
    for number in (100, 104, 102):
        gaps.note(number, 0.0)
    gaps.expire(0.5)
    assert gaps.lost == 0
    gaps.expire(2.0)
    assert gaps.lost == 2  # 101 and 103
    gaps.note(101, 3.0)  # too late to withdraw it
    assert gaps.lost == 2


def test_a_large_gap_uses_bounded_memory() -> None:
    gaps = Gaps()
    gaps.note(1, 0.0)
    gaps.note(2_000_000_000, 0.0)
    assert gaps.lost == 1_999_999_998
    assert not gaps._missing


def test_records_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    audit = AuditSocket.__new__(AuditSocket)
    monkeypatch.setattr(audit, "messages", lambda: iter([(1326, b"a\0"), (1400, b"b\xff\n")]))
    assert [tuple(record) for record in audit.receive()] == [(1326, "a"), (1400, "b\\xff")]


def test_the_audit_status_of_the_kernel_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    body = struct.pack("=8I", 0, 1, 1, 412, 0, 8192, 17, 3) + bytes(24)
    asked = []

    def ask(*request: int, least: int) -> list[bytes]:
        asked.append((*request, least))
        return [body]

    monkeypatch.setattr(netlink, "ask", ask)
    assert kernel_status() == {"enabled": 1, "daemon": 412, "backlog_limit": 8192, "lost": 17}
    assert asked == [(9, 1000, 32)]  # NETLINK_AUDIT, AUDIT_GET
