"""The program that records and proves by twins, and the BPF objects that it is sent with."""

from __future__ import annotations

from base64 import b64encode

from .host_script import PACKAGES

SOURCE = PACKAGES / "record"
LONGEST = 24 * 3600  # seconds


def objects(*names: str) -> dict[str, str]:
    """Objects in base64 by the names of their files.

    Args:
        names: how the names of the wanted ones begin.
    """
    return {
        path.name: b64encode(path.read_bytes()).decode()
        for path in sorted(SOURCE.glob("bpf/*.bpf.o"))
        if path.name.startswith(names)
    }
