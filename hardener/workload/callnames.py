"""Names of system calls by architecture, from ``callnames.txt``, which tools/callnames.py generates."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

# The architectures of a kernel's second and third table of system calls.
_COMPAT = {"x86_64": "i386", "aarch64": "arm"}


def architecture(machine: str, kind: int) -> str:
    """Return the architecture of a call table: 0 is the machine's own, 1 its 32-bit variant, 2 x32."""
    if kind == 1:
        return _COMPAT.get(machine, f"{machine}_compat")
    return "x32" if kind == 2 else machine


def name(architecture_: str, number: int) -> str:
    """Return the name of a system call; for an unknown number, a text such as ``#467``."""
    return names(architecture_).get(number, f"#{number}")


@cache
def names(architecture_: str) -> Mapping[int, str]:
    """Return the names of an architecture's system calls by number; empty for an unknown architecture."""
    head, *lines = Path(__file__).with_suffix(".txt").read_text(encoding="ascii").splitlines()
    columns = head.split()[1:]
    if architecture_ not in columns:
        return {}
    at = columns.index(architecture_) + 1
    rows = [line.split() for line in lines]
    return {int(row[at]): row[0] for row in rows if row[at] != "-"}
