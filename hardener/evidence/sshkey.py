"""Parse SSH public keys: judge whether they may sign evidence, and read the names in a certificate.

The formats: RFC 4253 section 6.6, and PROTOCOL, PROTOCOL.certkeys, PROTOCOL.key of OpenSSH.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from dataclasses import dataclass

MIN_RSA_BITS = 3072
_MAX_RSA_BITS = 16384  # more than that OpenSSH does not read
_SMALL_FACTORS = math.lcm(*range(1, 1000))
_KEYLESS = "whose signatures can be made without the private key"

# The points of Ed25519 whose order divides 8, by their y coordinate. OpenSSH accepts them as keys; without a
# private key, about one of eight attempts gives a valid signature, or more.
_ED25519_FIELD = 2**255 - 19
_ED25519_EIGHT = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_ED25519_SMALL_ORDER = frozenset([0, 1, _ED25519_FIELD - 1, _ED25519_EIGHT, _ED25519_FIELD - _ED25519_EIGHT])

# Types that may sign, with the number of strings after the type in the blob.
_KINDS = {
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
_CERTIFICATE = "-cert-v01@openssh.com"
_PRIVATE = re.compile(
    rb"-----BEGIN OPENSSH PRIVATE KEY-----(\s[A-Za-z0-9+/=\s]+)-----END OPENSSH PRIVATE KEY-----"
)
_PRIVATE_DSA = b"-----BEGIN DSA PRIVATE KEY-----"
_PUBLIC = re.compile(rb"[ \t]*[a-z0-9@.-]+[ \t]+([A-Za-z0-9+/]+=*)(?:[ \t\r].*)?(?:\n\s*)?")
_NAME = re.compile(r"""[^\s,*?!"'\\#]+""")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key, or a certificate for a public key.

    ``names`` are the names in a certificate; a plain key has no names.
    """

    kind: str
    weakness: str  # reason why it may not sign evidence, empty where it may
    names: tuple[str, ...] | None = None  # None for a plain key


def is_name(text: str) -> bool:
    """Return whether this names one signer: no pattern, no list, no invisible character."""
    return text.isprintable() and _NAME.fullmatch(text) is not None


def parse(blob: bytes) -> PublicKey:
    """Parse the blob of a public key or a certificate.

    Raises:
        ValueError: it is neither.
    """
    raw, rest = read_string(blob)
    kind = raw.decode("ascii")
    if not kind.endswith(_CERTIFICATE):
        return PublicKey(kind, _weakness(kind, rest))
    base = kind.removesuffix(_CERTIFICATE)
    base = base if base in _KINDS else f"{base}@openssh.com"
    _nonce, rest = read_string(rest)
    if weakness := _weakness(base, rest):
        return PublicKey(kind, weakness, ())
    for _ in range(_KINDS[base]):
        _, rest = read_string(rest)
    _identifier, rest = read_string(rest[12:])  # after the serial number and the type of certificate
    listed, rest = read_string(rest)
    names = []
    while listed:
        name, listed = read_string(listed)
        names.append(name.decode("utf-8", "backslashreplace"))
    rest = rest[16:]  # start and end of validity
    for _ in range(3):  # options, extensions, reserved
        _, rest = read_string(rest)
    authority = parse(read_string(rest)[0])
    weakness = authority.weakness and f"its certificate is signed with {authority.weakness}"
    return PublicKey(kind, weakness, tuple(names))


def public_half(file: bytes) -> bytes | None:
    """Return the binary public key in a key file.

    Args:
        file: a public key, a certificate, or a private key in OpenSSH's format, encrypted or not.

    Returns:
        None where the file has another format.
    """
    try:
        if found := _PRIVATE.search(file):
            rest = base64.b64decode(found[1]).removeprefix(b"openssh-key-v1\0")
            for _ in range(3):  # cipher, key derivation, options of the key derivation
                _, rest = read_string(rest)
            return read_string(rest[4:])[0]
        if file.startswith(_PRIVATE_DSA):
            return write_string(b"ssh-dss")
        first = _PUBLIC.fullmatch(file)
        return base64.b64decode(first[1], validate=True) if first else None
    except (ValueError, binascii.Error):
        return None


def read_string(data: bytes) -> tuple[bytes, bytes]:
    """Read the string at the beginning of data; return the string and the remaining data.

    Raises:
        ValueError: it is cut off.
    """
    length = int.from_bytes(data[:4], "big")
    if len(data) < 4 or len(data) < 4 + length:
        raise ValueError("cut off")
    return data[4 : 4 + length], data[4 + length :]


def write_string(data: bytes) -> bytes:
    """Encode a string in the form that ``read_string`` reads."""
    return len(data).to_bytes(4, "big") + data


def _weakness(kind: str, fields: bytes) -> str:
    if kind == "ssh-dss":
        return "a DSA key, which is too weak"
    if kind not in _KINDS:
        return f"a key of the kind {kind}, which is not one of {', '.join(_KINDS)}"
    first, rest = read_string(fields)
    if "ed25519" in kind:
        y = int.from_bytes(first, "little") & ((1 << 255) - 1)
        small = len(first) != 32 or y % _ED25519_FIELD in _ED25519_SMALL_ORDER
        return f"an Ed25519 key {_KEYLESS}" if small else ""
    if kind != "ssh-rsa":
        return ""
    return _rsa_weakness(int.from_bytes(first, "big"), int.from_bytes(read_string(rest)[0], "big"))


def _rsa_weakness(exponent: int, modulus: int) -> str:
    bits = modulus.bit_length()
    if bits < MIN_RSA_BITS:
        return f"an RSA key of {bits} bits, fewer than {MIN_RSA_BITS}"
    if bits > _MAX_RSA_BITS:
        return f"an RSA key of {bits} bits, more than {_MAX_RSA_BITS}"
    is_prime = pow(2, modulus - 1, modulus) == 1
    if exponent < 3 or exponent % 2 == 0 or math.gcd(modulus, _SMALL_FACTORS) > 1 or is_prime:
        return f"an RSA key {_KEYLESS}"
    return ""
