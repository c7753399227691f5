from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.evidence import Refused
from hardener.evidence.signature import NAMESPACE, Signer, require_key, sign, verify
from tests.unit.evidence.bundles import Desk, new_key, public

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
DATA = b"what is signed\n"


def checked(desk: Desk, signature: bytes, *, data: bytes = DATA, at: datetime = NOW) -> Signer:
    return verify(data, signature, allowed=desk.allowed, at=at, name="it.sig")


def test_who_signed_is_known_by_name_and_fingerprint(desk: Desk) -> None:
    signer = checked(desk, sign(DATA, desk.key))
    listed = subprocess.run(["ssh-keygen", "-l", "-f", desk.key], check=True, capture_output=True, text=True)
    assert signer == Signer("auditor@example.com", listed.stdout.split()[1])


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An ssh-agent of the test's own."""
    socket = tmp_path / "agent.sock"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        while not socket.exists():
            assert process.poll() is None
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.mark.usefixtures("agent")
def test_a_key_in_the_agent_signs_by_its_public_half(desk: Desk) -> None:
    subprocess.run(["ssh-add", "-q", desk.key], check=True)
    desk.key.unlink()
    assert checked(desk, sign(DATA, desk.folder / "key.pub")).principal == "auditor@example.com"


def test_a_public_key_that_no_agent_has_cannot_sign(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    desk.key.unlink()
    with pytest.raises(HardenerError, match=r"cannot sign with .*key\.pub: .*[Nn]o private key"):
        sign(DATA, desk.folder / "key.pub")


def test_a_key_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(HardenerError, match=r"cannot sign with .*/nowhere: No such file"):
        require_key(tmp_path / "nowhere")


def test_a_file_that_is_no_key_cannot_sign(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("not a key\n")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(HardenerError, match=r"cannot sign with .*/key: ") as error:
        sign(DATA, tmp_path / "key")
    assert "\n" not in str(error.value)


def test_a_certificate_of_a_trusted_authority_counts(desk: Desk) -> None:
    authority = new_key(desk.folder / "authority")
    who = ("-I", "x", "-n", "auditor@example.com")
    subprocess.run(["ssh-keygen", "-q", "-s", authority, *who, f"{desk.key}.pub"], check=True)
    desk.allow(f"*@example.com cert-authority {public(authority)}")
    signature = sign(DATA, desk.folder / "key-cert.pub")
    assert checked(desk, signature).principal == "auditor@example.com"


def test_an_expired_key_counts_for_what_it_signed_then(desk: Desk) -> None:
    desk.allow(f'auditor@example.com valid-before="20260101" {public(desk.key)}')
    signature = sign(DATA, desk.key)
    with pytest.raises(Refused, match=r"it\.sig: the key SHA256:.* may not sign: .*key has expired"):
        checked(desk, signature)
    assert checked(desk, signature, at=datetime(2025, 12, 31, 23, 59, tzinfo=UTC))


def test_times_are_utc_wherever_one_reads(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    desk.allow(f'auditor@example.com valid-before="202611251300" {public(desk.key)}')
    assert checked(desk, sign(DATA, desk.key))


def test_the_second_line_of_a_signer_may_allow_it(desk: Desk) -> None:
    key = public(desk.key)
    desk.allow(f'a@b namespaces="git" {key}', f'a@b namespaces="{NAMESPACE}" {key}')
    assert checked(desk, sign(DATA, desk.key)).principal == "a@b"


def test_other_data_are_refused(desk: Desk) -> None:
    with pytest.raises(Refused, match=r"it\.sig: not a signature of this bundle by auditor@example\.com"):
        checked(desk, sign(DATA, desk.key), data=b"something else")


def test_a_signer_that_nobody_knows_is_refused_with_the_fingerprint(desk: Desk) -> None:
    stranger = new_key(desk.folder / "stranger")
    with pytest.raises(Refused, match=r"signed with the key SHA256:.*, which is none of .*allowed_signers"):
        checked(desk, sign(DATA, stranger))


@pytest.mark.parametrize("content", ["", "garbage\n", "# nobody\n"])
def test_a_file_of_nobody_allows_nobody(desk: Desk, content: str) -> None:
    desk.allowed.write_text(content)
    with pytest.raises(Refused, match=r"it\.sig: "):
        checked(desk, sign(DATA, desk.key))


def test_a_file_of_signers_that_is_not_there_is_no_refusal(desk: Desk) -> None:
    signature = sign(DATA, desk.key)
    desk.allowed.unlink()
    with pytest.raises(HardenerError, match=r"cannot read .*allowed_signers: No such file") as error:
        checked(desk, signature)
    assert not isinstance(error.value, Refused)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\xff",
        b"-----BEGIN SSH SIGNATURE-----\n\n-----END SSH SIGNATURE-----\n",
        b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAf////8=\n-----END SSH SIGNATURE-----\n",
        b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAQ==\n-----END SSH SIGNATURE-----\n",
        b"-----BEGIN SSH SIGNATURE-----\nA\n-----END SSH SIGNATURE-----\n",
    ],
)
def test_what_is_no_signature_is_refused(desk: Desk, signature: bytes) -> None:
    with pytest.raises(Refused, match=r"it\.sig: not an SSH signature"):
        checked(desk, signature)


def test_without_openssh_it_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(desk.folder))
    with pytest.raises(HardenerError, match=r"ssh-keygen is missing \(install"):
        sign(DATA, desk.key)


def test_nothing_is_left_in_the_folder_for_temporary_files(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk.folder / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(desk.folder / "tmp"))
    checked(desk, sign(DATA, desk.key))
    assert not list((desk.folder / "tmp").iterdir())
