"""Time stamps of a real authority, on loopback."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.evidence import Refused, Seal
from hardener.evidence.layout import STAMP
from tests.integration.tsa import Authority
from tests.integration.waiting import until
from tests.unit.evidence.bundles import Desk, contents, public, repacked, sign


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes((tag, 0x82)) + len(content).to_bytes(2, "big") + content


@pytest.fixture(scope="module")
def running() -> Iterator[Authority]:
    with Authority() as started:
        yield started


@pytest.fixture
def authority(running: Authority) -> Authority:
    running.answer = None
    running.asked.clear()
    return running


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk.made(tmp_path)


@pytest.fixture
def bundle(desk: Desk, authority: Authority) -> Path:
    path, _ = desk.export("it.tar.gz", seal=Seal(key=desk.key, tsa_url=authority.url))
    return path


def test_a_signature_gets_a_time_stamp(desk: Desk, authority: Authority, bundle: Path) -> None:
    stamp = desk.verify(bundle, tsa_certificates=authority.certificates).stamp
    assert stamp
    assert stamp.trusted
    assert abs(stamp.moment - datetime.now(UTC)) < timedelta(minutes=1)


def test_openssl_verifies_the_time_stamp(desk: Desk, authority: Authority, bundle: Path) -> None:
    files = contents(bundle)
    (desk.folder / "sig").write_bytes(files["SHA256SUMS.sig"])
    (desk.folder / "tsr").write_bytes(files[STAMP])
    trust = ("-CAfile", str(authority.certificates))
    command = ["openssl", "ts", "-verify", "-data", "sig", "-in", "tsr", *trust]
    result = subprocess.run(command, cwd=desk.folder, check=True, capture_output=True, text=True)
    assert "Verification: OK" in result.stdout + result.stderr


def test_a_request_for_a_time_stamp_has_fewer_than_80_bytes(authority: Authority, bundle: Path) -> None:
    (asked,) = authority.asked
    assert len(asked) < 80


def test_a_time_stamp_is_unverified_without_certificates_of_an_authority(desk: Desk, bundle: Path) -> None:
    stamp = desk.verify(bundle).stamp
    assert stamp
    assert not stamp.trusted


def test_a_signature_with_a_time_stamp_before_the_expiry_of_its_key_is_verified(
    desk: Desk, authority: Authority, bundle: Path
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    desk.allow(f'auditor@example.com valid-before="{soon:%Y%m%d%H%M%S}Z" {public(desk.key)}')

    def expired() -> bool:
        try:
            desk.verify(bundle)
        except Refused as refused:
            return "key has expired" in str(refused)
        return False

    assert until(expired)
    assert desk.verify(bundle, tsa_certificates=authority.certificates).stamp


def test_a_time_stamp_of_another_authority_is_refused(desk: Desk, bundle: Path) -> None:
    with Authority() as other, pytest.raises(Refused, match=r"it\.tar\.gz: SHA256SUMS\.sig\.tsr: not a time"):
        desk.verify(bundle, tsa_certificates=other.certificates)


def test_a_time_stamp_of_another_signature_is_refused(desk: Desk, authority: Authority, bundle: Path) -> None:
    files = contents(bundle)
    files["SHA256SUMS"] = files["SHA256SUMS"].replace(b"a", b"b")
    files["SHA256SUMS.sig"] = sign(files["SHA256SUMS"], desk.key)
    bundle.write_bytes(repacked(files))
    with pytest.raises(Refused, match=r"SHA256SUMS\.sig\.tsr: no time stamp: the answer is for other data"):
        desk.verify(bundle, tsa_certificates=authority.certificates)


def test_a_changed_time_stamp_is_refused(desk: Desk, authority: Authority, bundle: Path) -> None:
    files = contents(bundle)
    stamp = bytearray(files[STAMP])
    stamp[-1] ^= 1
    bundle.write_bytes(repacked(files | {STAMP: bytes(stamp)}))
    with pytest.raises(Refused, match=r"SHA256SUMS\.sig\.tsr: not a time stamp by the authority in"):
        desk.verify(bundle, tsa_certificates=authority.certificates)


def test_a_missing_certificate_file_is_an_error_and_not_a_refusal(desk: Desk, bundle: Path) -> None:
    with pytest.raises(HardenerError, match=r"cannot read .*/nowhere: No such file") as error:
        desk.verify(bundle, tsa_certificates=desk.folder / "nowhere")
    assert not isinstance(error.value, Refused)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "the answer is not a time stamp"),
        (b"<html>", "the answer is"),
        (b"\x30\x05\x30\x03\x02\x01\x02", "the authority refused"),
        (bytes(1 << 20), "too long"),
    ],
    ids=["nothing", "a page", "a refusal", "without end"],  # what a test starts has its id in the environment
)
def test_a_failing_authority_leaves_no_bundle(
    desk: Desk, authority: Authority, answer: bytes, reason: str
) -> None:
    authority.answer = answer
    with pytest.raises(HardenerError, match=f"no time stamp from {authority.url}: .*{reason}"):
        desk.export("it.tar.gz", seal=Seal(key=desk.key, tsa_url=authority.url))
    assert not (desk.folder / "it.tar.gz").exists()
    assert desk.ledger.read_bytes() == b""


def test_a_replayed_answer_is_refused(desk: Desk, authority: Authority, bundle: Path) -> None:
    authority.answer = contents(bundle)[STAMP]
    with pytest.raises(HardenerError, match="the answer is for other data"):
        desk.export("again.tar.gz", seal=Seal(key=desk.key, tsa_url=authority.url))


def described(genuine: bytes, text: bytes) -> bytes:
    """A genuine answer with a description in its status, which the authority does not sign."""
    token = genuine.partition(bytes.fromhex("3003020100"))[2]
    return der(0x30, der(0x30, der(0x02, b"\0"), der(0x30, der(0x0C, text))), token)


def indefinite(genuine: bytes, text: bytes) -> bytes:
    """A genuine answer behind a status of indefinite length."""
    token = genuine.partition(bytes.fromhex("3003020100"))[2]
    return der(0x30, b"\x30\x80" + der(0x02, b"\0") + der(0x30, der(0x0C, text)) + b"\0\0", token)


@pytest.mark.parametrize("forge", [described, indefinite])
def test_a_time_in_an_unsigned_description_is_not_read(
    desk: Desk, authority: Authority, bundle: Path, forge: Callable[[bytes, bytes], bytes]
) -> None:
    """OpenSSL prints the description as it is, and verifies the answer."""
    files = contents(bundle)
    signed = files["SHA256SUMS.sig"]
    (desk.folder / "genuine").write_bytes(files[STAMP])
    command = ["openssl", "ts", "-reply", "-in", "genuine", "-token_out", "-text"]
    shown = subprocess.run(command, cwd=desk.folder, check=True, capture_output=True).stdout
    tomorrow = datetime.now(UTC) + timedelta(days=1)  # the authority's certificate is valid then
    time = f"Time stamp: {tomorrow:%b %d %H:%M:%S %Y} GMT".encode()
    crafted = forge(files[STAMP], b"\n" + re.sub(rb"Time stamp: .*", time, shown))
    (desk.folder / "crafted").write_bytes(crafted)
    command = ["openssl", "ts", "-reply", "-in", "crafted", "-text"]
    assert time in subprocess.run(command, cwd=desk.folder, check=True, capture_output=True).stdout
    command = ["openssl", "ts", "-verify", "-digest", hashlib.sha256(signed).hexdigest(), "-in", "crafted"]
    command += ["-CAfile", str(authority.certificates)]
    subprocess.run(command, cwd=desk.folder, check=True, capture_output=True)
    bundle.write_bytes(repacked(files | {STAMP: crafted}))
    stamp = desk.verify(bundle, ledger=False, tsa_certificates=authority.certificates).stamp
    assert stamp
    assert stamp.moment < tomorrow - timedelta(hours=1)


def test_certificates_of_the_authority_can_be_read_from_a_pipe(
    desk: Desk, authority: Authority, bundle: Path
) -> None:
    pipe = desk.folder / "authority.pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen(["cp", authority.certificates, pipe])
    try:
        stamp = desk.verify(bundle, tsa_certificates=pipe).stamp
    finally:
        writer.kill()
        writer.wait()
    assert stamp
    assert stamp.trusted
