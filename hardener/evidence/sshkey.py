"""Judge whether an SSH public key may sign evidence; ssh-keygen also accepts weak and keyless ones.

The formats: RFC 4253 section 6.6, and PROTOCOL and PROTOCOL.certkeys of OpenSSH.
"""

from __future__ import annotations

import math

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


def weakness(blob: bytes) -> str:
    """Return why the key in a public key or a certificate may not sign evidence; empty if it may.

    The authority of a certificate may not be weak either.

    Raises:
        ValueError: it is neither.
    """
    raw, rest = read_string(blob)
    kind = raw.decode("ascii")
    if not kind.endswith(_CERTIFICATE):
        return _weakness(kind, rest)
    base = kind.removesuffix(_CERTIFICATE)
    base = base if base in _KINDS else f"{base}@openssh.com"
    _nonce, rest = read_string(rest)
    if found := _weakness(base, rest):
        return found
    for _ in range(_KINDS[base]):
        _, rest = read_string(rest)
    # Identifier after serial number and type, names, options after the validity, extensions, reserved.
    for skipped in (12, 0, 16, 0, 0):
        _, rest = read_string(rest[skipped:])
    authority = weakness(read_string(rest)[0])
    return authority and f"its certificate is signed with {authority}"


def read_string(data: bytes) -> tuple[bytes, bytes]:
    """Read the string at the beginning of data; return the string and the remaining data.

    Raises:
        ValueError: it is cut off.
    """
    length = int.from_bytes(data[:4], "big")
    if len(data) < 4 or len(data) < 4 + length:
        raise ValueError("cut off")
    return data[4 : 4 + length], data[4 + length :]


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
