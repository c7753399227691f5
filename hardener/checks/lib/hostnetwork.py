"""Read the interfaces of a host: those on which packets from outside arrive, and Docker's bridges."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import Any

from hardener.checks.lib import fields
from hardener.checks.lib.packetfilter.outside import INSIDE
from hardener.checks.lib.packetfilter.sets import Intervals, interface, normal
from hardener.snapshot import FactUnavailable, Snapshot

NETWORK, NETWORKS = "network", "docker.networks"
_BRIDGE_NAME = "com.docker.network.bridge.name"
_GENERATED = re.compile(r"br-[0-9a-f]{12}")  # also of a network that another engine has
_INSIDE_KINDS = frozenset({"dummy", "ifb", "tun", "wireguard"})


def networks(snapshot: Snapshot) -> list[Mapping[str, Any]]:
    """Return the engine's networks; none if they could not be read."""
    try:
        return list(snapshot.fact(NETWORKS))
    except FactUnavailable:
        return []


def bridge_of(network: Mapping[str, Any]) -> str:
    """Return the bridge of a network of the driver bridge; empty for another driver."""
    if network.get("Driver") != "bridge":
        return ""
    options = fields.table(network, "Options", NETWORKS)
    return fields.text(options, _BRIDGE_NAME, NETWORKS) or f"br-{str(network.get('Id') or '')[:12]}"


def gateway_mode(network: Mapping[str, Any], version: int) -> str:
    """Return the mode of a network's gateway, such as ``nat`` or ``routed``; empty if it is not set."""
    options = fields.table(network, "Options", NETWORKS)
    return fields.text(options, f"com.docker.network.bridge.gateway_mode_ipv{version}", NETWORKS)


def uplinks(snapshot: Snapshot) -> Sequence[str]:
    """Return the interfaces on which packets from outside may arrive; none if the snapshot does not tell.

    A tunnel, or an interface of containers or virtual machines, counts if it has a default route, or is one
    end of a pair that leads to a network.
    """
    if not snapshot.has(NETWORK):
        return ()
    facts = snapshot.fact(NETWORK)
    routes = [(str(each.get("to")), each.get("interface")) for each in fields.rows(facts, "routes", NETWORK)]
    default = {name for to, name in routes if to.endswith(("/0", "/1"))}
    subnets = {name for to, name in routes if not to.endswith(("/32", "/128")) and not to.startswith("fe80:")}
    bridges = {bridge_of(network) for network in networks(snapshot)}
    interfaces = fields.rows(facts, "interfaces", NETWORK)
    # Of a bridge or a bond, packets arrive on the master.
    alone = {"", *(interface.get("name") for interface in interfaces if interface.get("kind") == "vrf")}
    return [
        name
        for interface in interfaces
        if (name := fields.text(interface, "name", NETWORK)) not in bridges
        and interface.get("up")
        and interface.get("master") in alone
        and (
            name in default
            or (interface.get("kind") == "veth" and name in subnets)
            or not _inside(name, fields.text(interface, "kind", NETWORK))
        )
    ]


def uplink_names(snapshot: Snapshot) -> Intervals:
    """Return the names of ``uplinks`` as an interval set."""
    return normal(each for name in uplinks(snapshot) for each in interface(name, "+\0"))


def _inside(name: str, kind: str) -> bool:
    return (
        name in ("lo", "docker0")
        or kind in _INSIDE_KINDS
        or name.startswith(INSIDE)
        or _GENERATED.fullmatch(name) is not None
    )


def own_addresses(snapshot: Snapshot) -> Sequence[IPv4Interface | IPv6Interface]:
    """Return the addresses of the host; none if the snapshot does not tell them.

    Raises:
        FactUnavailable: they could not be read.
    """
    if not snapshot.has(NETWORK):
        return ()
    try:
        return [
            ip_interface(text)
            for interface in fields.rows(snapshot.fact(NETWORK), "interfaces", NETWORK)
            for text in fields.texts(interface, "addresses", NETWORK)
        ]
    except ValueError as error:
        raise FactUnavailable(NETWORK, str(error)) from error
