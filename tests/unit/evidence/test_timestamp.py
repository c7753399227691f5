"""What is no time stamp; real ones are in tests/integration."""

from __future__ import annotations

import pytest

from hardener.errors import HardenerError
from hardener.evidence import Refused
from hardener.evidence.timestamp import MAX_ANSWER, read, request


@pytest.mark.parametrize("url", ["", "ftp://tsa.example", "file:///etc/passwd", "tsa.example"])
def test_an_address_of_another_kind_is_not_asked(url: str) -> None:
    with pytest.raises(HardenerError, match="no address of a time-stamping authority"):
        request(b"data", url)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>not found</html>",
        b"\x30\x80",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x03\x02\x01\x00",
        b"\x30\x05\x30\x03\x02\x01\x00",
        b"\x30" * 1000,
        b"\x30\x88" + b"\xff" * 8,
    ],
)
def test_what_is_no_time_stamp_is_refused(answer: bytes) -> None:
    with pytest.raises(Refused, match=r"^it\.tsr: no time stamp: the answer is "):
        read(answer, b"data", name="it.tsr")


def test_a_refusal_of_the_authority_is_told() -> None:
    with pytest.raises(Refused, match="no time stamp: the authority refused"):
        read(b"\x30\x05\x30\x03\x02\x01\x02", b"data", name="it.tsr")


def test_what_is_too_long_is_not_looked_at() -> None:
    with pytest.raises(Refused, match="too long for a time stamp"):
        read(bytes(MAX_ANSWER + 1), b"data", name="it.tsr")
