"""From a snapshot and the role's variables to the packet filter's rules for this host, as documents.

Our chains only take away: what is allowed returns to the kernel's own chain, where the rules of others
(fail2ban) still see it, and the rest is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, NamedTuple

from .program import FILES

_FOLDER = "/etc/hardener/firewall"
_LOADER = "/usr/local/sbin/hardener-firewall"
_UNIT = "/etc/systemd/system/hardener-firewall.service"
_FAMILIES = {"ipv4": 4, "ipv6": 6}
_TOOLS = {"ipv4": "iptables", "ipv6": "ip6tables"}

_PORTED = ("tcp", "udp", "sctp")
# Numbers where iptables itself knows no name: a minimal host has no /etc/protocols.
_PORTLESS = {"ah": "ah", "esp": "esp", "gre": "47", "igmp": "2", "ospf": "89", "vrrp": "112"}
_COMMENT = re.compile(r"[A-Za-z0-9 ._:/()#,+=@-]{1,200}")  # nothing that quotes, escapes or ends a line
_INTERFACE = re.compile(r"[A-Za-z0-9._@-]{1,15}|[A-Za-z0-9._@-]{1,14}\+")
_REPLIES = "-m conntrack --ctstate RELATED,ESTABLISHED"
_TRANSLATED = "-m conntrack --ctstate DNAT"
_BRIDGES = ("docker+", "br-+")  # as Docker names them
_EPHEMERAL = 32768
_SSH_SERVERS = ("systemd", "dropbear", "tinysshd", "lsh")
_NAMED = 12
# What a host must be told to work at all: errors, the size of packets, neighbours (RFC 4890), its address.
_CONTROL = {
    "ipv4": [
        *(f"-p icmp -m icmp --icmp-type {kind}" for kind in (3, 8, 11, 12)),
        "-p udp -m udp --sport 67 --dport 68",
    ],
    "ipv6": [
        *(f"-p ipv6-icmp -m icmp6 --icmpv6-type {kind}" for kind in (1, 2, 3, 4, 128, 134, 135, 136)),
        *(f"-s fe80::/10 -p ipv6-icmp -m icmp6 --icmpv6-type {kind}" for kind in (130, 131, 132, 143)),
        "-d fe80::/10 -p udp -m udp --sport 547 --dport 546",
    ],
}

Network = IPv4Network | IPv6Network


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the documents by the role's variables, and the port in the inventory (``connection_port``).

    Raises:
        ValueError: a variable is not what it has to be; the message names it.
    """
    host = _Host(snapshot)
    wanted = _Site(
        allow=_services("firewall_allow", variables["allow"], (*_PORTED, *_PORTLESS)),
        ssh_ports=_ssh_ports(host, variables["ssh_ports"], variables["connection_port"]),
        ssh_named=bool(variables["ssh_ports"]),
        ssh_sources=_networks("firewall_ssh_sources", variables["ssh_sources"]),
        published=_services("firewall_published", variables["published"], _PORTED),
        published_others=variables["published_others"] == "accept",
        forward=_paths("firewall_forward", variables["forward"]),
    )
    inbound, docker_user = variables["inbound"], variables["docker_user"]
    remove = not (inbound or docker_user)
    return [
        _inbound(host, wanted, on=inbound, remove=remove),
        _docker_user(host, wanted, on=docker_user, remove=remove),
    ]


def _inbound(host: _Host, wanted: _Site, *, on: bool, remove: bool) -> dict[str, Any]:
    name = "firewall_inbound"
    if not on:
        return _document(name, {f"inbound.{family}": None for family in _FAMILIES}, remove=remove)
    refused = host.unfit(name) or host.cuts_ssh_off(wanted)
    if refused:
        return {"name": name, "refused": refused}
    families = host.families()
    files = {
        f"inbound.{family}": _text(family, {"HARDENER-INPUT": _input_rules(host, wanted, family)})
        if family in families
        else None
        for family in _FAMILIES
    }
    notes = [*host.lacking(), *host.fragile()]
    cut = list(dict.fromkeys(host.cut_off(wanted)))
    if cut:
        shown = ", ".join(cut[:_NAMED]) + (", …" if len(cut) > _NAMED else "")
        notes.append(
            f"not reachable from other hosts and from containers, unless firewall_allow names them: {shown}"
        )
    settings = {"ssh_ports": wanted.ssh_ports, "ssh_sources": [str(source) for source in wanted.ssh_sources]}
    return _document(name, files, notes=notes, settings=settings)


def _input_rules(host: _Host, wanted: _Site, family: str) -> Iterator[str]:
    """What may come in."""
    yield "-i lo -j ACCEPT"
    yield f"{_REPLIES} -j RETURN"
    yield from (f"{match} -j RETURN" for match in _CONTROL[family])
    yield "-m conntrack --ctstate INVALID -j DROP"
    ssh = [_Service("tcp", str(port), wanted.ssh_sources, "ssh") for port in wanted.ssh_ports]
    for service in (*ssh, *wanted.allow):
        yield from service.rules(family, "--dport")
    # Docker's rules take published ports elsewhere: then only containers that call their own host come here,
    # to the userland proxy. Where it has no rules (IPv6 before 27), all do.
    places = [f"-i {bridge} " for bridge in host.bridges()] if host.translates(family) else [""]
    for protocol, port in host.published(family):
        rules = list(wanted.published_rules(protocol, port, family))
        yield from (place + rule for place in places for rule in rules)
    yield "-j DROP"


def _docker_user(host: _Host, wanted: _Site, *, on: bool, remove: bool) -> dict[str, Any]:
    name = "firewall_docker_user"
    files: dict[str, str | None] = {
        **{f"forwarded.{family}": None for family in _FAMILIES},
        "neighbours.ipv4": None,
    }
    if not on:
        return _document(name, files, remove=remove)
    refused = host.unfit(name) or host.unfit_engine()
    if refused:
        return {"name": name, "refused": refused}
    notes = [*host.lacking(), *host.fragile()]
    for family in host.families():
        if family == "ipv6" and host.unfiltered_ipv6():
            notes.append(
                "forwarded IPv6 is left alone: the engine does not filter it (ip6tables is off), and it is in"
                f" use by {', '.join(host.unfiltered_ipv6())}"
            )
            continue
        chains = {
            "HARDENER-DOCKER": _docker_rules(host, wanted, family),
            "HARDENER-FORWARD": _forward_rules(wanted, family),
        }
        files[f"forwarded.{family}"] = _text(family, chains)
        if host.forwards(family) and "HARDENER-FORWARD" not in host.saved(family):
            notes.append(
                f"{family}: what is forwarded between other interfaces has to be named in firewall_forward"
            )
    if host.version < 28:
        # Newer engines do it themselves, a rule for each port.
        rules = {"HARDENER-PREROUTING": ["-d 127.0.0.0/8 ! -i lo -j DROP"]}
        files["neighbours.ipv4"] = _text("ipv4", rules, table="raw")
    return _document(name, files, notes=notes)


def _docker_rules(host: _Host, wanted: _Site, family: str) -> Iterator[str]:
    """What may be forwarded to containers; Docker decides on the rest of what returns."""
    yield f"{_REPLIES} -j RETURN"
    for path in wanted.forward:
        yield from path.rules(family, "RETURN")
    for service in wanted.published:
        yield from service.rules(family, f"{_TRANSLATED} --ctorigdstport")
        if service.sources:
            yield f"-p {service.protocol} {_TRANSLATED} --ctorigdstport {service.port} -j DROP"
    yield f"{_TRANSLATED} -j {'RETURN' if wanted.published_others else 'DROP'}"
    yield from (f"! -i {bridge} -o {bridge} -j DROP" for bridge in host.bridges())


def _forward_rules(wanted: _Site, family: str) -> Iterator[str]:
    """What is forwarded of that which nobody has accepted before."""
    yield f"{_REPLIES} -j ACCEPT"
    for path in wanted.forward:
        yield from path.rules(family, "ACCEPT")
    yield "-j DROP"


def _text(family: str, chains: Mapping[str, Iterable[str]], *, table: str = "filter") -> str:
    """A file that iptables-restore reads."""
    lines = [f"# Written by hardener, for {_TOOLS[family]}-restore --noflush.", f"*{table}"]
    lines += [f":{chain} - [0:0]" for chain in chains]
    lines += [f"-A {chain} {rule}" for chain, rules in chains.items() for rule in rules]
    return "\n".join([*lines, "COMMIT", ""])


def _document(
    name: str,
    files: Mapping[str, str | None],
    *,
    notes: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    remove: bool = False,
) -> dict[str, Any]:
    """A document of rules files; what loads them at boot comes with the first and goes with the last."""
    resources: list[dict[str, Any]] = [
        {"kind": "absent", "path": f"{_FOLDER}/{file}"}
        if content is None
        else {"kind": "file", "path": f"{_FOLDER}/{file}", "content": content}
        for file, content in files.items()
    ]
    if remove:
        resources += [{"kind": "absent", "path": path} for path in (_LOADER, _UNIT)]
    elif any(files.values()):
        loader, unit = (FILES / Path(path).name for path in (_LOADER, _UNIT))
        resources += [
            {"kind": "file", "path": _LOADER, "content": loader.read_text(), "mode": "0755"},
            {"kind": "file", "path": _UNIT, "content": unit.read_text()},
        ]
    when = [*(f"{_FOLDER}/{file}" for file in files), _LOADER, _UNIT]
    return {
        "name": name,
        "impact": "connectivity",
        "resources": resources,
        "activations": [
            {"name": "systemd-reload", "when": [_UNIT]},
            {"name": "firewall", "when": when, **(settings or {})},
        ],
        "notes": list(notes),
    }


# --- what the site wants ------------------------------------------------------------------------------------


class _Service(NamedTuple):
    """A port, or a protocol without ports, and who may reach it; nobody named is everybody."""

    protocol: str
    port: str
    sources: tuple[Network, ...]
    comment: str = ""

    def rules(self, family: str, match: str, verdict: str = "RETURN") -> Iterator[str]:
        """A rule a source; ``match`` is the option that names the port."""
        words = ["-p", _PORTLESS.get(self.protocol, self.protocol)]
        if self.port:
            words += [match, self.port] if match.startswith("-m") else ["-m", self.protocol, match, self.port]
        if self.comment:
            words += ["-m comment --comment", f'"{self.comment}"']
        for source in _of_family(self.sources, family):
            yield " ".join([*source, *words, "-j", verdict])

    def covers(self, protocol: str, port: int) -> bool:
        """Whether it is about this port."""
        first, _, last = self.port.partition(":")
        return self.protocol == protocol and bool(first) and int(first) <= port <= int(last or first)


class _Path(NamedTuple):
    """A way that packets may take through this host."""

    incoming: str
    outgoing: str
    sources: tuple[Network, ...]
    comment: str

    def rules(self, family: str, verdict: str) -> Iterator[str]:
        """A rule a source."""
        words = [f"-i {self.incoming}"] if self.incoming else []
        words += [f"-o {self.outgoing}"] if self.outgoing else []
        words += [f'-m comment --comment "{self.comment}"'] if self.comment else []
        for source in _of_family(self.sources, family):
            yield " ".join([*source, *words, "-j", verdict])


class _Site(NamedTuple):
    """The role's variables, checked."""

    allow: list[_Service]
    ssh_ports: list[int]
    ssh_named: bool  # the site has said where it is
    ssh_sources: tuple[Network, ...]
    published: list[_Service]
    published_others: bool
    forward: list[_Path]

    def published_rules(self, protocol: str, port: str, family: str) -> Iterator[str]:
        """Who may reach a published port that no rule of Docker's translates."""
        first = int(port.partition(":")[0])
        found = [service for service in self.published if service.covers(protocol, first)]
        if not found and self.published_others:
            found = [_Service(protocol, port, ())]
        for service in found:
            yield from service._replace(port=port).rules(family, "--dport")


def _of_family(sources: Sequence[Network], family: str) -> Iterator[list[str]]:
    """Conditions on the source; one that is none where nobody is named."""
    if not sources:
        yield []
    for source in sources:
        if source.version == _FAMILIES[family]:
            yield ["-s", str(source)]


def _services(name: str, raw: Sequence[Mapping[str, Any]], protocols: Sequence[str]) -> list[_Service]:
    found = []
    for number, entry in enumerate(raw):
        where = f"{name}[{number}]"
        _only(where, entry, ("port", "protocol", "sources", "comment"))
        protocol = str(entry.get("protocol") or "tcp")
        if protocol not in protocols:
            raise ValueError(f"{where}: protocol is {protocol!r}; known: {', '.join(protocols)}")
        port = ""
        if protocol in _PORTED:
            port = _port(where, entry.get("port"))
        elif entry.get("port") is not None:
            raise ValueError(f"{where}: {protocol} has no ports")
        sources = _sources(where, entry)
        found.append(_Service(protocol, port, sources, _comment(where, entry)))
    return found


def _paths(name: str, raw: Sequence[Mapping[str, Any]]) -> list[_Path]:
    found = []
    for number, entry in enumerate(raw):
        where = f"{name}[{number}]"
        _only(where, entry, ("from", "to", "sources", "comment"))
        ends = [str(entry.get(end) or "") for end in ("from", "to")]
        for end in ends:
            if end and not _INTERFACE.fullmatch(end):
                raise ValueError(f"{where}: {end!r} is no name of an interface")
        sources = _sources(where, entry)
        if not any(ends):
            raise ValueError(f"{where}: neither from nor to names an interface")
        found.append(_Path(ends[0], ends[1], sources, _comment(where, entry)))
    return found


def _only(where: str, entry: Any, known: Sequence[str]) -> None:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where}: {entry!r} is no object with {', '.join(known)}")
    unknown = sorted(str(key) for key in entry if key not in known)
    if unknown:
        raise ValueError(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(known)}")


def _port(where: str, raw: Any) -> str:
    """A port, or a range of them as iptables writes it."""
    found = re.fullmatch(r"(\d{1,5})(?:[-:](\d{1,5}))?", str(raw)) if isinstance(raw, str | int) else None
    if not found or isinstance(raw, bool):
        raise ValueError(f"{where}: port is {raw!r}; a number or a range such as 8000-8010 is needed")
    first, last = int(found[1]), int(found[2] or found[1])
    if not 1 <= first <= last <= 65535:
        raise ValueError(f"{where}: port {raw} is not within 1-65535")
    return f"{first}:{last}" if last > first else str(first)


def _sources(where: str, entry: Mapping[str, Any]) -> tuple[Network, ...]:
    """Who may; a list that turned out empty must not open to everybody what was to be narrowed."""
    if "sources" in entry and not entry["sources"]:
        raise ValueError(f"{where}: sources is empty; leave it out where everybody is meant")
    return _networks(f"{where}: sources", entry.get("sources", ()))


def _networks(where: str, raw: Any) -> tuple[Network, ...]:
    if isinstance(raw, str):
        raise ValueError(f"{where} is a text; a list of addresses or networks is needed")
    for network in raw:
        if "%" in str(network):  # the zone of an IPv6 address, which may be any text at all
            raise ValueError(f"{where}: {str(network)!r} names a zone, and packets come from none")
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


def _ssh_ports(host: _Host, more: Sequence[int], connection_port: int) -> list[int]:
    """Ports of ssh: where the connection came to, where sshd listens, and what the site adds.

    Where the inventory's port is translated on the way, nobody listens to it here, and it does not count.
    """
    named = []
    for port in more:
        one = _port("firewall_ssh_ports", port)
        if not one.isdecimal():
            raise ValueError(f"firewall_ssh_ports: {port!r} is a range; name its ports one by one")
        named.append(int(one))
    known = host.ssh_ports()
    if connection_port in {port for protocol, port, _, _ in host.listening() if protocol == "tcp"}:
        known.add(connection_port)
    return sorted({*named, *(known or {connection_port or 22})})


# --- what the host is ---------------------------------------------------------------------------------------


class _Host:
    """What the rules depend on."""

    def __init__(self, snapshot: Mapping[str, Any]) -> None:
        self._sources: Mapping[str, Any] = snapshot["sources"]
        self._engine = self._data("engine") or {}
        self._info = self._data("docker.info") or {}
        config = self._data("daemon.config") or {}
        self._flags: Mapping[str, Sequence[str]] = config.get("flags") or {}
        self._declared: Mapping[str, Any] = config.get("parsed") or {}
        self._units: Mapping[str, Any] = self._data("units") or {}
        self._firewall = self._data("firewall") or {}
        version = str((self._data("docker.version") or {}).get("Version") or "")
        found = re.match(r"\d+", version)
        self.version = int(found[0]) if found else 0

    def _data(self, source: str) -> Any:
        return self._sources.get(source, {}).get("data")

    # --- whether there can be rules

    def unfit(self, variable: str) -> str:
        """Why the role can do nothing here, and the way out; empty where it can."""
        for source in ("firewall", "units", "listening"):
            entry = self._sources.get(source, {})
            if entry.get("state") != "ok":
                why = entry.get("error") or "not collected"
                if entry.get("state") == "absent" and source == "firewall":
                    why = "install iptables"
                return f"{source} could not be read: {why}"
        for source in ("engine", "docker.containers", "docker.networks", "docker.swarm"):
            entry = self._sources.get(source, {})
            if (source == "engine" or self._engine.get("reachable")) and entry.get("state") == "failed":
                return f"{source} could not be read, and with it what is published: {entry.get('error')}"
        leave = f", or leave it the packet filter: {variable}: false"
        if re.search(r"^-A INPUT (.* )?-j ufw-", self.saved("ipv4"), re.MULTILINE):
            return f"ufw is active on this host: `ufw disable` first{leave}"
        firewalld = self._units.get("firewalld.service") or {}
        if firewalld.get("ActiveState") == "active" or firewalld.get("UnitFileState") == "enabled":
            return f"firewalld is active on this host: `systemctl disable --now firewalld` first{leave}"
        nftables = self._units.get("nftables.service") or {}
        flushing = self._firewall.get("flushing") or ()
        if flushing and (
            nftables.get("ActiveState") == "active" or nftables.get("UnitFileState") == "enabled"
        ):
            return (
                f"nftables.service is enabled and {flushing[0]} flushes everybody's rules, Docker's too: take"
                f" `flush ruleset` out of it, or `systemctl disable nftables` without stopping it{leave}"
            )
        if "ipv4" not in self.families():
            errors = "; ".join(map(str, (self._firewall.get("errors") or {}).values()))
            return f"there is no usable iptables: {errors or 'install it (package iptables)'}"
        return ""

    def unfit_engine(self) -> str:
        """Why forwarding to containers cannot be decided here."""
        if self._sources.get("engine", {}).get("state") != "ok" or not self._engine.get("installed"):
            return "there is no Docker engine on this host"
        if self._engine.get("rootless"):
            return "the engine is rootless: its ports are served on the host, where firewall_inbound decides"
        backend = str(
            (self._info.get("FirewallBackend") or {}).get("Driver") or self._set("firewall-backend")
        )
        if backend.startswith("nftables"):
            return (
                "the engine filters with nftables and has no DOCKER-USER: take firewall-backend out of its"
                " configuration, or decide in a table of your own"
            )
        if self._set("iptables").lower() in ("0", "f", "false"):
            return (
                "the engine may not manage the packet filter: take iptables: false out of its configuration"
            )
        if self._engine.get("reachable") and not self._has("ipv4", "DOCKER"):
            return "Docker's own rules are not loaded, somebody flushed them: restart the engine first"
        return ""

    def _set(self, key: str) -> str:
        """A setting of the daemon as it was given."""
        values: list[Any] = list(self._flags.get(key) or ()) or [self._declared.get(key)]
        return "" if values[-1] is None else str(values[-1])

    # --- the packet filter

    def families(self) -> list[str]:
        """The families that this host has rules for."""
        tables = self._firewall.get("iptables") or {}
        found = [family for family in _FAMILIES if isinstance(tables.get(family), str)]
        return found if self._has_ipv6() else [family for family in found if family != "ipv6"]

    def _has_ipv6(self) -> bool:
        settings = self._data("sysctl") or {}
        key = "net.ipv6.conf.all.disable_ipv6"
        return not (key in settings and settings[key] is None)

    def lacking(self) -> list[str]:
        """A family without rules, in words."""
        if not self._has_ipv6():
            return ["this kernel has no IPv6: no rules for it"]
        if "ipv6" not in self.families():
            error = (self._firewall.get("errors") or {}).get("ip6tables-save") or "there is no ip6tables"
            return [f"IPv6 stays as it is: {error}"]
        return []

    def fragile(self) -> list[str]:
        """What may take our rules away later."""
        unit = self._units.get("netfilter-persistent.service") or {}
        if unit.get("UnitFileState") != "enabled":
            return []
        return ["netfilter-persistent replaces all rules when it is reloaded, Docker's too: do not reload it"]

    def saved(self, family: str) -> str:
        """What iptables-save printed."""
        text = (self._firewall.get("iptables") or {}).get(family)
        return text if isinstance(text, str) else ""

    def _has(self, family: str, chain: str, table: str = "filter") -> bool:
        part = self.saved(family).partition(f"*{table}\n")[2].partition("COMMIT\n")[0]
        return f"\n:{chain} " in f"\n{part}"

    def forwards(self, family: str) -> bool:
        """Whether the host forwards what no rule decides on."""
        key = "net.ipv4.ip_forward" if family == "ipv4" else "net.ipv6.conf.all.forwarding"
        return (self._data("sysctl") or {}).get(key) == "1" and ":FORWARD ACCEPT" in self.saved(family)

    def translates(self, family: str) -> bool:
        """Whether Docker's rules take published ports past the input chain."""
        return not self._engine.get("rootless") and self._has(family, "DOCKER", "nat")

    # --- containers

    def bridges(self) -> list[str]:
        """The interfaces that containers are behind, by pattern and by name."""
        names = [
            str((network.get("Options") or {}).get("com.docker.network.bridge.name") or "")
            for network in self._data("docker.networks") or ()
            if network.get("Driver") == "bridge"
        ]
        named = {name for name in names if _INTERFACE.fullmatch(name)}
        return [*_BRIDGES, *sorted(name for name in named if not name.startswith(("docker", "br-")))]

    def unfiltered_ipv6(self) -> list[str]:
        """Networks with IPv6 that the engine does not filter."""
        if self._has("ipv6", "DOCKER"):
            return []
        networks = self._data("docker.networks") or ()
        return [str(network.get("Name")) for network in networks if network.get("EnableIPv6")]

    def published(self, family: str) -> list[tuple[str, str]]:
        """Protocol and port that containers and services publish beyond the host, whether they run or not.

        Those whose number the engine draws at every start are left out: the rules would never stay the same.
        """
        found = set()
        for container in self._data("docker.containers") or ():
            bindings = (container["inspect"].get("HostConfig") or {}).get("PortBindings") or {}
            for inside, places in bindings.items():
                protocol = str(inside).partition("/")[2] or "tcp"
                for place in places or ():
                    if protocol in _PORTED and _binds(str(place.get("HostIp") or ""), _FAMILIES[family]):
                        found.add((protocol, str(place.get("HostPort") or "")))
        for service in (self._data("docker.swarm") or {}).get("services") or ():
            for port in (service.get("Endpoint") or {}).get("Ports") or ():
                found.add((str(port.get("Protocol") or "tcp"), str(port.get("PublishedPort") or "")))
        return sorted(
            (protocol, port.replace("-", ":"))
            for protocol, port in found
            if protocol in _PORTED and re.fullmatch(r"[1-9]\d{0,4}(-[1-9]\d{0,4})?", port)
        )

    # --- who listens

    def ssh_ports(self) -> set[int]:
        """Ports where ssh is served, as far as can be told."""
        found = {
            port for protocol, port, _, process in self.listening() if (protocol, process) == ("tcp", "sshd")
        }
        connection = (self._data("system") or {}).get("ssh_port")
        return {*found, *([int(connection)] if connection else ())}

    def cuts_ssh_off(self, wanted: _Site) -> str:
        """Why ssh may be behind a port that nobody has named; empty where it is known.

        With ssh.socket it is systemd that listens, and other servers have other names.
        """
        open_ports = {port: process for protocol, port, _, process in self.listening() if protocol == "tcp"}
        if wanted.ssh_named or open_ports.keys() & set(wanted.ssh_ports):
            return ""
        servers = sorted(port for port, process in open_ports.items() if process in _SSH_SERVERS)
        unnamed = [port for port in servers if not any(each.covers("tcp", port) for each in wanted.allow)]
        if not unnamed:
            return ""
        ports = ", ".join(map(str, unnamed))
        return f"nobody knows where ssh is served, and {ports} may be it: name its port in firewall_ssh_ports"

    def listening(self) -> list[tuple[str, int, int, str]]:
        """Protocol, port, IP version and process of what listens to other hosts."""
        found: list[tuple[str, int, int, str]] = []
        for entry in self._data("listening") or ():
            address = ip_address(str(entry["address"]).partition("%")[0])
            if entry.get("netns", "host") == "host" and not address.is_loopback:
                protocol = str(entry["proto"])
                process = str(entry.get("process") or "")
                found.append((protocol.removesuffix("6"), int(entry["port"]), address.version, process))
        return found

    def cut_off(self, wanted: _Site) -> Iterator[str]:
        """Services that no rule lets in."""
        for protocol, port, version, process in sorted(set(self.listening())):
            family = "ipv4" if version == 4 else "ipv6"
            if protocol == "udp" and (port >= _EPHEMERAL or port in (68, 546)):
                continue  # who asks gets its answer; so does the DHCP client
            if protocol == "tcp" and port in wanted.ssh_ports:
                continue
            if any(service.covers(protocol, port) for service in wanted.allow):
                continue
            ports = [_Service(kind, number, ()) for kind, number in self.published(family)]
            if process == "docker-proxy" and self.translates(family):
                continue
            if any(service.covers(protocol, port) for service in ports):
                continue
            yield f"{protocol} {port}" + (f" ({_word(process)})" if process else "")


def _binds(address: str, version: int) -> bool:
    """Whether a published port is served in this IP version, beyond the host itself."""
    if not address:
        return True
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return found.version == version and not found.is_loopback


def _word(process: str) -> str:
    """A process's name, which is its own choice, fit for a line."""
    return re.sub(r"[^A-Za-z0-9._:/@+-]", "?", process)[:32]
