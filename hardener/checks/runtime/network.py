"""Check the ports that containers and services open on the host, their addresses, and their network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from hardener.checks import check
from hardener.checks.lib import fields
from hardener.checks.lib.containers import NO_CONTAINERS, SOURCE, Container, container_check, containers
from hardener.checks.lib.ports import MeantPort, meant_ports
from hardener.checks.lib.rule import Note, Question, judge_all
from hardener.checks.lib.swarmstate import SOURCE as SWARM
from hardener.checks.lib.swarmstate import Service, services
from hardener.checks.lib.verdicts import needs_engine, not_applicable
from hardener.model import Status, Verdict
from hardener.snapshot import FactUnavailable, JSONObject, Snapshot

Publisher = Container | Service

# The benchmark's number, even if the kernel lets all users bind lower ports: clients still trust them.
_PRIVILEGED_BELOW = 1024

# The option of a bridge network with the default address of published ports.
_DEFAULT_ADDRESS = "com.docker.network.bridge.host_binding_ipv4"

_HOST_PORTS = re.compile(r"(?:[0-9]{1,5}(?:-[0-9]{1,5})?)?")


@dataclass(frozen=True, slots=True)
class _Opening:
    """An open port of the host."""

    how: str  # "publishes" or "listens, through the host's network, on"
    address: str  # empty if it is not chosen yet
    first: int  # 0 if the engine will choose one
    last: int
    protocol: str

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address or "*"
        if not self.first:
            return f"{self.how} {address}, a port of the engine's choice ({self.protocol})"
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.how} {address}:{ports}/{self.protocol}"

    @property
    def everywhere(self) -> bool:
        """Return whether the port is open on every address of the host."""
        if not self.address:
            return True
        try:
            parsed = ip_address(self.address)
        except ValueError as error:
            raise FactUnavailable(SOURCE, f"{self.address!r} is not an address") from error
        mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
        return (mapped or parsed).is_unspecified


def _is_meant(publisher: Publisher, opening: _Opening, meant: Sequence[MeantPort]) -> bool:
    ports = (opening.protocol, opening.first, opening.last)
    return any(each.covers(publisher.name, *ports) for each in meant)


@check("container-no-privileged-ports")
@needs_engine
def privileged_ports(snapshot: Snapshot) -> Verdict:
    """Check that no container or service opens a host port below 1024, except those in the policy."""
    meant = meant_ports(snapshot) or ()

    def judge(publisher: Publisher) -> Iterator[str]:
        for opening in _openings(publisher):
            if not 0 < opening.first < _PRIVILEGED_BELOW:
                continue
            if _is_meant(publisher, opening, meant):
                yield Note(f"policy lets it open a privileged port: it {opening}")
            else:
                yield str(opening)

    return judge_all(
        _publishers(snapshot),
        judge,
        expected=f"no container opens a host port below {_PRIVILEGED_BELOW} that policy does not name",
        no_subjects=NO_CONTAINERS,
    )


@check("container-only-needed-ports")
@needs_engine
def needed_ports(snapshot: Snapshot) -> Verdict:
    """Check that every open port of a container or service is in the policy."""
    meant = meant_ports(snapshot)

    def judge(publisher: Publisher) -> Iterator[str]:
        for opening in _openings(publisher):
            if meant is None:
                yield Question(str(opening))
            elif not _is_meant(publisher, opening, meant):
                yield str(opening)
        if isinstance(publisher, Container) and not publisher.running and publisher.shares("net"):
            yield Question("is in the host's network: the ports that it opens are known only while it runs")

    return judge_all(
        _publishers(snapshot),
        judge,
        expected="every open port is named in hardener_policy.published_ports",
        no_subjects=NO_CONTAINERS,
        question="check whether each port is needed; list needed ports in hardener_policy.published_ports",
    )


@check("container-bind-specific-interface")
@needs_engine
def specific_interface(snapshot: Snapshot) -> Verdict:
    """Check that every open port is on a chosen address."""

    def judge(publisher: Publisher) -> Iterator[str]:
        for opening in _openings(publisher):
            if opening.everywhere:
                yield f"{opening}, on every address of the host"

    publishers = _publishers(snapshot)
    verdict = judge_all(
        publishers,
        judge,
        expected="every open port is bound to a chosen address of the host",
        no_subjects=NO_CONTAINERS,
    )
    if verdict.status is Status.PASS and not any(any(_openings(publisher)) for publisher in publishers):
        return not_applicable("no container opens a port of the host")
    return verdict


@container_check("container-not-default-bridge", expected="no container is in the default bridge network")
def _default_bridge(container: Container) -> Iterator[str]:
    """Judge whether a container is in the default bridge; no other network has the name ``bridge``."""
    owner = container.owner("net") or container
    networks = fields.table(fields.required(owner.inspect, "NetworkSettings", SOURCE), "Networks", SOURCE)
    through = "" if owner is container else f", through container {owner.name}"
    if "bridge" in networks:
        yield f"is in the default bridge network{through}"
    elif not networks and owner.host_config.get("NetworkMode") in {"", "bridge", "default"}:
        yield f"is set to join the default bridge network{through}"


def _publishers(snapshot: Snapshot) -> Sequence[Publisher]:
    return (*containers(snapshot), *services(snapshot))


def _openings(publisher: Publisher) -> Iterator[_Opening]:
    if isinstance(publisher, Service):
        yield from _service_openings(publisher)
    elif publisher.shares("net"):
        yield from _sockets(publisher)
    elif publisher.running:
        yield from _effective(publisher)
    else:
        yield from _declared(publisher)


def _sockets(container: Container) -> Iterator[_Opening]:
    """Return the open sockets of a container in the host's network, which publishes no ports."""
    if not container.running:
        return
    container.fact("listening")
    for socket in fields.rows(container.facts or {}, "listening", SOURCE):
        port = fields.number(socket, "port", SOURCE)
        yield _Opening(
            how="listens, through the host's network, on",
            address=fields.text(socket, "address", SOURCE),
            first=port,
            last=port,
            protocol=fields.text(socket, "proto", SOURCE).removesuffix("6"),
        )


def _effective(container: Container) -> Iterator[_Opening]:
    ports = fields.table(fields.required(container.inspect, "NetworkSettings", SOURCE), "Ports", SOURCE)
    for inner in ports:
        for binding in fields.rows(ports, inner, SOURCE):
            yield _published(inner, binding, default="")


def _declared(container: Container) -> Iterator[_Opening]:
    bindings = fields.table(container.host_config, "PortBindings", SOURCE)
    default = _default_address(container) if bindings else ""
    for inner in bindings:
        for binding in fields.rows(bindings, inner, SOURCE):
            yield _published(inner, binding, default=default)
    if container.host_config.get("PublishAllPorts"):
        for inner in fields.table(container.config, "ExposedPorts", SOURCE):
            yield _published(inner, {}, default="")


def _published(inner: str, binding: JSONObject, *, default: str) -> _Opening:
    """Return a binding of a container's port such as ``80/tcp``; its host port may be a range or unset."""
    ports = fields.text(binding, "HostPort", SOURCE)
    if not _HOST_PORTS.fullmatch(ports):
        raise FactUnavailable(SOURCE, f"{ports[:20]!r} is not a port")
    first, _, last = ports.partition("-")
    return _Opening(
        how="publishes",
        address=fields.text(binding, "HostIp", SOURCE) or default,
        first=int(first or 0),
        last=int(last or first or 0),
        protocol=inner.partition("/")[2] or "tcp",
    )


def _default_address(container: Container) -> str:
    mode = container.host_config.get("NetworkMode")
    name = "bridge" if mode in {"", "default"} else mode
    for network in container.snapshot.fact("docker.networks"):
        if name in {network.get("Name"), network.get("Id")}:
            options = fields.table(network, "Options", "docker.networks")
            return fields.text(options, _DEFAULT_ADDRESS, "docker.networks")
    return ""


def _service_openings(service: Service) -> Iterator[_Opening]:
    """Return the ports that the routing mesh opens for a service, on every address of every node."""
    endpoint = fields.table(service.facts, "Endpoint", SWARM)
    for port in fields.rows(endpoint, "Ports", SWARM):
        number = fields.number(port, "PublishedPort", SWARM)
        yield _Opening("publishes", "", number, number, fields.text(port, "Protocol", SWARM) or "tcp")
