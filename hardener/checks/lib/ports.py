"""The ports that running containers and swarm services publish on the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from hardener.checks.lib import fields
from hardener.checks.lib.containers import SOURCE, containers
from hardener.checks.lib.swarmstate import services
from hardener.snapshot import FactUnavailable, Snapshot


@dataclass(frozen=True, slots=True)
class Published:
    """An open port of the host that leads to a container."""

    owner: str
    address: str  # "0.0.0.0", "::", "127.0.0.1" …
    port: str
    protocol: str

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
        for inside, bindings in fields.table(settings, "Ports", SOURCE).items():
            for binding in fields.rows({"bindings": bindings}, "bindings", SOURCE):
                address = fields.text(binding, "HostIp", SOURCE) or "0.0.0.0"  # noqa: S104 - its meaning
                port = fields.text(binding, "HostPort", SOURCE)
                yield Published(container.name, address, port, str(inside).partition("/")[2] or "tcp")


def _of_services(snapshot: Snapshot) -> Iterator[Published]:
    """Return the ports of services, which are open on every node and address."""
    for service in services(snapshot):
        endpoint = fields.table(service.facts, "Endpoint", "docker.swarm")
        for port in fields.rows(endpoint, "Ports", "docker.swarm"):
            number = fields.number(port, "PublishedPort", "docker.swarm")
            if number:
                protocol = fields.text(port, "Protocol", "docker.swarm") or "tcp"
                yield Published(service.name, "0.0.0.0", str(number), protocol)  # noqa: S104 - what it means
