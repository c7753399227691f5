"""Parse the variables of the role firewall into services and paths, each with its rules.

Every value is checked by its form, so that none can add an option or a rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, NamedTuple, Union

from .firewall_host import FAMILIES, INTERFACE, PORTED

# Numbers of protocols, because a minimal host has no /etc/protocols.
_PORTLESS = {"ah": "ah", "esp": "esp", "gre": "47", "igmp": "2", "ospf": "89", "vrrp": "112"}
_COMMENT = re.compile(r"[A-Za-z0-9 ._:/()#,+=@-]{1,200}")  # nothing that quotes, escapes or ends a line

Network = Union[IPv4Network, IPv6Network]


class Service(NamedTuple):
    """A port, or a protocol without ports, and its allowed sources; an empty list means any source."""

    protocol: str
    port: str
    sources: tuple[Network, ...]
    comment: str = ""

    def rules(self, family: str, match: str, verdict: str = "RETURN") -> Iterator[str]:
        """Yield a rule per source; ``match`` is the option that names the port."""
        words = ["-p", _PORTLESS.get(self.protocol, self.protocol)]
        if self.port:
            words += [match, self.port] if match.startswith("-m") else ["-m", self.protocol, match, self.port]
        if self.comment:
            words += ["-m comment --comment", f'"{self.comment}"']
        for source in _of_family(self.sources, family):
            yield " ".join([*source, *words, "-j", verdict])

    def for_all(self) -> Service:
        """Return the same port for any source."""
        return Service(self.protocol, self.port, ())

    def covers(self, protocol: str, port: int) -> bool:
        """Return whether the service includes this port."""
        first, _separator, last = self.port.partition(":")
        return self.protocol == protocol and bool(first) and int(first) <= port <= int(last or first)


class Path(NamedTuple):
    """A route of forwarded packets."""

    incoming: str
    outgoing: str
    sources: tuple[Network, ...]
    comment: str

    def rules(self, family: str, verdict: str) -> Iterator[str]:
        """Yield a rule per source."""
        words = [f"-i {self.incoming}"] if self.incoming else []
        words += [f"-o {self.outgoing}"] if self.outgoing else []
        words += [f'-m comment --comment "{self.comment}"'] if self.comment else []
        for source in _of_family(self.sources, family):
            yield " ".join([*source, *words, "-j", verdict])


class Site(NamedTuple):
    """The role's variables, validated."""

    allow: list[Service]
    ssh_ports: list[int]
    ssh_named: bool  # the site has set the port
    ssh_sources: tuple[Network, ...]
    published: list[Service]
    published_others: str  # accept, drop or present
    forward: list[Path]

    @property
    def names_inbound(self) -> bool:
        """Return whether the site sets a variable about inbound packets."""
        return bool(self.allow or self.ssh_named or self.ssh_sources)

    def names(self, protocol: str, port: str) -> bool:
        """Return whether ``firewall_published`` names a published port; not of a range."""
        return port.isdecimal() and any(each.covers(protocol, int(port)) for each in self.published)


def parse_site(variables: Mapping[str, Any], ssh_ports: Sequence[int]) -> Site:
    """Parse the role's variables.

    Args:
        variables: as the role's argument specification has them.
        ssh_ports: the ports of ssh on this host.

    Raises:
        ValueError: a variable is not what it has to be; the message names it.
    """
    return Site(
        allow=_services("firewall_allow", variables["allow"], (*PORTED, *_PORTLESS)),
        ssh_ports=list(ssh_ports),
        ssh_named=bool(variables["ssh_ports"]),
        ssh_sources=_networks("firewall_ssh_sources", variables["ssh_sources"]),
        published=_services("firewall_published", variables["published"], PORTED),
        published_others=str(variables["published_others"]),
        forward=_paths("firewall_forward", variables["forward"]),
    )


def _of_family(sources: Sequence[Network], family: str) -> Iterator[list[str]]:
    """Yield a condition for each source; if no source is named, yield one empty condition."""
    if not sources:
        yield []
    for source in sources:
        if source.version == FAMILIES[family]:
            yield ["-s", str(source)]


def _services(name: str, raw: Sequence[Mapping[str, Any]], protocols: Sequence[str]) -> list[Service]:
    found = []
    for number, entry in enumerate(raw):
        where = f"{name}[{number}]"
        _refuse_unknown(where, entry, ("port", "protocol", "sources", "comment"))
        protocol = str(entry.get("protocol") or "tcp")
        if protocol not in protocols:
            raise ValueError(f"{where}: protocol is {protocol!r}; known: {', '.join(protocols)}")
        port = ""
        if protocol in PORTED:
            port = parse_port(where, entry.get("port"))
        elif entry.get("port") is not None:
            raise ValueError(f"{where}: {protocol} has no ports")
        sources = _sources(where, entry)
        found.append(Service(protocol, port, sources, _comment(where, entry)))
    return found


def _paths(name: str, raw: Sequence[Mapping[str, Any]]) -> list[Path]:
    found = []
    for number, entry in enumerate(raw):
        where = f"{name}[{number}]"
        _refuse_unknown(where, entry, ("from", "to", "sources", "comment"))
        ends = [str(entry.get(end) or "") for end in ("from", "to")]
        for end in ends:
            if end and not INTERFACE.fullmatch(end):
                raise ValueError(f"{where}: {end!r} is not the name of an interface")
        sources = _sources(where, entry)
        if not any(ends):
            raise ValueError(f"{where}: neither from nor to names an interface")
        found.append(Path(ends[0], ends[1], sources, _comment(where, entry)))
    return found


def _refuse_unknown(where: str, entry: Any, known: Sequence[str]) -> None:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where}: {entry!r} is not an object with {', '.join(known)}")
    unknown = sorted(str(key) for key in entry if key not in known)
    if unknown:
        raise ValueError(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(known)}")


def parse_port(where: str, raw: Any) -> str:
    """Return a port, or a range, in iptables' notation."""
    found = re.fullmatch(r"(\d{1,5})(?:[-:](\d{1,5}))?", str(raw)) if isinstance(raw, str | int) else None
    if not found or isinstance(raw, bool):
        raise ValueError(f"{where}: port is {raw!r}; a number or a range such as 8000-8010 is needed")
    first, last = int(found[1]), int(found[2] or found[1])
    if not 1 <= first <= last <= 65535:
        raise ValueError(f"{where}: port {raw} is not within 1-65535")
    return f"{first}:{last}" if last > first else str(first)


def _sources(where: str, entry: Mapping[str, Any]) -> tuple[Network, ...]:
    """Parse the allowed sources. An empty list is an error, because it would allow any source."""
    if "sources" in entry and not entry["sources"]:
        raise ValueError(f"{where}: sources is empty; leave it out to allow every source")
    return _networks(f"{where}: sources", entry.get("sources", ()))


def _networks(where: str, raw: Any) -> tuple[Network, ...]:
    if isinstance(raw, str):
        raise ValueError(f"{where} is a string; a list of addresses or networks is needed")
    for network in raw:
        if "%" in str(network):  # the zone of an IPv6 address, which may be any text
            raise ValueError(f"{where}: {str(network)!r} has a zone (after %), which rules cannot match")
    try:
        return tuple(ip_network(str(network)) for network in raw)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _comment(where: str, entry: Mapping[str, Any]) -> str:
    comment = str(entry.get("comment") or "")
    if comment and not _COMMENT.fullmatch(comment):
        raise ValueError(
            f"{where}: comment {comment!r} is refused: at most 200 letters, digits, spaces, and"
            " . _ : / ( ) # , + = @ -"
        )
    return comment
