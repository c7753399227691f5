from __future__ import annotations

import base64
import hashlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.evidence import Refused
from hardener.evidence.signature import NAMESPACE, Signer, is_name, require_key, sign, verify, weakness
from tests.unit.evidence.bundles import Desk, new_key, public, write_string
from tests.unit.evidence.bundles import sign as by_hand

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
DATA = b"what is signed\n"


def checked(
    desk: Desk, signature: bytes, *, data: bytes = DATA, at: datetime = NOW, revoked: Path | None = None
) -> Signer:
    return verify(data, signature, allowed=desk.allowed, revoked=revoked, at=at, name="it.sig")


def test_the_signer_is_identified_by_name_and_fingerprint(desk: Desk) -> None:
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
def test_a_public_key_file_signs_by_its_private_key_in_the_agent(desk: Desk) -> None:
    subprocess.run(["ssh-add", "-q", desk.key], check=True)
    desk.key.unlink()
    assert checked(desk, sign(DATA, desk.folder / "key.pub")).principal == "auditor@example.com"


def test_a_public_key_without_an_agent_cannot_sign(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    desk.key.unlink()
    with pytest.raises(HardenerError, match=r"cannot sign with .*key\.pub: .*[Nn]o private key"):
        sign(DATA, desk.folder / "key.pub")


def test_a_missing_key_is_an_error_before_the_export(tmp_path: Path) -> None:
    with pytest.raises(HardenerError, match=r"cannot sign with .*/nowhere: No such file"):
        require_key(tmp_path / "nowhere")


@pytest.fixture(scope="module")
def rsa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An RSA key of 2048 bits, in OpenSSH's format."""
    path = tmp_path_factory.mktemp("rsa") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", path], check=True)
    return path


def test_a_weak_key_is_refused_before_the_export(rsa: Path) -> None:
    for path in (rsa, rsa.with_name("key.pub")):
        with pytest.raises(
            HardenerError, match=r"cannot sign with .*: it is an RSA key of 2048 bits, fewer than"
        ):
            require_key(path)


@pytest.mark.parametrize("form", ["RFC4716", "PEM"])
def test_an_encrypted_weak_key_is_refused_before_the_export(rsa: Path, tmp_path: Path, form: str) -> None:
    key = tmp_path / "key"
    key.write_bytes(rsa.read_bytes())
    key.chmod(0o600)
    if form == "PEM":
        (tmp_path / "key.pub").write_bytes(rsa.with_name("key.pub").read_bytes())
    subprocess.run(["ssh-keygen", "-q", "-p", "-m", form, "-N", "secret", "-P", "", "-f", key], check=True)
    with pytest.raises(HardenerError, match=r"cannot sign with .*: it is an RSA key of 2048 bits"):
        require_key(key)


def test_a_signature_by_a_weak_key_is_refused_even_if_the_key_is_allowed(desk: Desk, rsa: Path) -> None:
    desk.allow(f"auditor@example.com {public(rsa)}")
    signature = by_hand(DATA, rsa)
    with pytest.raises(
        Refused, match=r"it\.sig: signed with SHA256:.*: an RSA key of 2048 bits, fewer than 3072"
    ):
        checked(desk, signature)


def test_a_signature_by_dsa_is_refused_even_if_the_key_is_allowed(desk: Desk) -> None:
    # OpenSSH 10 makes none any more, so this one is put together; its key is looked at before its signature.
    key = b"".join(write_string(each) for each in (b"ssh-dss", b"\1", b"\1", b"\1", b"\1"))
    fields = (key, NAMESPACE.encode(), b"", b"sha512", write_string(b"ssh-dss") + write_string(bytes(40)))
    blob = b"SSHSIG\0\0\0\1" + b"".join(map(write_string, fields))
    desk.allow(f"auditor@example.com ssh-dss {base64.b64encode(key).decode()}")
    armoured = b"-----BEGIN SSH SIGNATURE-----\n%s\n-----END SSH SIGNATURE-----\n" % base64.b64encode(blob)
    with pytest.raises(Refused, match=r"it\.sig: signed with SHA256:.*: a DSA key, which is too weak"):
        checked(desk, armoured)


def without_a_key(*fields: bytes, kind: bytes, signed: Callable[[bytes], bytes]) -> tuple[str, bytes]:
    """A public key, as a line of a file, and a signature that was made without its private key."""
    key = b"".join(map(write_string, fields))
    message = (NAMESPACE.encode(), b"", b"sha512")
    digest = hashlib.sha512(DATA).digest()
    value = signed(b"SSHSIG" + b"".join(map(write_string, (*message, digest))))
    signature = write_string(kind) + write_string(value)
    blob = b"SSHSIG\0\0\0\1" + b"".join(map(write_string, (key, *message, signature)))
    encoded = base64.b64encode(blob)
    lines = b"\n".join(encoded[at : at + 70] for at in range(0, len(encoded), 70))
    armoured = b"-----BEGIN SSH SIGNATURE-----\n%s\n-----END SSH SIGNATURE-----\n" % lines
    return f"{fields[0].decode()} {base64.b64encode(key).decode()}", armoured


def padded(data: bytes) -> bytes:
    """What RSA signs of data: its hash as PKCS #1 pads it to 3072 bits."""
    digest = bytes.fromhex("3051300d060960864801650304020305000440") + hashlib.sha512(data).digest()
    return b"\0\1" + b"\xff" * (384 - 3 - len(digest)) + b"\0" + digest


NEUTRAL = (1).to_bytes(32, "little")  # the neutral element of Ed25519
KEYLESS = {
    "Ed25519": without_a_key(
        b"ssh-ed25519", NEUTRAL, kind=b"ssh-ed25519", signed=lambda _: NEUTRAL + bytes(32)
    ),
    "RSA": without_a_key(
        b"ssh-rsa",
        b"\1",
        b"\0" + ((1 << 3071) + 0x21).to_bytes(384, "big"),
        kind=b"rsa-sha2-512",
        signed=padded,
    ),
}


@pytest.mark.parametrize("kind", KEYLESS)
def test_a_signature_without_a_private_key_is_refused_even_if_its_key_is_allowed(
    desk: Desk, kind: str
) -> None:
    line, signature = KEYLESS[kind]
    desk.allow(f"auditor@example.com {line}")
    (desk.folder / "it.sig").write_bytes(signature)
    command = ["ssh-keygen", "-Y", "verify", "-n", NAMESPACE, "-f", str(desk.allowed), "-I"]
    command += ["auditor@example.com", "-s", str(desk.folder / "it.sig")]
    found = subprocess.run(command, input=DATA, capture_output=True, check=False)
    assert found.stdout.startswith(b"Good "), found.stderr  # so ssh-keygen does not protect from it
    with pytest.raises(Refused, match=rf"an {kind} key whose signatures can be made without the private key"):
        checked(desk, signature)


PATTERNS = ("*", "!x,*", "a,b", "*@example.com", "auditor?", '"a b"', "!x")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_signer_that_is_a_pattern_is_refused(desk: Desk, pattern: str) -> None:
    desk.allow(f'{pattern} namespaces="{NAMESPACE}" {public(desk.key)}')
    with pytest.raises(Refused, match=r"it\.sig: .* is a pattern or a list; a signer has one name"):
        checked(desk, sign(DATA, desk.key))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_key_allowed_for_a_name_pattern_does_not_verify_a_signature(desk: Desk, pattern: str) -> None:
    desk.allow(
        f'a namespaces="git" {public(desk.key)}', f'{pattern} namespaces="{NAMESPACE}" {public(desk.key)}'
    )
    with pytest.raises(Refused, match=r"not permitted for use in signature namespace|a signer has one name"):
        checked(desk, sign(DATA, desk.key))


@pytest.mark.parametrize("name", ["*", "?", "!x", "a b", "*@example.com", '"a"'])
def test_a_certificate_with_a_pattern_does_not_verify(desk: Desk, name: str) -> None:
    authority = new_key(desk.folder / "authority")
    subprocess.run(
        ["ssh-keygen", "-q", "-s", authority, "-I", "x", "-n", name, f"{desk.key}.pub"], check=True
    )
    desk.allow(f"* cert-authority {public(authority)}")
    with pytest.raises(Refused, match=r"it\.sig: .*; a signer has one name"):
        checked(desk, by_hand(DATA, desk.folder / "key-cert.pub"))


def test_a_revoked_key_does_not_verify(desk: Desk) -> None:
    signature = sign(DATA, desk.key)
    revoked = desk.folder / "revoked"
    revoked.write_text("# none yet\n")
    assert checked(desk, signature, revoked=revoked).principal == "auditor@example.com"
    revoked.write_text(f"{public(new_key(desk.folder / 'other'))}\n{public(desk.key)} lost\n")
    with pytest.raises(
        Refused, match=r"it\.sig: the key SHA256:.* of auditor@example\.com is revoked by .*revoked"
    ):
        checked(desk, signature, revoked=revoked)


def test_a_revocation_list_of_ssh_keygen_is_read(desk: Desk) -> None:
    signature = sign(DATA, desk.key)
    revoked = desk.folder / "krl"
    subprocess.run(
        ["ssh-keygen", "-q", "-k", "-f", revoked, new_key(desk.folder / "x").with_suffix(".pub")], check=True
    )
    assert checked(desk, signature, revoked=revoked)
    subprocess.run(["ssh-keygen", "-q", "-k", "-u", "-f", revoked, f"{desk.key}.pub"], check=True)
    with pytest.raises(Refused, match=r"is revoked by .*krl"):
        checked(desk, signature, revoked=revoked)
    revoked.write_bytes(revoked.read_bytes()[:-9])
    with pytest.raises(HardenerError, match=r"krl is not a list of revoked keys: .*KRL") as error:
        checked(desk, signature, revoked=revoked)
    assert not isinstance(error.value, Refused)


def test_a_certificate_is_revoked_by_its_key_or_by_its_authority(desk: Desk) -> None:
    authority = new_key(desk.folder / "authority")
    who = ("-I", "x", "-n", "auditor@example.com")
    subprocess.run(["ssh-keygen", "-q", "-s", authority, *who, f"{desk.key}.pub"], check=True)
    desk.allow(f"*@example.com cert-authority {public(authority)}")
    signature = sign(DATA, desk.folder / "key-cert.pub")
    revoked = desk.folder / "revoked"
    for key in (authority, desk.key):
        revoked.write_text(f"{public(key)}\n")
        with pytest.raises(Refused, match=r"is revoked by .*revoked"):
            checked(desk, signature, revoked=revoked)


def test_a_file_that_is_not_a_key_cannot_sign(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("not a key\n")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(HardenerError, match=r"cannot sign with .*/key: ") as error:
        sign(DATA, tmp_path / "key")
    assert "\n" not in str(error.value)


def test_a_certificate_of_a_trusted_authority_verifies(desk: Desk) -> None:
    authority = new_key(desk.folder / "authority")
    who = ("-I", "x", "-n", "auditor@example.com")
    subprocess.run(["ssh-keygen", "-q", "-s", authority, *who, f"{desk.key}.pub"], check=True)
    desk.allow(f"*@example.com cert-authority {public(authority)}")
    signature = sign(DATA, desk.folder / "key-cert.pub")
    assert checked(desk, signature).principal == "auditor@example.com"


def test_an_expired_key_verifies_earlier_signatures(desk: Desk) -> None:
    desk.allow(f'auditor@example.com valid-before="20260101" {public(desk.key)}')
    signature = sign(DATA, desk.key)
    with pytest.raises(Refused, match=r"it\.sig: the key SHA256:.* may not sign: .*key has expired"):
        checked(desk, signature)
    assert checked(desk, signature, at=datetime(2025, 12, 31, 23, 59, tzinfo=UTC))


def test_times_are_utc_in_every_time_zone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    desk.allow(f'auditor@example.com valid-before="202611251300" {public(desk.key)}')
    assert checked(desk, sign(DATA, desk.key))


def test_a_key_is_allowed_by_any_line_of_its_signer(desk: Desk) -> None:
    key = public(desk.key)
    desk.allow(f'a@b namespaces="git" {key}', f'a@b namespaces="{NAMESPACE}" {key}')
    assert checked(desk, sign(DATA, desk.key)).principal == "a@b"


def test_a_signature_of_other_data_is_refused(desk: Desk) -> None:
    with pytest.raises(Refused, match=r"it\.sig: not a signature of this bundle by auditor@example\.com"):
        checked(desk, sign(DATA, desk.key), data=b"something else")


def test_an_unknown_signer_is_refused_with_the_fingerprint(desk: Desk) -> None:
    stranger = new_key(desk.folder / "stranger")
    with pytest.raises(
        Refused, match=r"signed with the key SHA256:.*, which .*allowed_signers does not list"
    ):
        checked(desk, sign(DATA, stranger))


@pytest.mark.parametrize("content", ["", "garbage\n", "# nobody\n"])
def test_an_empty_file_of_signers_allows_no_key(desk: Desk, content: str) -> None:
    desk.allowed.write_text(content)
    with pytest.raises(Refused, match=r"it\.sig: "):
        checked(desk, sign(DATA, desk.key))


def test_a_missing_file_of_signers_is_an_error_and_not_a_refusal(desk: Desk) -> None:
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
def test_an_invalid_signature_file_is_refused(desk: Desk, signature: bytes) -> None:
    with pytest.raises(Refused, match=r"it\.sig: not an SSH signature"):
        checked(desk, signature)


def test_missing_openssh_is_reported(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(desk.folder))
    with pytest.raises(HardenerError, match=r"ssh-keygen is missing \(install"):
        sign(DATA, desk.key)


def test_no_temporary_file_is_left(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.folder / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(desk.folder / "tmp"))
    checked(desk, sign(DATA, desk.key))
    assert not list((desk.folder / "tmp").iterdir())


@pytest.mark.parametrize(
    "name", ["auditor@example.com", "jürgen", "release-2026", "a", "first.last+evidence@example.com", "审计"]
)
def test_a_plain_name_of_a_signer_is_accepted(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "*", "?", "!x", "!x,*", "a,b", "a b", " a", "a ", "a\tb", "a\nb", "a*", "?@example.com", "a\0"),
        *(
            '"a"',
            "'a'",
            "a\\",
            "#a",
            "a\u200bb",
            "a\u202eb",
            "a\u00a0b",
            "a\x1b[2J",
            "*@example.com",
            ",",
            "a,",
        ),
    ],
)
def test_patterns_lists_and_invisible_characters_are_refused_as_names_of_a_signer(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "  a@b\t{} a comment, with *",
        'a@b namespaces="git,evidence@hardener" {}',
        'a@b valid-after="20260101Z",valid-before="20270101Z",namespaces="x y,evidence@hardener" {}',
        "a@b {}\r",
    ],
)
def test_a_line_with_a_plain_name_is_used(desk: Desk, text: str) -> None:
    desk.allowed.write_bytes(text.format(public(desk.key)).encode() + b"\n")
    assert checked(desk, sign(DATA, desk.key)).principal == "a@b"


@pytest.mark.parametrize(
    "text",
    [
        "a? {} cert-authority",
        '* namespaces="cert-authority" {}',
        '* namespaces="a,cert-authority,evidence@hardener" {}',
        '* namespaces="\\",cert-authority,x=\\"" {}',
        "a,\t{}",
        "\t*,!x {}",
        "*\x0b {}",
    ],
)
def test_a_pattern_beside_the_word_cert_authority_is_refused(desk: Desk, text: str) -> None:
    desk.allow(text.format(public(desk.key)))
    with pytest.raises(Refused, match=r"it\.sig: "):
        checked(desk, sign(DATA, desk.key))


@pytest.mark.parametrize(
    "line",
    ["*@example.com cert-authority", '!x@b,* namespaces="*",cert-authority', '"*" CERT-AUTHORITY'],
)
def test_an_authority_may_have_patterns(desk: Desk, line: str) -> None:
    authority = new_key(desk.folder / "authority")
    who = ("-I", "x", "-n", "auditor@example.com")
    subprocess.run(["ssh-keygen", "-q", "-s", authority, *who, f"{desk.key}.pub"], check=True)
    desk.allow(f"{line} {public(authority)}")
    assert checked(desk, sign(DATA, desk.folder / "key-cert.pub")).principal == "auditor@example.com"


@pytest.mark.parametrize("text", ["garbage", "256 SHA256:abc a@b (ED25519)", "a@b {}", "serial: 1"])
def test_a_line_without_a_revoked_key_is_an_error(desk: Desk, text: str) -> None:
    revoked = desk.folder / "revoked"
    revoked.write_text(f"{public(desk.key)}\n{text.format(public(desk.key))}\n")
    with pytest.raises(HardenerError, match=r"revoked is not a list of revoked keys: ") as error:
        checked(desk, sign(DATA, desk.key), revoked=revoked)
    assert not isinstance(error.value, Refused)


@pytest.mark.parametrize(
    "text", ["# lost\r{}", "\r{}", "{} lost\r{}", "{}\r\r", "#\r#\r{}\r", " \r{}", "{}\r\r\n", "\0{}"]
)
def test_a_carriage_return_within_a_line_of_revoked_keys_is_an_error(desk: Desk, text: str) -> None:
    revoked = desk.folder / "revoked"
    revoked.write_bytes(text.replace("{}", public(desk.key)).encode())
    with pytest.raises(HardenerError, match="revoked has a carriage return or a null byte"):
        checked(desk, sign(DATA, desk.key), revoked=revoked)


def test_windows_line_ends_are_accepted_in_revoked_keys(desk: Desk) -> None:
    revoked = desk.folder / "revoked"
    revoked.write_bytes(f"# lost\r\n\r\n{public(desk.key)}\r\n".encode())
    with pytest.raises(Refused, match=r"is revoked by .*revoked"):
        checked(desk, sign(DATA, desk.key), revoked=revoked)


def test_a_missing_file_of_revoked_keys_is_an_error(desk: Desk) -> None:
    with pytest.raises(HardenerError, match=r"cannot read .*/nowhere: No such file"):
        checked(desk, sign(DATA, desk.key), revoked=desk.folder / "nowhere")


def blob(kind: str, *fields: bytes) -> bytes:
    return b"".join(map(write_string, (kind.encode(), *fields)))


def rsa_blob(bits: int, *, exponent: int = 65537, more: int = 0x21) -> bytes:
    """An RSA key; with the default its modulus has no small factor."""
    modulus = (1 << bits - 1) + more
    return blob("ssh-rsa", exponent.to_bytes(4, "big"), b"\0" + modulus.to_bytes(bits // 8 + 1, "big"))


def certificate(public: bytes, *names: str, kind: str, authority: bytes) -> bytes:
    """A certificate of the fields of a public key, as PROTOCOL.certkeys says; it is not signed."""
    listed = b"".join(write_string(name.encode()) for name in names)
    middle = b"".join(map(write_string, (b"identifier", listed)))
    end = b"".join(map(write_string, (b"", b"", b"", authority, b"")))
    return blob(kind, b"nonce") + public + bytes(12) + middle + bytes(16) + end


POINT = b"\4" + bytes(31)
ED25519 = blob("ssh-ed25519", POINT)
CERTIFICATE = "ssh-ed25519-cert-v01@openssh.com"


@pytest.mark.parametrize("bits", [1024, 2048, 3064, 3071])
def test_a_short_rsa_key_is_weak(bits: int) -> None:
    assert weakness(rsa_blob(bits)) == f"an RSA key of {bits} bits, fewer than 3072"


def test_leading_zeros_do_not_make_a_key_longer() -> None:
    assert "1024 bits" in weakness(blob("ssh-rsa", b"\3", bytes(400) + (1 << 1023).to_bytes(128, "big")))


@pytest.mark.parametrize("bits", [3072, 4096])
def test_a_long_rsa_key_is_not_weak(bits: int) -> None:
    assert weakness(rsa_blob(bits)) == ""


FIELD = 2**255 - 19
EIGHT = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL_ORDER = (0, 1, FIELD - 1, FIELD, FIELD + 1, EIGHT, FIELD - EIGHT)


@pytest.mark.parametrize("sign", [0, 1 << 255])
@pytest.mark.parametrize("y", SMALL_ORDER)
@pytest.mark.parametrize(("kind", "after"), [("ssh-ed25519", ()), ("sk-ssh-ed25519@openssh.com", (b"ssh:",))])
def test_an_ed25519_key_of_small_order_is_weak(
    kind: str, after: tuple[bytes, ...], y: int, sign: int
) -> None:
    key = blob(kind, (y | sign).to_bytes(32, "little"), *after)
    assert weakness(key) == "an Ed25519 key whose signatures can be made without the private key"


@pytest.mark.parametrize("point", [b"", bytes(31), b"\4" + bytes(32)])
def test_an_ed25519_key_of_another_length_is_weak(point: bytes) -> None:
    assert weakness(blob("ssh-ed25519", point))


PRIME = 0x8F3  # 2 ** 3071 and this is one


@pytest.mark.parametrize("exponent", [0, 1, 2, 65536])
def test_an_rsa_key_with_the_exponent_1_or_an_even_one_is_weak(exponent: int) -> None:
    assert "signatures can be made without the private key" in weakness(rsa_blob(3072, exponent=exponent))


@pytest.mark.parametrize("more", [0, 1, 5, 7, PRIME])
def test_an_rsa_key_with_a_known_factor_is_weak(more: int) -> None:
    assert "signatures can be made without the private key" in weakness(rsa_blob(3072, more=more))


@pytest.mark.parametrize("bits", [16392, 500_000])
def test_an_rsa_key_that_takes_long_to_examine_is_refused_by_its_length(bits: int) -> None:
    assert weakness(rsa_blob(bits)) == f"an RSA key of {bits} bits, more than 16384"


def test_dsa_is_weak_at_any_length() -> None:
    assert weakness(blob("ssh-dss", *[(1 << 3071).to_bytes(384, "big")] * 4)).startswith("a DSA key")


@pytest.mark.parametrize("kind", ["ssh-xmss@openssh.com", "ssh-ed448", "null", "SSH-RSA", "rsa-sha2-256", ""])
def test_an_unknown_kind_of_key_is_refused(kind: str) -> None:
    assert "is not one of ssh-ed25519" in weakness(blob(kind, bytes(32)))


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0", b"\0\0\0\7ssh-rsa", b"\xff" * 20, blob("ssh-rsa", b"\3")[:-1]]
)
def test_an_invalid_key_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut off|ascii"):
        weakness(data)


@pytest.mark.parametrize(
    ("public", "kind"),
    [
        (write_string(POINT), CERTIFICATE),
        (rsa_blob(4096)[11:], "ssh-rsa-cert-v01@openssh.com"),
        (write_string(b"nistp256") + write_string(bytes(65)), "ecdsa-sha2-nistp256-cert-v01@openssh.com"),
        (write_string(POINT) + write_string(b"ssh:"), "sk-ssh-ed25519-cert-v01@openssh.com"),
        (
            b"".join(map(write_string, (b"nistp256", bytes(65), b"ssh:"))),
            "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        ),
    ],
)
def test_the_authority_of_a_certificate_of_each_kind_is_found(public: bytes, kind: str) -> None:
    assert weakness(certificate(public, "a@b", "x,*", kind=kind, authority=ED25519)) == ""
    by_weak = certificate(public, "a@b", "x,*", kind=kind, authority=rsa_blob(2048))
    assert weakness(by_weak) == "its certificate is signed with an RSA key of 2048 bits, fewer than 3072"


def test_a_certificate_of_a_weak_key_is_weak() -> None:
    weak = certificate(rsa_blob(2048)[11:], "a", kind="ssh-rsa-cert-v01@openssh.com", authority=ED25519)
    assert weakness(weak) == "an RSA key of 2048 bits, fewer than 3072"
