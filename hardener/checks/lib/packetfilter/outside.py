"""Define the judged packets (new connections from outside), and how many sources count as "a few"."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache, reduce
from itertools import pairwise

from hardener.checks.lib.packetfilter.sets import (
    ALL_NAMES,
    ALL_PORTS,
    EARLY,
    NEW,
    TRANSLATED,
    Box,
    Dimension,
    Intervals,
    everything,
    in_state,
    interface,
    intersect,
    kinds,
    network,
    normal,
    size,
    subtract,
)

# More ports than this (a quarter) are not chosen deliberately. Ranges for passive FTP or calls are smaller.
NAMED_PORTS = 16384
# More public addresses than this are not a few: IPv4's /8, a /16 of IPv6.
_FEW_SOURCES = {4: 1 << 24, 6: 1 << 112}
# A rule for at most this many addresses does not make a filter open; there may be thousands of rules.
_NARROW = {4: 1 << 16, 6: 1 << 96}
# Interfaces without packets from outside: loopback, containers, virtual machines, tunnels.
BRIDGES = ("docker", "br-")
INSIDE = (
    *("veth", "virbr", "cni", "flannel", "cali", "lxc", "lxdbr", "podman"),
    *("wg", "tun", "tap", "tailscale", "zt"),
)
_PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")


@cache
def outside_names() -> Intervals:
    """Return the names of interfaces on which packets from outside arrive."""
    inside = [
        interface("", "+\0"),
        interface("lo", "+"),
        *(interface(f"{name}+", "+") for name in (*BRIDGES, *INSIDE)),
    ]
    return subtract(ALL_NAMES, normal(each for names in inside for each in names))


@cache
def _public(version: int) -> Intervals:
    if version == 6:
        return network("2000::/3", 6)
    private = normal(each for text in _PRIVATE for each in network(text, 4))
    return subtract(((0, (224 << 24) - 1),), private)


@cache
def unicast(version: int) -> Intervals:
    """Return all unicast addresses that a host can have."""
    if version == 6:
        return subtract(((2, (1 << 128) - 1),), network("ff00::/8", 6))
    return subtract(((1, (224 << 24) - 1),), network("127.0.0.0/8", 4))


def inbound(version: int, *, interfaces: Intervals | None = None, own: Intervals | None = None) -> Box:
    """Return new connections from outside to this host.

    Args:
        version: of IP.
        interfaces: names of those that packets arrive on; any that may be outside, unless given.
        own: addresses of the host; any that it may have, unless given.
    """
    return _box(
        version,
        kind=kinds(states=[EARLY]),
        iif=outside_names() if interfaces is None else interfaces,
        oif=interface("", "+\0"),
        destination=unicast(version) if own is None else own,
    )


def bridges(names: Iterable[str]) -> Intervals:
    """Return the names of Docker's bridges: those that the engine generates, and the given ones."""
    found = [interface(f"{name}+", "+") for name in BRIDGES] + [interface(name, "+\0") for name in names]
    return normal(each for some in found for each in some)


def arriving(
    version: int,
    protocol: str,
    interfaces: Intervals,
    destination: Intervals,
    *,
    leaving: Intervals | None = None,
) -> Box:
    """Return packets from outside as they arrive.

    Args:
        version: of IP.
        protocol: of the packets.
        interfaces: names of those that packets arrive on.
        destination: addresses.
        leaving: interfaces that the packets are forwarded to; None if they are for the host.
    """
    return _box(
        version,
        kind=kinds([protocol], [EARLY]),
        iif=interfaces,
        oif=interface("", "+\0") if leaving is None else leaving,
        destination=destination,
    )


def translated(box: Box, bridge: Intervals, destination: Intervals) -> list[Box]:
    """Return packets to ports of the host as Docker translates them, to any port of containers."""
    ports = intersect(box[Dimension.PORT], box[Dimension.ORIGINAL_PORT])
    found = [moved for early in in_state(box, NEW) for moved in in_state(early, TRANSLATED, of=NEW)]
    tracked = [intersect(moved[Dimension.KIND], kinds(states=[TRANSLATED])) for moved in found]
    middle = (box[Dimension.SOURCE], destination, box[Dimension.SOURCE_PORT], ALL_PORTS)
    return [(kind, box[Dimension.IIF], bridge, *middle, ports) for kind in tracked if kind and ports]


def _box(version: int, *, kind: Intervals, iif: Intervals, oif: Intervals, destination: Intervals) -> Box:
    return (kind, iif, oif, everything(Dimension.SOURCE, version), destination, *(ALL_PORTS,) * 3)


def narrow(source: Intervals, version: int) -> bool:
    """Return whether the sources are so few that rules for them can be ignored."""
    return size(source) <= _NARROW[version]


def from_many(source: Intervals, version: int) -> bool:
    """Return whether the sources include more than a few public addresses."""
    return size(intersect(source, _public(version))) > _FEW_SOURCES[version]


def ports_from_many(
    boxes: Iterable[Box],
    protocol: str,
    version: int,
    dimensions: tuple[Dimension, ...] = (Dimension.PORT, Dimension.ORIGINAL_PORT),
) -> int:
    """Return the number of ports of a protocol that more than a few addresses can reach.

    A port counts where it is in each of the dimensions.
    """
    begin: dict[int, list[Intervals]] = {}
    end: dict[int, list[Intervals]] = {}
    wanted = kinds((protocol,))
    for box in boxes:
        if intersect(box[Dimension.KIND], wanted):
            for low, high in reduce(intersect, (box[each] for each in dimensions)):
                begin.setdefault(low, []).append(box[Dimension.SOURCE])
                end.setdefault(high + 1, []).append(box[Dimension.SOURCE])
    total = 0
    active: list[Intervals] = []
    for port, following in pairwise(sorted({*begin, *end})):
        for source in end.get(port, ()):
            active.remove(source)
        active += begin.get(port, ())
        if active and _many_together(frozenset(active), version):
            total += following - port
    return total


def only_named(boxes: Iterable[Box], protocol: str, version: int) -> bool:
    """Return whether more than a few addresses reach only ports that rules name.

    Rules may name a port as it was before its translation, or the port of the container.
    """
    groups: dict[Dimension, list[Box]] = {Dimension.ORIGINAL_PORT: [], Dimension.PORT: []}
    for box in boxes:
        named = size(box[Dimension.ORIGINAL_PORT]) <= NAMED_PORTS
        groups[Dimension.ORIGINAL_PORT if named else Dimension.PORT].append(box)
    return all(
        ports_from_many(some, protocol, version, (dimension,)) <= NAMED_PORTS
        for dimension, some in groups.items()
    )


@lru_cache(maxsize=64)
def _many_together(sources: frozenset[Intervals], version: int) -> bool:
    return from_many(normal(each for source in sources for each in source), version)
