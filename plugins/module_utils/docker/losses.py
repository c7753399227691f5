"""List what the users of an engine can lose by a change: one class for each kind of loss.

The plan compares what the engine offers with what it will offer; the health check compares the same before
and after the change.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any, Callable, Iterator, Mapping, NamedTuple, Sequence

from ..contract import CONNECTIVITY, DAEMON_RESTART, RELOAD

# Parts of a host through which a loss can come; an activation names those that it touches.
PARTS = ("containers", "services", "ports", "networks", "registries")
CONTAINERS, SERVICES, PORTS, NETWORKS, REGISTRIES = PARTS

# The default of insecure-registries; the engine does not always list the second one, which is not compared.
LOOPBACK = ("127.0.0.0/8", "::1/128")
_EXEMPT_UNTIL = (29, 10)  # the engine that no longer adds loopback to the listed registries


class Loss(NamedTuple):
    """A loss of a part of the host.

    Attributes:
        part: one of ``PARTS``.
        name: of the container, network, service or registry, by which a person accepts the loss.
        text: what is lost.
        impact: of a change that causes it.
        said: a sentence about a loss that has occurred.
    """

    part: str
    name: str
    text: str
    impact: str = CONNECTIVITY
    said: str = ""


class Offer(NamedTuple):
    """What an engine offers: its running containers (inspect data), settings, and insecure registries.

    ``ipv6``: whether other hosts reach this host over IPv6. ``proxy``: whether the userland proxy is on.
    ``icc``: whether the containers of the default bridge reach each other.
    """

    containers: Sequence[Mapping[str, Any]]
    ipv6: bool = True
    proxy: bool = True
    icc: bool = True
    registries: Sequence[str] = ()


def insecure(listed: Sequence[str] | None, version: Sequence[int]) -> list[str]:
    """Return the registries that an engine uses without verified TLS.

    Args:
        listed: ``insecure-registries`` of its configuration; None if the key is not set.
        version: of the engine.
    """
    exempt = listed is None or tuple(version) < _EXEMPT_UNTIL
    found = [*map(_plain, listed or ()), *(LOOPBACK if exempt else ())]
    return [each for each in dict.fromkeys(found) if each != LOOPBACK[1]]


def _plain(registry: Any) -> str:
    """Return a registry as the engine lists it: networks without the bits of a host."""
    try:
        return str(ip_network(str(registry), strict=False)) if "/" in str(registry) else str(registry)
    except ValueError:
        return str(registry)


def plain_mirrors(mirrors: Any) -> list[str]:
    """Return the mirrors of registries that are reached over plain HTTP on another host."""
    found = []
    for mirror in mirrors if isinstance(mirrors, list) else ():
        scheme, _separator, rest = str(mirror).lower().partition("://")
        name = rest.partition("/")[0].rpartition("@")[2]
        if scheme == "http" and not name.startswith(("localhost", "127.", "[::1]")):
            found.append(str(mirror).rstrip("/"))
    return found


def registries_of(info: Mapping[str, Any]) -> list[str]:
    """Return the registries and mirrors that a running engine uses without verified TLS, from its /info."""
    config = info.get("RegistryConfig") or {}
    named = config.get("IndexConfigs") or {}
    return [
        *(str(each) for each in config.get("InsecureRegistryCIDRs") or () if each != LOOPBACK[1]),
        *(str(name) for name, index in named.items() if not (index or {}).get("Secure", True)),
        *plain_mirrors(config.get("Mirrors")),
    ]


def lost(before: Offer, after: Offer) -> list[Loss]:
    """Return what the first offer has, and the second one has not."""
    found: list[Loss] = []
    for kind in KINDS:
        left = {each.text for each in kind(after)}
        found += (each for each in kind(before) if each.text not in left)
    return found


def told(losses: Sequence[Loss]) -> dict[str, list[str]]:
    """Return texts of losses by the sentence that introduces them."""
    found: dict[str, list[str]] = {}
    for each in losses:
        found.setdefault(_SENTENCES[each.part], []).append(each.text)
    return found


def _relayed_ports(offer: Offer) -> Iterator[Loss]:
    """Yield the published IPv6 ports that only the userland proxy forwards."""
    for container in offer.containers if offer.proxy else ():
        for port in published(container):
            if port.relayed:
                name = _name(container)
                reached = offer.ipv6 or not port.title.startswith("[::]:")
                yield Loss(PORTS, name, f"{port.title} ({name})", CONNECTIVITY if reached else DAEMON_RESTART)


def _peers(offer: Offer) -> Iterator[Loss]:
    """Yield the containers of the default bridge that reach others there, and not by a link."""
    network = "bridge"
    there = [
        each
        for each in offer.containers
        if network in ((each.get("NetworkSettings") or {}).get("Networks") or {})
    ]
    for container in there if offer.icc else ():
        links = {
            str(link).partition(":")[0].lstrip("/")
            for link in (container.get("HostConfig") or {}).get("Links") or ()
        }
        if any(_name(other) not in links for other in there if other is not container):
            yield Loss(NETWORKS, _name(container), _name(container))


def _registries(offer: Offer) -> Iterator[Loss]:
    """Yield the registries whose TLS is not verified."""
    for registry in offer.registries:
        yield Loss(REGISTRIES, registry, registry, RELOAD)


KINDS: Sequence[Callable[[Offer], Iterator[Loss]]] = (_relayed_ports, _peers, _registries)
_SENTENCES = {
    PORTS: "no longer published over IPv6, since these containers have no IPv6 address",
    NETWORKS: (
        "once the engine makes its default bridge again, as at a reboot, its containers no longer reach each"
        " other"
    ),
    REGISTRIES: "until their TLS can be verified, images are no longer pulled from",
}


def _name(container: Mapping[str, Any]) -> str:
    return str(container.get("Name") or "").lstrip("/") or str(container.get("Id") or "?")[:12]


_ANYWHERE = "0.0.0.0"  # noqa: S104 - containers listen there


class Published(NamedTuple):
    """A published port.

    Attributes:
        inner: port and protocol in the container, such as ``80/tcp``.
        address: on the host.
        port: on the host; 0 if unknown.
        relayed: only the engine's userland proxy forwards it: the container has no IPv6 address.
    """

    inner: str
    address: str
    port: int
    relayed: bool

    @property
    def title(self) -> str:
        """Return address and port, as in ``[::]:80``."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def published(container: Mapping[str, Any]) -> Iterator[Published]:
    """Yield the published ports of a container."""
    network = container.get("NetworkSettings") or {}
    attached = [each or {} for each in (network.get("Networks") or {}).values()]
    knows_ipv6 = any(each.get("GlobalIPv6Address") for each in attached)
    for inner, bindings in (network.get("Ports") or {}).items():
        for binding in bindings or ():
            address = str(binding.get("HostIp") or _ANYWHERE)
            yield Published(
                inner, address, int(binding.get("HostPort") or 0), ":" in address and not knows_ipv6
            )
