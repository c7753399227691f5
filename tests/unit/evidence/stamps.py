"""Answers of a time-stamping authority, put together byte by byte; no authority has signed them."""

from __future__ import annotations

import hashlib

SHA256 = bytes.fromhex("300d06096086480165030402010500")


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def tst_info(data: bytes, moment: str) -> bytes:
    imprint = der(0x30, SHA256, der(0x04, hashlib.sha256(data).digest()))
    number, policy = der(0x02, b"\5"), der(0x06, b"\x2a\3")
    return der(0x30, der(0x02, b"\1"), policy, imprint, number, der(0x18, moment.encode()))


def token(content: bytes) -> bytes:
    """ContentInfo > SignedData > EncapsulatedContentInfo > what is given."""
    encapsulated = der(0x30, der(0x06, b"\x2a\4"), der(0xA0, content))
    signed = der(0x30, der(0x02, b"\3"), der(0x31), encapsulated)
    return der(0x30, der(0x06, b"\x2a\5"), der(0xA0, signed))


def answer(token: bytes) -> bytes:
    return der(0x30, der(0x30, der(0x02, b"\0")), token)


def forged(genuine: bytes, data: bytes, moment: str) -> bytes:
    """A genuine answer behind a status of indefinite length, whose text is another token.

    OpenSSL reads on to the end of the status. A reader that takes 0x80 for the length 128 finds this token.
    """
    own = token(der(0x04, tst_info(data, moment)))
    text = bytes(117) + own
    status = der(0x02, b"\0") + b"\x30\x82" + (len(text) + 4).to_bytes(2, "big")
    status += b"\x0c\x82" + len(text).to_bytes(2, "big") + text
    return der(0x30, b"\x30\x80" + status + b"\0\0", genuine)
