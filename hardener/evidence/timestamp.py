"""Get and verify time stamps (RFC 3161): an authority confirms that a signature existed at a time.

``openssl ts`` writes the request, reads the answer, and checks whether it comes from an authority that the
reader trusts: one program reads what it verifies.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hardener.errors import HardenerError
from hardener.evidence.refusal import Refused
from hardener.text import line
from hardener.workfolder import temporary_folder

MAX_ANSWER = 64 << 10  # bytes; an answer with its certificates has a few thousand
_TIMEOUT_S = 20.0
# The text of a token begins with these lines. The lines of the status before it are not signed, and a
# description in them can look like a time.
_TOKEN = re.compile(
    r"Version: .*\nPolicy OID: .*\nHash Algorithm: sha256\nMessage data:\n((?: {4}[0-9a-f]{4} - .*\n){2})"
    r"Serial number: .*\nTime stamp: (\w{3} [ \d]\d \d\d:\d\d:\d\d)(?:\.\d+)? (\d{4}) GMT\n"
)


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
    # Without a nonce: an earlier answer would be for other data.
    query = _openssl("-query", "-sha256", "-digest", hashlib.sha256(data).hexdigest(), "-no_nonce", "-cert")
    asked = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        url, data=query.stdout, headers={"Content-Type": "application/timestamp-query"}
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
        _read(answer, data)
    except ValueError as error:
        raise HardenerError(f"no time stamp from {line(url)}: {error}") from error
    return answer


def read(answer: bytes, data: bytes, *, name: str) -> datetime:
    """Return the time in an answer about these data; the answer is not verified.

    Raises:
        Refused: it is not a time stamp of these data.
    """
    try:
        return _read(answer, data)
    except ValueError as error:
        raise Refused(name, f"no time stamp: {error}") from None


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
        result = _openssl(
            *("-verify", "-digest", digest, "-in", str(stamp)),
            *("-CAfile", str(trusted), "-attime", str(int(moment.timestamp()))),
        )
    if result.returncode:
        said = result.stderr.decode("utf-8", "replace").splitlines()
        reason = next((text.rpartition(":")[2] or text for text in said if "error:" in text.lower()), "")
        raise Refused(name, f"not a time stamp by the authority in {authority}: {reason or 'refused'}")
    return moment


def _read(answer: bytes, data: bytes) -> datetime:
    """Return the time in an answer.

    Raises:
        ValueError: it is not a time stamp of these data.
    """
    if len(answer) > MAX_ANSWER:
        raise ValueError(f"too long for a time stamp: more than {MAX_ANSWER} bytes")
    with temporary_folder() as folder:
        (folder / "answer").write_bytes(answer)
        result = _openssl("-reply", "-in", str(folder / "answer"), "-token_out", "-text")
    found = _TOKEN.match(result.stdout.decode("utf-8", "replace"))
    if result.returncode or not found:
        raise ValueError("the answer is not a time stamp with SHA-256, or the authority refused")
    dump, moment, year = found.groups()
    digest = "".join(text[11:58] for text in dump.splitlines())
    if bytes.fromhex(digest.replace("-", " ")) != hashlib.sha256(data).digest():
        raise ValueError("the answer is for other data")
    return datetime.strptime(f"{moment} {year}", "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)


def _openssl(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    command: Sequence[str] = ("openssl", "ts", *arguments)
    try:
        return subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        raise HardenerError(
            "openssl is missing", hint="install it: openssl writes and verifies time stamps"
        ) from None
