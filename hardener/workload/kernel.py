"""Map the kernel's numbers of capabilities and socket families to names."""

from __future__ import annotations

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


def capability(number: int) -> str:
    """Return the name of a capability."""
    return f"CAP_{CAPABILITIES[number]}" if number < len(CAPABILITIES) else f"CAP_{number}"


def capabilities(mask: int) -> list[str]:
    """Return the names of a set of capabilities, without unknown bits."""
    return [f"CAP_{name}" for number, name in enumerate(CAPABILITIES) if mask >> number & 1]


def family(number: int) -> str:
    """Return the name of a socket family."""
    return f"AF_{_FAMILIES.get(number, f'#{number}')}"
