"""Answers of the kernel, recorded ones and broken ones."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import netlink
from ansible_collections.hardener.docker.plugins.module_utils.host.netlink import AUDIT, Subscription, ask

KIND, REQUEST, MULTI = 1013, 1, 2
ERROR, DONE = 2, 3


def message(
    content: bytes = b"", *, kind: int = KIND, flags: int = MULTI, number: int = 7, length: int | None = None
) -> bytes:
    size = 16 + len(content) if length is None else length
    return struct.pack("=IHHII", size, kind, flags, number, 0) + content + bytes(-len(content) % 4)


def error(code: int, kind: int = ERROR) -> bytes:
    return message(struct.pack("=i", code), kind=kind)


class Kernel:
    """Stands for the kernel's side of a socket: each answer is a datagram, with its sender and its state."""

    def __init__(self, answers: Iterable[Any]) -> None:
        self.answers = iter(answers)
        self.requests: list[tuple[bytes, Any]] = []
        self.closed = False

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def sendto(self, data: bytes, address: Any) -> None:
        self.requests.append((data, address))

    def recvmsg(self, size: int) -> Any:
        answer = next(self.answers, TimeoutError("timed out"))
        if isinstance(answer, Exception):
            raise answer
        data, sender = answer if isinstance(answer, tuple) else (answer, 0)
        return data[:size], [], socket.MSG_TRUNC if len(data) > size else 0, (sender, 0)

    def recvfrom(self, size: int) -> Any:
        data, _ancillary, _state, address = self.recvmsg(size)
        return data, address

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Kernel]]:
    """Make the kernel of a test; a request gets the number of ``message``."""
    made: list[Kernel] = []

    def answering(answers: Iterable[Any]) -> Kernel:
        made.append(Kernel(answers))
        monkeypatch.setattr(netlink, "Socket", lambda *_: made[-1])
        return made[-1]

    monkeypatch.setattr("os.urandom", lambda size: (7).to_bytes(size, "little"))
    monkeypatch.setattr(netlink, "timeout", TimeoutError)  # before Python 3.10 it is a class of its own
    yield answering
    assert all(each.closed for each in made)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second passes between two looks at the clock."""
    monkeypatch.setattr(netlink, "time", SimpleNamespace(monotonic=iter(range(100)).__next__))


def test_a_request_has_a_header_and_asks_the_kernel(kernel: Callable[..., Kernel]) -> None:
    asked = kernel([message(kind=DONE)])
    assert ask(4, 20, b"content", dump=True) == []
    assert asked.requests == [(struct.pack("=IHHII", 23, 20, 0x301, 7, 0) + b"content", (0, 0))]
    asked = kernel([message(flags=0)])
    ask(AUDIT, KIND)
    assert asked.requests == [(struct.pack("=IHHII", 16, KIND, REQUEST, 7, 0), (0, 0))]


def test_the_messages_of_all_datagrams_are_returned_until_the_last(kernel: Callable[..., Kernel]) -> None:
    kernel([message(b"one") + message(b"two"), message(), error(0, DONE) + message(b"after")])
    assert ask(AUDIT, KIND) == [b"one", b"two", b""]


def test_a_message_without_the_multipart_flag_ends_the_answer(kernel: Callable[..., Kernel]) -> None:
    kernel([message(b"status", flags=0), message(b"after")])
    assert ask(AUDIT, KIND, least=6) == [b"status"]


def test_acknowledgements_and_messages_of_other_kinds_are_not_returned(
    kernel: Callable[..., Kernel],
) -> None:
    kernel([error(0), message(b"other", kind=1400, flags=0), message(b"mine"), message(kind=DONE)])
    assert ask(AUDIT, KIND) == [b"mine"]


def test_messages_of_other_senders_and_answers_to_other_requests_are_ignored(
    kernel: Callable[..., Kernel],
) -> None:
    forged = (message(b"forged") + message(kind=DONE), 4711)
    late = message(b"late", number=6) + message(struct.pack("=i", -1), kind=ERROR, number=6)
    kernel([forged, late, message(kind=DONE, number=8), message(b"true"), message(kind=DONE)])
    assert ask(AUDIT, KIND) == [b"true"]


@pytest.mark.parametrize("answer", [error(-errno.EPERM), message(b"x") + error(-errno.EPERM, DONE)])
def test_a_refusal_is_an_error_with_its_number(kernel: Callable[..., Kernel], answer: bytes) -> None:
    kernel([answer])
    with pytest.raises(PermissionError, match="Operation not permitted"):
        ask(AUDIT, KIND)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"\0", "the last header has only 1 bytes"),
        (message(b"good") + message()[:15], "the last header has only 15 bytes"),
        (message(length=0), "a message gives its length as 0 where 16 bytes are left"),
        (message(b"four", length=15), "a message gives its length as 15 where 20 bytes are left"),
        (message(b"four", length=21), "a message gives its length as 21 where 20 bytes are left"),
        (message(length=0xFFFFFFFF), "a message gives its length as 4294967295 where 16 bytes are left"),
        (message(b"short"), "a message has 5 bytes instead of 6"),
        (message(bytes(65520)) + message(kind=DONE), "a datagram has more than 65536 bytes"),
    ],
)
def test_an_answer_that_cannot_be_read_is_an_error(
    kernel: Callable[..., Kernel], answer: bytes, why: str
) -> None:
    kernel([answer, message(kind=DONE)])
    with pytest.raises(OSError, match=f"the kernel's answer cannot be read: {why}") as raised:
        ask(AUDIT, KIND, least=6 if "instead" in why else 0)
    assert raised.value.errno == errno.EBADMSG


@pytest.mark.parametrize(
    ("part", "most_bytes", "most_messages"),
    [
        (message(bytes(500)), 10_000, 10_000),
        (message() * 20, 100_000, 100),
        (message(number=8) * 20, 100_000, 100),
    ],
    ids=["bytes", "messages", "other requests"],
)
def test_an_endless_answer_is_an_error(
    kernel: Callable[..., Kernel],
    monkeypatch: pytest.MonkeyPatch,
    part: bytes,
    most_bytes: int,
    most_messages: int,
) -> None:
    monkeypatch.setattr(netlink, "_MAX_BYTES", most_bytes)
    monkeypatch.setattr(netlink, "_MAX_MESSAGES", most_messages)
    received = kernel(repeat(part, 200))
    with pytest.raises(
        OSError, match=f"the kernel's answer has more than {most_messages} messages or {most_bytes} bytes"
    ):
        ask(AUDIT, KIND)
    assert len(list(received.answers)) > 150  # it stopped long before


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    "answers",
    [[], [message(b"one")], repeat((message(kind=DONE), 4711)), repeat(b"")],
    ids=["silence", "no end", "other senders", "empty datagrams"],
)
def test_waiting_for_an_answer_is_bounded(kernel: Callable[..., Kernel], answers: Iterable[Any]) -> None:
    kernel(answers)
    with pytest.raises(TimeoutError, match="the kernel did not answer within 10 s"):
        ask(AUDIT, KIND)


def test_an_overflow_of_the_receive_buffer_is_an_error(kernel: Callable[..., Kernel]) -> None:
    kernel([OSError(errno.ENOBUFS, "No buffer space available")])
    with pytest.raises(OSError, match="No buffer space"):
        ask(AUDIT, KIND)


def test_the_kernel_reports_a_protocol_that_it_does_not_have() -> None:
    with pytest.raises(OSError, match="not supported"):
        ask(31, KIND)


def test_the_kernel_refuses_a_request_of_an_unknown_kind() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        ask(netlink.SOCK_DIAG, 999)


def subscribed(*answers: Any) -> Subscription:
    subscription = Subscription.__new__(Subscription)
    subscription.overruns = 0
    subscription._socket = Kernel([*answers, BlockingIOError()])  # type: ignore[assignment]
    return subscription


def test_a_buffer_overflow_is_counted_and_reading_continues() -> None:
    full = OSError(errno.ENOBUFS, "No buffer space available")
    subscription = subscribed(message(b"a"), full, message(b"four", kind=1400))
    assert list(subscription.messages()) == [(KIND, b"a\0\0\0"), (1400, b"four")]
    assert subscription.overruns == 1


def test_a_record_whose_length_leaves_out_its_header_is_complete() -> None:
    subscription = subscribed(message(b"four", length=4), message(bytes(70_000)))
    assert [len(content) for _kind, content in subscription.messages()] == [4, 65_520]


def test_only_messages_of_the_kernel_are_accepted() -> None:
    subscription = subscribed((message(b"forged"), 4711), b"short", message(b"true"))
    assert list(subscription.messages()) == [(KIND, b"true")]


def test_errors_other_than_a_buffer_overflow_are_raised() -> None:
    with pytest.raises(OSError, match="gone"):
        list(subscribed(OSError(errno.EBADF, "gone")).messages())
