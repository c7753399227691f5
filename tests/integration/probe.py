"""A static program of a few hundred bytes that makes the system calls it is given, and prints how each ended.

    probe([(41, 38, 5, 0), (83, "/run/x", 0o755)])      # socket(AF_ALG, …), mkdir("/run/x")

It needs no loader, no library and no shell, so that a filter may refuse all else: execve brings it in, and
write and exit_group end it. For x86-64.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

_BASE = 0x400000
_HEADERS = 64 + 56  # of the file, and of its one segment
_WRITE, _EXIT_GROUP = 1, 231
_ARGUMENTS = 6
_ZERO = 0x30  # what stands for success; an error is added to it

Call = Sequence[int | str]


def probe(calls: Sequence[Call]) -> bytes:
    """The program."""
    texts = b""
    places: dict[str, int] = {}
    for each in (value for call in calls for value in call if isinstance(value, str)):
        if each not in places:
            places[each] = len(texts)
            texts += each.encode() + b"\0"
    code = _code(0, 0, 0)
    data = _BASE + _HEADERS + len(code)
    table = b""
    for call in calls:
        numbers = [data + places[value] if isinstance(value, str) else value for value in call]
        table += struct.pack("<7Q", *numbers, *[0] * (1 + _ARGUMENTS - len(numbers)))
    results = data + len(texts) + len(table)
    code = _code(data + len(texts), len(calls), results)
    image = code + texts + table + b"?" * len(calls)
    size = _HEADERS + len(image)
    file = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01", 2, 62, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", 1, 7, 0, _BASE, _BASE, size, size, 0x1000)
    return file + segment + image


def ends(printed: str) -> list[int]:
    """What it printed: the error of each call, 0 for none."""
    return [ord(each) - _ZERO for each in printed]


def _code(table: int, count: int, results: int) -> bytes:
    loop = bytes.fromhex(
        "488b03 488b7b08 488b7310 488b5318 4c8b5320 4c8b4328 4c8b4b30"  # number and arguments from [rbx]
        "0f05"  # syscall
        "4885c0 7907 48f7d8 0430 eb02 b030"  # al = '0' + error
        "41884500 49ffc5 4883c338 49ffcc"  # [r13++] = al; rbx += 56; r12--
    )
    loop += b"\x75" + struct.pack("<b", -len(loop) - 2)  # until r12 is 0
    return (
        b"\x48\xbb"
        + struct.pack("<Q", table)
        + b"\x49\xbc"
        + struct.pack("<Q", count)
        + b"\x49\xbd"
        + struct.pack("<Q", results)
        + loop
        + b"\xb8"
        + struct.pack("<I", _WRITE)
        + b"\xbf\x01\0\0\0\x48\xbe"
        + struct.pack("<Q", results)
        + b"\x48\xba"
        + struct.pack("<Q", count)
        + b"\x0f\x05\xb8"
        + struct.pack("<I", _EXIT_GROUP)
        + b"\x31\xff\x0f\x05"
    )
