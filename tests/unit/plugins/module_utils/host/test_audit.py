"""What is lost is counted; the sequence of a kernel may come out of order."""

from __future__ import annotations

import errno
import struct
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import audit as audits
from ansible_collections.hardener.docker.plugins.module_utils.host.audit import AuditSocket, Gaps


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


class FakeSocket:
    """Stands for the kernel's."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def recvfrom(self, _size: int) -> Any:
        answer = self.answers.pop(0) if self.answers else BlockingIOError()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        pass


def packet(kind: int, text: bytes, sender: int = 0) -> Any:
    return struct.pack("=IHHII", 16 + len(text), kind, 0, 0, 0) + text, (sender, 1)


def listening(*answers: Any) -> AuditSocket:
    audit = AuditSocket.__new__(AuditSocket)
    audit.overruns = 0
    audit._socket = FakeSocket(*answers)  # type: ignore[assignment]
    return audit


def test_a_buffer_overflow_is_counted_and_reading_continues() -> None:
    full = OSError(errno.ENOBUFS, "No buffer space available")
    audit = listening(packet(1326, b"a\0"), full, packet(1400, b"b\xff\n"))
    assert [tuple(record) for record in audit.receive()] == [(1326, "a"), (1400, "b\\xff")]
    assert audit.overruns == 1


def test_only_messages_of_the_kernel_are_accepted() -> None:
    audit = listening(packet(1400, b"forged", sender=4711), (b"short", (0, 1)), packet(1400, b"true"))
    assert [record.text for record in audit.receive()] == ["true"]


def test_socket_errors_other_than_an_overflow_are_raised() -> None:
    with pytest.raises(OSError, match="gone"):
        list(listening(OSError(errno.EBADF, "gone")).receive())


def test_the_audit_status_of_the_kernel_is_read() -> None:
    body = struct.pack("=8I", 0, 1, 1, 412, 0, 8192, 17, 3) + bytes(24)
    data = struct.pack("=IHHII", 16 + len(body), 1000, 0, 1, 0) + body
    assert audits._status(data) == {"enabled": 1, "daemon": 412, "backlog_limit": 8192, "lost": 17}
    refused = struct.pack("=IHHIIi", 20, 2, 0, 1, 0, -errno.EPERM)
    with pytest.raises(PermissionError):
        audits._status(refused)
    assert audits._status(struct.pack("=IHHIIi", 20, 2, 0, 1, 0, 0)) is None
