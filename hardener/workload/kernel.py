"""Map the kernel's numbers of system calls, capabilities and socket families to names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from hardener.checks.lib.capability_sets import CAPABILITIES

_FAMILIES = {
    0: "UNSPEC",
    1: "UNIX",
    2: "INET",
    3: "AX25",
    4: "IPX",
    5: "APPLETALK",
    10: "INET6",
    15: "KEY",
    16: "NETLINK",
    17: "PACKET",
    21: "RDS",
    29: "CAN",
    30: "TIPC",
    31: "BLUETOOTH",
    38: "ALG",
    39: "NFC",
    40: "VSOCK",
    41: "KCM",
    42: "QIPCRTR",
    43: "SMC",
    44: "XDP",
    45: "MCTP",
}
# The architectures of a kernel's second and third table of system calls.
_COMPAT = {"x86_64": "i386", "aarch64": "arm"}


def capability(number: int) -> str:
    """Return the name of a capability."""
    return f"CAP_{CAPABILITIES[number]}" if number < len(CAPABILITIES) else f"CAP_{number}"


def capabilities(mask: int) -> list[str]:
    """Return the names of a set of capabilities, without unknown bits."""
    return [f"CAP_{name}" for number, name in enumerate(CAPABILITIES) if mask >> number & 1]


def family(number: int) -> str:
    """Return the name of a socket family."""
    return f"AF_{_FAMILIES.get(number, f'#{number}')}"


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
    head, *lines = Path(__file__).with_name("callnames.txt").read_text(encoding="ascii").splitlines()
    columns = head.split()[1:]
    if architecture_ not in columns:
        return {}
    at = columns.index(architecture_) + 1
    rows = [line.split() for line in lines]
    return {int(row[at]): row[0] for row in rows if row[at] != "-"}
