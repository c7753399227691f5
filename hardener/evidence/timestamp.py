"""Get and verify time stamps (RFC 3161): an authority confirms that a signature existed at a time.

This module encodes the request and parses the necessary parts of the answer; ``openssl ts`` checks whether
the answer comes from an authority that the reader trusts.
"""

from __future__ import annotations

import hashlib
import http.client
import secrets
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from hardener.errors import HardenerError
from hardener.evidence.refusal import Refused
from hardener.text import line
from hardener.workfolder import temporary_folder

MAX_ANSWER = 64 << 10  # bytes; an answer with its certificates has a few thousand
_TIMEOUT_S = 20.0
_SHA256 = bytes.fromhex("300d06096086480165030402010500")  # identifier of SHA-256 in DER
_INTEGER, _OCTETS, _SEQUENCE, _TIME = 0x02, 0x04, 0x30, 0x18


def request(data: bytes, url: str) -> bytes:
    """Request a time stamp of data.

    Args:
        data: the data to stamp; only their SHA-256 is sent.
        url: ``http://`` or ``https://`` address of the authority.

    Raises:
        HardenerError: the authority does not answer, refuses, or answers for other data.
    """
    if not url.startswith(("http://", "https://")):
        raise HardenerError(f"{line(url)} is not a URL of a time-stamping authority", hint="http://…")
    nonce = secrets.randbits(63) | 1 << 62
    query = _query(hashlib.sha256(data).digest(), nonce)
    asked = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        url, data=query, headers={"Content-Type": "application/timestamp-query"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=_TIMEOUT_S) as response:  # noqa: S310
            answer: bytes = response.read(MAX_ANSWER + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise HardenerError(
            f"no time stamp from {line(url)}: {line(str(reason) or type(error).__name__)}",
            hint="nothing was exported; export again without --tsa-url, or when it answers",
        ) from error
    try:
        _, stamped = _read(answer)
        if stamped != (hashlib.sha256(data).digest(), nonce):
            raise ValueError("the time stamp is for other data")
    except ValueError as error:
        raise HardenerError(f"no time stamp from {line(url)}: {error}") from error
    return answer


def read(answer: bytes, data: bytes, *, name: str) -> datetime:
    """Return the time in an answer about these data; the answer is not verified.

    Raises:
        Refused: it is not a time stamp of these data.
    """
    try:
        moment, (digest, _) = _read(answer)
    except ValueError as error:
        raise Refused(name, f"no time stamp: {error}") from None
    if digest != hashlib.sha256(data).digest():
        raise Refused(name, "the time stamp is for other data")
    return moment


def verify(answer: bytes, data: bytes, *, authority: Path, name: str) -> datetime:
    """Return the time at which the data existed, verified by a trusted authority.

    Args:
        answer: the answer of the authority.
        data: the stamped data.
        authority: the certificates of the authority, PEM.
        name: the name of the answer in refusals.

    Raises:
        Refused: it is not a time stamp of these data by this authority.
        HardenerError: the certificates cannot be read, or openssl is missing.
    """
    moment = read(answer, data, name=name)
    try:
        certificates = authority.read_bytes()
    except OSError as error:
        raise HardenerError(f"cannot read {line(str(authority))}: {error.strerror}") from error
    with temporary_folder() as folder:
        stamp = folder / "stamp"
        stamp.write_bytes(answer)
        # The input may be a pipe.
        trusted = folder / "authority"
        trusted.write_bytes(certificates)
        digest = hashlib.sha256(data).hexdigest()
        # The authority's certificate may have expired since: it must be valid at the time of the stamp.
        command = [
            *("openssl", "ts", "-verify", "-digest", digest, "-in", str(stamp)),
            *("-CAfile", str(trusted), "-attime", str(int(moment.timestamp()))),
        ]
        try:
            result = subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError:
            raise HardenerError(
                "openssl is missing", hint="install it: openssl verifies the time stamp"
            ) from None
    if result.returncode:
        said = result.stderr.decode("utf-8", "replace").splitlines()
        reason = next((text.rpartition(":")[2] or text for text in said if "error:" in text.lower()), "")
        raise Refused(name, f"not a time stamp by the authority in {authority}: {reason or 'refused'}")
    return moment


def _query(digest: bytes, nonce: int) -> bytes:
    """Encode a request in DER: version 1, the digest, a nonce, and a request for the certificates."""
    imprint = _der(_SEQUENCE, _SHA256 + _der(_OCTETS, digest))
    number = _der(_INTEGER, nonce.to_bytes(8, "big"))
    return _der(_SEQUENCE, _der(_INTEGER, b"\1") + imprint + number + b"\x01\x01\xff")


def _der(tag: int, content: bytes) -> bytes:
    if len(content) > 127:
        raise ValueError(f"{len(content)} bytes are too many for a value in a time stamp request")
    return bytes((tag, len(content))) + content


def _read(answer: bytes) -> tuple[datetime, tuple[bytes, int]]:
    """Return time, digest and nonce of an answer.

    Raises:
        ValueError: it has none.
    """
    if len(answer) > MAX_ANSWER:
        raise ValueError(f"too long for a time stamp: more than {MAX_ANSWER} bytes")
    try:
        status, *token = _items(_only(answer, _SEQUENCE))
        if int.from_bytes(next(_items(status[1]))[1], "big") > 1:
            raise ValueError("the authority refused")
        if len(token) != 1:
            raise ValueError("the answer is not a time stamp")
        # ContentInfo > SignedData > EncapsulatedContentInfo > TSTInfo
        signed = list(_items(_only(list(_items(token[0][1]))[1][1], _SEQUENCE)))
        content = list(_items(signed[2][1]))[1][1]
        stamp = list(_items(_only(_only(content, _OCTETS), _SEQUENCE)))
        algorithm, digest = _items(stamp[2][1])
        if bytes((algorithm[0], len(algorithm[1]))) + algorithm[1] != _SHA256:
            raise ValueError("the digest in the time stamp is not a SHA-256")
        moment = next(value for tag, value in stamp if tag == _TIME).decode("ascii")
        numbers = [int.from_bytes(value, "big") for tag, value in stamp[4:] if tag == _INTEGER]
    except (StopIteration, IndexError, UnicodeDecodeError) as error:
        raise ValueError("the answer is not a time stamp") from error
    when = datetime.strptime(moment.rstrip("Z").partition(".")[0], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return when, (digest[1], numbers[0] if numbers else 0)


def _only(data: bytes, tag: int) -> bytes:
    """Return the content of the single DER value in these data."""
    found = list(_items(data))
    if [each for each, _ in found] != [tag]:
        raise ValueError("the answer is not a time stamp")
    return found[0][1]


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Return the values of a DER sequence, each with its tag.

    OpenSSL also reads BER: indefinite lengths, lengths that are longer than needed, and tags of several
    bytes. Such an answer could be one time stamp to OpenSSL and another one to this module.
    """
    while data:
        tag, length, start = data[0], int.from_bytes(data[1:2], "big"), 2
        if length >= 0x80:
            start += length - 0x80
            length = int.from_bytes(data[2:start], "big")
            if length < 0x80 or data[2] == 0:
                raise ValueError("the answer is not written in DER")
        if len(data) < start + length or start > 6 or tag & 0x1F == 0x1F:
            raise ValueError("the answer is damaged")
        yield tag, data[start : start + length]
        data = data[start + length :]
