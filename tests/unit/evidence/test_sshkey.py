from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from hardener.evidence.sshkey import is_name, parse, public_half, read_string, write_string


def blob(kind: str, *fields: bytes) -> bytes:
    return b"".join(map(write_string, (kind.encode(), *fields)))


def rsa(bits: int, *, exponent: int = 65537, more: int = 0x21) -> bytes:
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
    assert parse(rsa(bits)).weakness == f"an RSA key of {bits} bits, fewer than 3072"


def test_leading_zeros_do_not_make_a_key_longer() -> None:
    assert (
        "1024 bits" in parse(blob("ssh-rsa", b"\3", bytes(400) + (1 << 1023).to_bytes(128, "big"))).weakness
    )


@pytest.mark.parametrize("bits", [3072, 4096])
def test_a_long_rsa_key_is_not_weak(bits: int) -> None:
    assert parse(rsa(bits)).weakness == ""


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
    assert parse(key).weakness == "an Ed25519 key whose signatures can be made without the private key"


@pytest.mark.parametrize("point", [b"", bytes(31), b"\4" + bytes(32)])
def test_an_ed25519_key_of_another_length_is_weak(point: bytes) -> None:
    assert parse(blob("ssh-ed25519", point)).weakness


PRIME = 0x8F3  # 2 ** 3071 and this is one


@pytest.mark.parametrize("exponent", [0, 1, 2, 65536])
def test_an_rsa_key_with_the_exponent_1_or_an_even_one_is_weak(exponent: int) -> None:
    assert "signatures can be made without the private key" in parse(rsa(3072, exponent=exponent)).weakness


@pytest.mark.parametrize("more", [0, 1, 5, 7, PRIME])
def test_an_rsa_key_with_a_known_factor_is_weak(more: int) -> None:
    assert "signatures can be made without the private key" in parse(rsa(3072, more=more)).weakness


@pytest.mark.parametrize("bits", [16392, 500_000])
def test_an_rsa_key_that_takes_long_to_examine_is_refused_by_its_length(bits: int) -> None:
    assert parse(rsa(bits)).weakness == f"an RSA key of {bits} bits, more than 16384"


def test_dsa_is_weak_at_any_length() -> None:
    assert parse(blob("ssh-dss", *[(1 << 3071).to_bytes(384, "big")] * 4)).weakness.startswith("a DSA key")


@pytest.mark.parametrize("kind", ["ssh-xmss@openssh.com", "ssh-ed448", "null", "SSH-RSA", "rsa-sha2-256", ""])
def test_an_unknown_kind_of_key_is_refused(kind: str) -> None:
    assert "is not one of ssh-ed25519" in parse(blob(kind, bytes(32))).weakness


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0", b"\0\0\0\7ssh-rsa", b"\xff" * 20, blob("ssh-rsa", b"\3")[:-1]]
)
def test_an_invalid_key_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut off|ascii"):
        parse(data)


@pytest.mark.parametrize(
    ("public", "kind"),
    [
        (write_string(POINT), CERTIFICATE),
        (rsa(4096)[11:], "ssh-rsa-cert-v01@openssh.com"),
        (write_string(b"nistp256") + write_string(bytes(65)), "ecdsa-sha2-nistp256-cert-v01@openssh.com"),
        (write_string(POINT) + write_string(b"ssh:"), "sk-ssh-ed25519-cert-v01@openssh.com"),
        (
            b"".join(map(write_string, (b"nistp256", bytes(65), b"ssh:"))),
            "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        ),
    ],
)
def test_the_principals_of_a_certificate_are_read(public: bytes, kind: str) -> None:
    found = parse(certificate(public, "a@b", "x,*", kind=kind, authority=ED25519))
    assert (found.kind, found.weakness, found.names) == (kind, "", ("a@b", "x,*"))


def test_a_certificate_of_a_weak_key_or_by_a_weak_authority_is_weak() -> None:
    weak = certificate(rsa(2048)[11:], "a", kind="ssh-rsa-cert-v01@openssh.com", authority=ED25519)
    assert parse(weak).weakness == "an RSA key of 2048 bits, fewer than 3072"
    by_weak = certificate(write_string(POINT), "a", kind=CERTIFICATE, authority=rsa(2048))
    assert (
        parse(by_weak).weakness == "its certificate is signed with an RSA key of 2048 bits, fewer than 3072"
    )


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


@pytest.mark.parametrize("passphrase", ["", "secret"])
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_the_public_key_is_read_from_either_file(tmp_path: Path, kind: str, passphrase: str) -> None:
    key = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "a comment", "-f", str(key)]
    subprocess.run(command, check=True)
    public = (tmp_path / "key.pub").read_bytes()
    expected = base64.b64decode(public.split()[1])
    assert public_half(key.read_bytes()) == public_half(public) == expected
    assert parse(expected).weakness == ""


@pytest.mark.parametrize(
    "text",
    [b"", b"not a key\n", b"ssh-rsa ====", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", b"\xff\xfe"],
)
def test_a_file_of_another_format_has_no_public_key(text: bytes) -> None:
    assert public_half(text) is None


def test_an_encoded_string_is_decoded_and_the_bytes_after_it_are_returned() -> None:
    assert read_string(write_string(b"a") + b"rest") == (b"a", b"rest")
