"""Sets of packets: boxes of intervals over the properties that a packet filter can match.

A box has an interval set for each dimension. Addresses, ports and kinds are numbers; so is the name of an
interface (its bytes), which makes ``eth+`` an interval.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from enum import IntEnum
from functools import lru_cache

Intervals = tuple[tuple[int, int], ...]  # sorted, disjoint, both ends included
Box = tuple[Intervals, ...]  # one for each Dimension
Condition = Mapping[int, Intervals]  # the restricted dimensions


class Dimension(IntEnum):
    """The properties that distinguish packets."""

    KIND = 0
    IIF = 1
    OIF = 2
    SOURCE = 3
    DESTINATION = 4
    SOURCE_PORT = 5
    PORT = 6
    ORIGINAL_PORT = 7  # the destination before its translation


# Kinds: the protocol, with the connection state of the first packet of a connection.
# Before connections are tracked, a packet has none; rules see it as invalid.
NEW, TRANSLATED, UNTRACKED, EARLY = 0, 1, 2, 3
_STATES = 4
PROTOCOLS = ("tcp", "udp")
ALL_PORTS: Intervals = ((1, 65535),)
_NAME_LENGTH = 16
ALL_NAMES: Intervals = ((0, (1 << 8 * _NAME_LENGTH) - 1),)


def normal(ranges: Iterable[tuple[int, int]]) -> Intervals:
    """Normalise ranges to an interval set: sorted, with adjacent ranges joined."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if low > high:
            continue
        if joined and low <= joined[-1][1] + 1:
            if high > joined[-1][1]:
                joined[-1] = (joined[-1][0], high)
        else:
            joined.append((low, high))
    return tuple(joined)


def intersect(one: Intervals, other: Intervals) -> Intervals:
    """Return the intersection of two interval sets."""
    if len(other) < len(one):
        one, other = other, one
    found = []
    for low, high in one:
        index = max(bisect_right(other, (low, -1)) - 1, 0)
        while index < len(other) and other[index][0] <= high:
            start, end = max(low, other[index][0]), min(high, other[index][1])
            if start <= end:
                found.append((start, end))
            index += 1
    return tuple(found)


def subtract(one: Intervals, other: Intervals) -> Intervals:
    """Return the first interval set without the values of the second."""
    found = []
    for low, high in one:
        begin = low
        index = max(bisect_right(other, (low, -1)) - 1, 0)
        while index < len(other) and other[index][0] <= high:
            start, end = other[index]
            if end >= begin:
                if start > begin:
                    found.append((begin, start - 1))
                begin = end + 1
            index += 1
        if begin <= high:
            found.append((begin, high))
    return tuple(found)


def size(intervals: Intervals) -> int:
    """Return the number of values in an interval set."""
    return sum(high - low + 1 for low, high in intervals)


def within(box: Box, condition: Condition) -> Box | None:
    """Return the part of a box that a condition matches; None if it matches nothing."""
    parts = list(box)
    for dimension, wanted in condition.items():
        kept = intersect(box[dimension], wanted)
        if not kept:
            return None
        parts[dimension] = kept
    return tuple(parts)


def without(box: Box, condition: Condition) -> list[Box]:
    """Return the part of a box that a condition does not match, as disjoint boxes."""
    if within(box, condition) is None:
        return [box]
    left = []
    for dimension, wanted in condition.items():
        rest = subtract(box[dimension], wanted)
        if rest:
            left.append((*box[:dimension], rest, *box[dimension + 1 :]))
            box = (*box[:dimension], intersect(box[dimension], wanted), *box[dimension + 1 :])
    return left


def both(one: Condition | None, other: Condition | None) -> Condition | None:
    """Return the conjunction of conditions; None is a condition that matches nothing."""
    if one is None or other is None:
        return None
    joined = dict(one)
    for dimension, wanted in other.items():
        joined[dimension] = intersect(joined[dimension], wanted) if dimension in joined else wanted
    return joined if all(joined.values()) else None


def kinds(protocols: Iterable[str] = PROTOCOLS, states: Iterable[int] = range(_STATES)) -> Intervals:
    """Return the values of ``Dimension.KIND`` for these protocols in these states."""
    return normal(
        (PROTOCOLS.index(protocol) * _STATES + state,) * 2
        for protocol in protocols
        if protocol in PROTOCOLS
        for state in states
    )


def in_state(box: Box, state: int, *, of: int = EARLY) -> list[Box]:
    """Return a box with the packets of one state in another one."""
    protocols = [name for name in PROTOCOLS if intersect(box[Dimension.KIND], kinds([name], [of]))]
    others = subtract(box[Dimension.KIND], kinds(states=[of]))
    moved = normal((*others, *kinds(protocols, [state])))
    return [(moved, *box[1:])] if moved else []


def everything(dimension: Dimension, version: int) -> Intervals:
    """Return all values of a dimension for an IP version."""
    match dimension:
        case Dimension.KIND:
            return kinds()
        case Dimension.IIF | Dimension.OIF:
            return ALL_NAMES
        case Dimension.SOURCE | Dimension.DESTINATION:
            return ((0, (1 << (32 if version == 4 else 128)) - 1),)
        case _:
            return ((0, 65535),)


def interface(pattern: str, wildcard: str) -> Intervals:
    """Return the names that match an interface pattern; ``wildcard`` at its end stands for any characters."""
    if pattern.endswith(wildcard) and not pattern.endswith(f"\\{wildcard}"):
        prefix = pattern.removesuffix(wildcard).encode()[:_NAME_LENGTH]
        return ((_number(prefix, b"\x00"), _number(prefix, b"\xff")),)
    name = pattern.replace(f"\\{wildcard}", wildcard).encode()[:_NAME_LENGTH]
    return ((_number(name, b"\x00"),) * 2,)


def _number(name: bytes, padding: bytes) -> int:
    return int.from_bytes(name.ljust(_NAME_LENGTH, padding), "big")


def network(text: str, version: int) -> Intervals:
    """Return the addresses of a network, ``192.0.2.0/24``; a mask with holes is not supported.

    Raises:
        ValueError: it is no network of this version of IP.
    """
    if version == 4:
        found: ipaddress.IPv4Network | ipaddress.IPv6Network = ipaddress.IPv4Network(text, strict=False)
    else:
        found = ipaddress.IPv6Network(text, strict=False)
    return ((int(found.network_address), int(found.broadcast_address)),)


@lru_cache(maxsize=1024)
def addresses(first: str, last: str, version: int) -> Intervals:
    """Return the addresses of a range.

    Raises:
        ValueError: one is no address of this version of IP.
    """
    kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    return normal([(int(kind(first)), int(kind(last)))])
