"""What is no time stamp; real ones are in tests/integration."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hardener.errors import HardenerError
from hardener.evidence import Refused
from hardener.evidence.timestamp import MAX_ANSWER, read, request
from tests.unit.evidence.stamps import answer, der, forged, token, tst_info


@pytest.mark.parametrize("url", ["", "ftp://tsa.example", "file:///etc/passwd", "tsa.example"])
def test_an_address_that_is_no_http_url_is_refused(url: str) -> None:
    with pytest.raises(HardenerError, match="is not a URL of a time-stamping authority"):
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
def test_an_invalid_time_stamp_is_refused(answer: bytes) -> None:
    with pytest.raises(Refused, match=r"^it\.tsr: no time stamp: the answer is "):
        read(answer, b"data", name="it.tsr")


def test_a_refusal_of_the_authority_is_reported() -> None:
    with pytest.raises(Refused, match="no time stamp: the authority refused"):
        read(b"\x30\x05\x30\x03\x02\x01\x02", b"data", name="it.tsr")


def test_a_response_that_is_too_long_is_not_parsed() -> None:
    with pytest.raises(Refused, match="too long for a time stamp"):
        read(bytes(MAX_ANSWER + 1), b"data", name="it.tsr")


MOMENT = "20200101000000Z"
INFO = tst_info(b"data", MOMENT)
GENUINE = answer(token(der(0x04, INFO)))


def test_a_valid_time_stamp_is_read() -> None:
    assert read(GENUINE, b"data", name="it.tsr") == datetime(2020, 1, 1, tzinfo=UTC)


def lengthened(data: bytes, position: int) -> bytes:
    """A value whose length is told in one byte more than it needs."""
    size = data[position + 1]
    first = bytes((data[position], 0x81, size)) if size < 0x80 else bytes((data[position], size + 1, 0))
    return data[:position] + first + data[position + 2 :]


@pytest.mark.parametrize(
    "crafted",
    [
        forged(token(der(0x04, tst_info(b"data", "20300101000000Z"))), b"data", MOMENT),
        lengthened(GENUINE, 0),
        der(0x30, lengthened(GENUINE[3:], 0)),  # the status
        der(0x30, lengthened(GENUINE[3:], 2)),  # the number in it
        der(0x30, GENUINE[3:8], lengthened(GENUINE[8:], 0)),  # the token
        answer(token(lengthened(der(0x04, INFO), 0))),
        answer(token(der(0x04, lengthened(INFO, 0)))),
        answer(token(der(0x04, lengthened(INFO, 2)))),
        b"\x30\x80" + GENUINE[3:] + b"\0\0",
        answer(token(b"\x30\x80" + INFO + b"\0\0")),
        answer(token(b"\x24\x80" + der(0x04, INFO) + b"\0\0")),
        answer(token(der(0x24, INFO))),
        answer(token(der(0x24, der(0x04, INFO)))),
        answer(token(der(0x04, INFO, tst_info(b"data", "20300101000000Z")))),
        answer(token(der(0x04, INFO) + der(0x04, INFO))),
        answer(token(der(0x04, INFO)) * 2),
        answer(token(der(0x04, INFO)) + der(0x30)),
        GENUINE * 2,
        GENUINE + b"\n",
        der(0x31, GENUINE[3:]),
        answer(token(der(0x0C, INFO))),
        answer(token(der(0x04, der(0x31, INFO[2:])))),
        answer(b"\x3f\x81\x10" + token(der(0x04, INFO))),
        answer(token(der(0x04, tst_info(b"data", "20200101000000+0100")))),
        answer(token(der(0x04, tst_info(b"data", "00000101000000Z")))),
        answer(token(der(0x04, tst_info(b"data", "20200230000000Z")))),
        answer(token(der(0x04, tst_info(b"data", "20200101")))),
    ],
)
def test_encodings_that_openssl_reads_differently_are_refused(crafted: bytes) -> None:
    with pytest.raises(Refused, match=r"^it\.tsr: no time stamp: "):
        read(crafted, b"data", name="it.tsr")


def test_a_time_stamp_of_other_data_is_refused() -> None:
    with pytest.raises(Refused, match=r"^it\.tsr: the time stamp is for other data"):
        read(GENUINE, b"Data", name="it.tsr")
