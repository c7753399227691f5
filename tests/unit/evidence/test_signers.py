from __future__ import annotations

import base64
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.evidence.signers import read_allowed, read_revoked
from tests.unit.evidence.bundles import new_key, public

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
BLOB = base64.b64decode(KEY.split()[1])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "signers"


@pytest.mark.parametrize(
    "text",
    [
        f"a@b {KEY}",
        f"  a@b\t{KEY} a comment, with *",
        f'a@b namespaces="git,evidence@hardener" {KEY}',
        f'a@b valid-after="20260101Z",valid-before="20270101Z",namespaces="x y" {KEY}',
        f"*@b cert-authority {KEY}",
        f'!x@b,*@b namespaces="a",cert-authority {KEY}',
        f'"*" CERT-AUTHORITY,valid-before="20270101" {KEY}',
        f"a@b {KEY}\r",
    ],
)
def test_a_line_with_a_plain_name_or_a_certificate_authority_is_used(file: Path, text: str) -> None:
    file.write_bytes(text.encode() + b"\n")
    assert read_allowed(file).lines == text.encode() + b"\n"


@pytest.mark.parametrize(
    "text",
    [
        f"* {KEY}",
        f"!x,* {KEY}",
        f"a,b {KEY}",
        f'"a b" {KEY}',
        f'"*" {KEY}',
        f"a? {KEY} cert-authority",
        f'* namespaces="cert-authority" {KEY}',
        f'* namespaces="a,cert-authority,b" {KEY}',
        f'* namespaces="\\",cert-authority,x=\\"" {KEY}',
        f"a,\t{KEY}",
        f"\t!x {KEY}",
    ],
)
def test_a_line_with_a_pattern_is_ignored(file: Path, text: str) -> None:
    file.write_bytes(f"a@b {KEY[:-1]}B\n{text}\n".encode())
    read = read_allowed(file)
    assert len(read.lines.split(b"\n")) == 3
    assert read.lines.split(b"\n")[1] == b""
    assert read.refusal(BLOB).startswith(f"line 2 of {file}: ")
    assert "a signer has one name" in read.refusal(BLOB)


@pytest.mark.parametrize(
    "text", ["", "# a comment", "garbage", "a@b", f"a@b\u00a0{KEY}", "*\0 key", f"*\r {KEY}"]
)
def test_comments_and_malformed_lines_are_ignored(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    assert read_allowed(file).lines == b""
    assert read_allowed(file).refusal(BLOB) == ""


def test_a_list_of_revoked_keys_is_read_unchanged(tmp_path: Path) -> None:
    key = new_key(tmp_path / "key")
    text = f"# revoked\n\n{public(key)} lost\n"
    (tmp_path / "revoked").write_text(text)
    assert read_revoked(tmp_path / "revoked") == text.encode()


@pytest.mark.parametrize(
    "text",
    ["garbage", "256 SHA256:abc a@b (ED25519)", "SHA256:abc", f"a@b {KEY}", "serial: 1", "\x00", "SSHKRL"],
)
def test_a_line_without_a_key_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "revoked"
    path.write_text(f"{KEY}\n{text}\n")
    with pytest.raises(HardenerError, match="revoked: line 2 is not a public key"):
        read_revoked(path)


def test_missing_files_are_errors(tmp_path: Path) -> None:
    for read in (read_allowed, read_revoked):
        with pytest.raises(HardenerError, match=r"cannot read .*/nowhere: No such file"):
            read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "text",
    [f"# lost\r{KEY}", f"\r{KEY}", f"{KEY} lost\r{KEY}", f"{KEY}\r\r", f"#\r#\r{KEY}\r", f" \r{KEY}"],
)
def test_a_line_with_a_carriage_return_within_it_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "revoked"
    path.write_bytes(f"{KEY}\n{text}\n".encode())
    with pytest.raises(HardenerError, match="revoked: line 2 has a carriage return within it"):
        read_revoked(path)


def test_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "revoked"
    path.write_bytes(f"# lost\r\n\r\n{KEY}\r\n".encode())
    assert read_revoked(path).count(b"\r\n") == 3
