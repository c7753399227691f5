"""The ports that running containers and swarm services publish on the host."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, ip_address

from hardener.checks.lib import fields, policy
from hardener.checks.lib.containers import SOURCE, containers
from hardener.checks.lib.swarmstate import services
from hardener.snapshot import FactUnavailable, Snapshot

_NUMBER = re.compile(r"[0-9]{1,5}")
_PROTOCOLS = frozenset({"", "tcp", "udp", "sctp"})


@dataclass(frozen=True, slots=True)
class Published:
    """An open port of the host that leads to a container.

    Attributes:
        owner: the container or the service.
        address: ``0.0.0.0``, ``::``, ``127.0.0.1`` …
        port: its number.
        protocol: ``tcp``, ``udp`` or ``sctp``.
        inside: number of the container's port; that of the host for a service.
        networks: the container's networks: id or name, and its addresses there.
    """

    owner: str
    address: str
    port: str
    protocol: str
    inside: str = ""
    networks: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.owner} {address}:{self.port}/{self.protocol}"

    @property
    def version(self) -> int:
        """Return the IP version of the address: 4 or 6."""
        return self._parsed().version

    @property
    def loopback(self) -> bool:
        """Return whether only the host itself can reach the port."""
        return self._parsed().is_loopback

    def is_in(self, meant: Sequence[MeantPort]) -> bool:
        """Return whether the site's policy names the port."""
        number = int(self.port) if self.port.isdigit() else 0
        return any(each.covers(self.owner, self.protocol, number, number) for each in meant)

    def _parsed(self) -> IPv4Address | IPv6Address:
        try:
            return ip_address(self.address)
        except ValueError as error:
            raise FactUnavailable(SOURCE, f"{self.address!r} is not an address") from error


def published(snapshot: Snapshot) -> tuple[Published, ...]:
    """Return every published port that is open."""
    return (*_of_containers(snapshot), *_of_services(snapshot))


def _of_containers(snapshot: Snapshot) -> Iterator[Published]:
    for container in containers(snapshot):
        settings = fields.table(container.inspect, "NetworkSettings", SOURCE)
        known = fields.table(settings, "Networks", SOURCE)
        attached = tuple(
            (
                fields.text(each, "NetworkID", SOURCE) or str(name),
                tuple(fields.text(each, key, SOURCE) for key in ("IPAddress", "GlobalIPv6Address")),
            )
            for name in known
            for each in [fields.table(known, name, SOURCE)]
        )
        for inside, bindings in fields.table(settings, "Ports", SOURCE).items():
            for binding in fields.rows({"bindings": bindings}, "bindings", SOURCE):
                address = fields.text(binding, "HostIp", SOURCE) or "0.0.0.0"  # noqa: S104 - its meaning
                port = fields.text(binding, "HostPort", SOURCE)
                number, _, protocol = str(inside).partition("/")
                yield Published(container.name, address, port, protocol or "tcp", number, attached)


def _of_services(snapshot: Snapshot) -> Iterator[Published]:
    """Return the ports of services, which are open on every node and address."""
    for service in services(snapshot):
        endpoint = fields.table(service.facts, "Endpoint", "docker.swarm")
        for port in fields.rows(endpoint, "Ports", "docker.swarm"):
            number = fields.number(port, "PublishedPort", "docker.swarm")
            if number:
                protocol = fields.text(port, "Protocol", "docker.swarm") or "tcp"
                any_address = "0.0.0.0"  # noqa: S104 - what it means
                yield Published(service.name, any_address, str(number), protocol, str(number))


@dataclass(frozen=True, slots=True)
class MeantPort:
    """One entry of the policy: ``443/tcp``, ``web-*:8080/tcp``, ``30000-30100/udp``."""

    publisher: str  # a glob
    first: int
    last: int
    protocol: str

    def covers(self, publisher: str, protocol: str, first: int, last: int) -> bool:
        """Return whether the entry names all these ports of a container or a service."""
        return (
            fnmatchcase(publisher, self.publisher)
            and self.protocol == protocol
            and self.first <= first
            and last <= self.last
        )


def meant_ports(snapshot: Snapshot) -> tuple[MeantPort, ...] | None:
    """Return the ports that the site publishes on purpose; ``None`` if its policy does not tell.

    Raises:
        FactUnavailable: the policy has another value.
    """
    entries = policy.texts(snapshot, "published_ports")
    return None if entries is None else tuple(_meant_port(entry) for entry in entries)


def _meant_port(entry: str) -> MeantPort:
    publisher, _, port = entry.rpartition(":")
    numbers, _, protocol = port.partition("/")
    first, _, last = numbers.partition("-")
    ends = [int(number) for number in (first, last or first) if _NUMBER.fullmatch(number)]
    if len(ends) != 2 or not 0 < ends[0] <= ends[1] <= 65535 or protocol not in _PROTOCOLS:
        raise policy.unusable("published_ports must be entries like 443/tcp or web:8080/tcp", entry)
    return MeantPort(publisher or "*", ends[0], ends[1], protocol or "tcp")
