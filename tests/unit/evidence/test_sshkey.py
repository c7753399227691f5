from __future__ import annotations

import pytest

from hardener.evidence.sshkey import weakness
from tests.unit.evidence.bundles import write_string


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
    assert weakness(rsa(bits)) == f"an RSA key of {bits} bits, fewer than 3072"


def test_leading_zeros_do_not_make_a_key_longer() -> None:
    assert "1024 bits" in weakness(blob("ssh-rsa", b"\3", bytes(400) + (1 << 1023).to_bytes(128, "big")))


@pytest.mark.parametrize("bits", [3072, 4096])
def test_a_long_rsa_key_is_not_weak(bits: int) -> None:
    assert weakness(rsa(bits)) == ""


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
    assert "signatures can be made without the private key" in weakness(rsa(3072, exponent=exponent))


@pytest.mark.parametrize("more", [0, 1, 5, 7, PRIME])
def test_an_rsa_key_with_a_known_factor_is_weak(more: int) -> None:
    assert "signatures can be made without the private key" in weakness(rsa(3072, more=more))


@pytest.mark.parametrize("bits", [16392, 500_000])
def test_an_rsa_key_that_takes_long_to_examine_is_refused_by_its_length(bits: int) -> None:
    assert weakness(rsa(bits)) == f"an RSA key of {bits} bits, more than 16384"


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
        (rsa(4096)[11:], "ssh-rsa-cert-v01@openssh.com"),
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
    by_weak = certificate(public, "a@b", "x,*", kind=kind, authority=rsa(2048))
    assert weakness(by_weak) == "its certificate is signed with an RSA key of 2048 bits, fewer than 3072"


def test_a_certificate_of_a_weak_key_is_weak() -> None:
    weak = certificate(rsa(2048)[11:], "a", kind="ssh-rsa-cert-v01@openssh.com", authority=ED25519)
    assert weakness(weak) == "an RSA key of 2048 bits, fewer than 3072"
