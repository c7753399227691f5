"""What is no time stamp; real ones are in tests/integration."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.evidence import Refused
from hardener.evidence.timestamp import MAX_ANSWER, read, request


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
        b"\x30\x05\x30\x03\x02\x01\x02",  # a refusal
    ],
)
def test_an_invalid_time_stamp_is_refused(answer: bytes) -> None:
    with pytest.raises(Refused, match=r"^it\.tsr: no time stamp: the answer is "):
        read(answer, b"data", name="it.tsr")


def test_a_response_that_is_too_long_is_not_parsed() -> None:
    with pytest.raises(Refused, match="too long for a time stamp"):
        read(bytes(MAX_ANSWER + 1), b"data", name="it.tsr")


def test_missing_openssl_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HardenerError, match=r"openssl is missing \(install"):
        read(b"", b"data", name="it.tsr")
