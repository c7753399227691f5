"""Build an image with one static program that waits for ever, without a compiler and without a network."""

from __future__ import annotations

import io
import struct
import tarfile

from .client import Engine

COMMAND = "/wait"
_BASE = 0x10000
_HEAD = 64 + 56
# Machine, and the code: ppoll(NULL, 0, NULL, NULL) in a loop.
_CODE = {
    "x86_64": (
        62,
        bytes.fromhex("31ff31f631d24d31d2") + bytes.fromhex("b80f010000") + bytes.fromhex("0f05ebee"),
    ),
    "aarch64": (
        183,
        struct.pack(
            "<7I", 0xD2800000, 0xD2800001, 0xD2800002, 0xD2800003, 0xD2800928, 0xD4000001, 0x17FFFFFA
        ),
    ),
}


def program(machine: str) -> bytes | None:
    """Return the program for a machine; None for an unsupported one."""
    if machine not in _CODE:
        return None
    number, code = _CODE[machine]
    size = _HEAD + len(code)
    head = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\2\1\1",
        2,
        number,
        1,
        _BASE + _HEAD,
        64,
        0,
        0,
        64,
        56,
        1,
        0,
        0,
        0,
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return head + segment + code


def image(machine: str) -> bytes | None:
    """Return a tar archive of a root file system with the program as ``COMMAND``."""
    content = program(machine)
    if content is None:
        return None
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(COMMAND.lstrip("/"))
        member.mode, member.size = 0o755, len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def create_image(engine: Engine, archive: bytes, name: str, label: str) -> None:
    """Create the image in an engine.

    Args:
        engine: the engine.
        archive: result of ``image``.
        name: its repository and tag, as in ``name:tag``.
        label: its label, as in ``key=value``.

    Raises:
        NoAnswer: the engine does not answer, or refuses.
    """
    repository, _separator, tag = name.partition(":")
    query = {"fromSrc": "-", "repo": repository, "tag": tag, "changes": f"LABEL {label}"}
    engine.ask("POST", "/images/create", archive, query=query, kind="application/x-tar")
