"""Parse the keys in an armored OpenPGP public key block (RFC 9580), without external tools."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

_BLOCK = re.compile(
    r"\s*-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n"
    r"(?:[A-Za-z]+: [^\n]*\n)*\s*"
    r"(?P<data>[A-Za-z0-9+/]+(?:[\r\n]+[A-Za-z0-9+/]+)*=*)\s*"
    r"(?:=[A-Za-z0-9+/]{4}\s*)?"
    r"-----END PGP PUBLIC KEY BLOCK-----\s*"
)
_SIGNATURE, _KEY, _TRUST, _USER, _SUBKEY, _ATTRIBUTE = 2, 6, 12, 13, 14, 17
_OF_A_PUBLIC_KEY = (_SIGNATURE, _KEY, _TRUST, _USER, _SUBKEY, _ATTRIBUTE)
_TWO_OCTETS, _FIVE_OCTETS, _PARTIAL = 192, 255, 224


def fingerprints(armored: str) -> list[str]:
    """Return the fingerprints of the primary keys in uppercase hexadecimal; none if the block is invalid.

    Package managers trust every key in a file: so a block that is not understood completely has no result.
    """
    block = _BLOCK.fullmatch(armored)
    if block is None:
        return []
    try:
        packets = list(_packets(base64.b64decode("".join(block["data"].split()), validate=True)))
    except (binascii.Error, ValueError, IndexError):
        return []
    if any(tag not in _OF_A_PUBLIC_KEY for tag, _body in packets):
        return []
    keys = [body for tag, body in packets if tag == _KEY]
    if any(body[:1] != b"\x04" for body in keys):  # other key versions have other fingerprints
        return []
    return [
        hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest().upper()  # noqa: S324 - RFC 9580
        for body in keys
    ]


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and body of each packet.

    Raises:
        ValueError, IndexError: it is no sequence of whole packets.
    """
    at = 0
    while at < len(data):
        head = data[at]
        at += 1
        if not head & 0x80:
            raise ValueError("no packet begins at this position")
        if head & 0x40:
            tag, first = head & 0x3F, data[at]
            if first < _TWO_OCTETS:
                size, at = first, at + 1
            elif first == _FIVE_OCTETS:
                size, at = int.from_bytes(data[at + 1 : at + 5], "big"), at + 5
            elif first < _PARTIAL:
                size, at = ((first - _TWO_OCTETS) << 8) + data[at + 1] + _TWO_OCTETS, at + 2
            else:
                raise ValueError("a key packet has a partial length")
        else:
            tag, octets = (head & 0x3C) >> 2, 1 << (head & 3)
            if octets > 4:  # the length type without a length
                raise ValueError("a packet has no length")
            size, at = int.from_bytes(data[at : at + octets], "big"), at + octets
        if at + size > len(data):
            raise ValueError("the last packet is incomplete")
        yield tag, data[at : at + size]
        at += size
