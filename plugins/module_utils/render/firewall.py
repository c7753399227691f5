"""Render the documents of the role firewall: packet filter rules for this host.

These chains only drop: allowed packets return to the kernel's chain, where other rules (fail2ban) still
apply, and the rest is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..contract import CONNECTIVITY
from ..host.layout import FIREWALL
from . import firewall_host as facts
from .firewall_site import Service, Site, parse_port, parse_site
from .hostview import HostView
from .program import FILES

_LOADER = "/usr/local/sbin/hardener-firewall"
_UNIT = "/etc/systemd/system/hardener-firewall.service"
_DROP_IN = "/etc/systemd/system/{}.d/hardener-firewall.conf"
_LOAD_AGAIN = f"""\
# Written by hardener: this unit removes the rules of all programs.
[Service]
ExecStartPost=-{_LOADER} load
"""
_TOOLS = {"ipv4": "iptables", "ipv6": "ip6tables"}

_REPLIES = "-m conntrack --ctstate RELATED,ESTABLISHED"
_TRANSLATED = "-m conntrack --ctstate DNAT"
_ORIGINAL = f"{_TRANSLATED} --ctorigdstport"  # the port before its translation follows
_EPHEMERAL = 32768
_SSH_SERVERS = ("systemd", "dropbear", "tinysshd", "lsh")
_NAMED = 12
# Messages that a host needs: errors, packet sizes, neighbours (RFC 4890), its address.
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

# Variables that a document depends on, beside the one that it is named after.
DECIDED_BY = {
    "inbound": ("allow", "published", "published_others", "ssh_ports", "ssh_sources"),
    "docker_user": ("forward", "published", "published_others"),
}


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the documents from the role's variables and the inventory's port (``connection_port``).

    Raises:
        ValueError: a variable is not what it has to be; the message names it.
    """
    host = HostView(snapshot)
    ssh_ports = _ssh_ports(host, variables["ssh_ports"], variables["connection_port"])
    wanted = parse_site(variables, ssh_ports)
    inbound, docker_user = variables["inbound"], variables["docker_user"]
    remove = not (inbound or docker_user)
    return [
        _inbound(host, wanted, on=inbound, remove=remove),
        _docker_user(host, wanted, on=docker_user, remove=remove),
    ]


def _inbound(host: HostView, wanted: Site, *, on: bool, remove: bool) -> dict[str, Any]:
    name = "firewall_inbound"
    files: dict[str, str | None] = {f"inbound.{family}": None for family in facts.FAMILIES}
    if not on:
        return _document(host, name, files, remove=remove)
    other = facts.other_firewall(host)
    refused = facts.unfit(host)
    if not refused and other and wanted.names_inbound:
        refused = (
            f"{other} filters inbound packets on this host: allow them there, and leave firewall_allow,"
            " firewall_ssh_ports and firewall_ssh_sources empty"
        )
    if not refused and not other:
        refused = _cuts_ssh_off(host, wanted)
    if refused:
        return {"name": name, "refused": refused}
    if other:
        note = f"inbound packets are filtered by {other}: no rules beside it"
        return _document(host, name, files, notes=[note])
    for family in facts.families(host):
        files[f"inbound.{family}"] = _text(family, {"HARDENER-INPUT": _input_rules(host, wanted, family)})
    notes = [*facts.lacking(host), *facts.fragile(host)]
    cut = list(dict.fromkeys(_cut_off(host, wanted)))
    if cut:
        shown = ", ".join(cut[:_NAMED]) + (", …" if len(cut) > _NAMED else "")
        notes.append(
            f"not reachable from other hosts and from containers, unless firewall_allow names them: {shown}"
        )
    settings = {"ssh_ports": wanted.ssh_ports, "ssh_sources": [str(source) for source in wanted.ssh_sources]}
    return _document(host, name, files, notes=notes, settings=settings)


def _input_rules(host: HostView, wanted: Site, family: str) -> Iterator[str]:
    """Yield the rules for incoming packets."""
    yield "-i lo -j ACCEPT"
    yield f"{_REPLIES} -j RETURN"
    yield from (f"{match} -j RETURN" for match in _CONTROL[family])
    yield "-m conntrack --ctstate INVALID -j DROP"
    ssh = [Service("tcp", str(port), wanted.ssh_sources, "ssh") for port in wanted.ssh_ports]
    for service in (*ssh, *wanted.allow):
        yield from service.rules(family, "--dport")
    # Docker's rules redirect published ports: then only containers that call their own host reach
    # docker-proxy here. In IPv6 it serves containers without IPv6, and before 27 all.
    places = [f"-i {bridge} " for bridge in facts.bridges(host)] if facts.translates(host, family) else [""]
    rules = [rule for service in wanted.published for rule in service.rules(family, "--dport")]
    if wanted.published_others != "drop":
        others = [each for each in facts.published(host, family) if not wanted.names(*each)]
        if any(":" in port for _protocol, port in others):  # a range may contain a port with sources
            limited = [service.for_all() for service in wanted.published if service.sources]
            rules += [rule for each in limited for rule in each.rules(family, "--dport", "DROP")]
        rules += [rule for each in others for rule in Service(*each, ()).rules(family, "--dport")]
    yield from (place + rule for rule in rules for place in places)
    yield "-j DROP"


def _docker_user(host: HostView, wanted: Site, *, on: bool, remove: bool) -> dict[str, Any]:
    name = "firewall_docker_user"
    files: dict[str, str | None] = {
        **{f"forwarded.{family}": None for family in facts.FAMILIES},
        "neighbours.ipv4": None,
    }
    if not on:
        return _document(host, name, files, remove=remove)
    other = facts.other_firewall(host)
    refused = facts.unfit(host) or facts.unfit_engine(host)
    if not refused and other and wanted.forward:
        refused = f"{other} filters forwarded packets: allow them there, and leave firewall_forward empty"
    if refused:
        return {"name": name, "refused": refused}
    notes = [*facts.lacking(host), *facts.fragile(host)]
    if wanted.published_others == "accept":
        notes.append("published ports that firewall_published does not name stay open to all: H.5 fails")
    elif unnumbered := facts.published_without_number(host):
        shown = ", ".join(unnumbered[:_NAMED]) + (", …" if len(unnumbered) > _NAMED else "")
        kept = wanted.published_others == "present"
        what = "stay open to all, and H.5 fails" if kept else "are blocked"
        notes.append(f"published ports from {_EPHEMERAL} on {what}: the engine chooses the port of {shown}")
    for family in facts.families(host):
        if family == "ipv6" and facts.unfiltered_ipv6(host):
            notes.append(
                "forwarded IPv6 is left alone: the engine does not filter it (ip6tables is off), and it is in"
                f" use by {', '.join(facts.unfiltered_ipv6(host))}"
            )
            continue
        chains = {"HARDENER-DOCKER": _docker_rules(host, wanted, family)}
        if not other:
            chains["HARDENER-FORWARD"] = _forward_rules(host, wanted, family)
        files[f"forwarded.{family}"] = _text(family, chains)
        if not other and facts.forwards(host, family) and "HARDENER-FORWARD" not in facts.saved(host, family):
            notes.append(f"{family}: traffic between other interfaces has to be allowed in firewall_forward")
    if facts.version(host) < 28:
        # Newer engines have a rule for each port.
        rules = {"HARDENER-PREROUTING": ["-d 127.0.0.0/8 ! -i lo -j DROP"]}
        files["neighbours.ipv4"] = _text("ipv4", rules, table="raw")
    return _document(host, name, files, notes=notes)


def _docker_rules(host: HostView, wanted: Site, family: str) -> Iterator[str]:
    """Yield the rules for packets to containers; ``RETURN`` passes a packet on to Docker's own rules."""
    yield f"{_REPLIES} -j RETURN"
    for path in wanted.forward:
        yield from path.rules(family, "RETURN")
    for service in wanted.published:
        yield from service.rules(family, _ORIGINAL)
        if service.sources:
            yield from service.for_all().rules(family, _ORIGINAL, "DROP")
    if wanted.published_others == "present":
        chosen = [(protocol, f"{_EPHEMERAL}:65535") for protocol in facts.unnumbered_protocols(host)]
        present = [each for each in facts.published(host, family) if not wanted.names(*each)]
        for protocol, port in (*present, *chosen):
            yield from Service(protocol, port, ()).rules(family, _ORIGINAL)
    else:
        yield f"{_TRANSLATED} -j {'RETURN' if wanted.published_others == 'accept' else 'DROP'}"
    # Of what the host itself forwards elsewhere, nothing is dropped.
    yield from (f"! -i {bridge} -o {bridge} -j DROP" for bridge in facts.bridges(host))


def _forward_rules(host: HostView, wanted: Site, family: str) -> Iterator[str]:
    """Yield the rules for forwarded packets that no rule before has accepted."""
    yield f"{_REPLIES} -j ACCEPT"
    for path in wanted.forward:
        yield from path.rules(family, "ACCEPT")
    if facts.nftables_backend(host):  # which accepts packets of containers in its own table alone
        yield from (f"-{way} {bridge} -j RETURN" for bridge in facts.bridges(host) for way in "io")
    yield "-j DROP"


def _text(family: str, chains: Mapping[str, Iterable[str]], *, table: str = "filter") -> str:
    """Return a file for iptables-restore."""
    lines = [f"# Written by hardener, for {_TOOLS[family]}-restore --noflush.", f"*{table}"]
    lines += [f":{chain} - [0:0]" for chain in chains]
    lines += [f"-A {chain} {rule}" for chain, rules in chains.items() for rule in rules]
    return "\n".join([*lines, "COMMIT", ""])


def _document(
    host: HostView,
    name: str,
    files: Mapping[str, str | None],
    *,
    notes: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    remove: bool = False,
) -> dict[str, Any]:
    """Return a document with rules files and what loads them, or without what loads them if ``remove``."""
    contents = {f"{FIREWALL}/{file}": content for file, content in files.items()}
    loading = {_LOADER: FILES / Path(_LOADER).name, _UNIT: FILES / Path(_UNIT).name}
    drop_ins = {_DROP_IN.format(unit): unit in facts.replacing(host) for unit in facts.REPLACING}
    if remove:
        contents |= dict.fromkeys((*loading, *drop_ins))
    elif any(files.values()):
        contents |= {path: file.read_text() for path, file in loading.items()}
        contents |= {path: _LOAD_AGAIN if needed else None for path, needed in drop_ins.items()}
    return {
        "name": name,
        "impact": CONNECTIVITY,
        "resources": [_resource(path, content) for path, content in contents.items()],
        "activations": [
            {"name": "systemd-reload", "when": [_UNIT, *drop_ins]},
            {
                "name": "firewall",
                "when": [*(f"{FIREWALL}/{file}" for file in files), *loading],
                **(settings or {}),
            },
        ],
        "notes": list(notes),
    }


def _resource(path: str, content: str | None) -> dict[str, Any]:
    if content is None:
        return {"kind": "absent", "path": path}
    mode = {"mode": "0755"} if path == _LOADER else {}
    return {"kind": "file", "path": path, "content": content, **mode}


# --- ssh, and services that the rules cut off ---------------------------------------------------------------


def _ssh_ports(host: HostView, more: Sequence[int], connection_port: int) -> list[int]:
    """Return the ports of ssh: of the connection, of sshd, and those that the site adds.

    If the inventory's port is translated on the way, nothing listens on it here, and it is left out.
    """
    named = []
    for port in more:
        one = parse_port("firewall_ssh_ports", port)
        if not one.isdecimal():
            raise ValueError(f"firewall_ssh_ports: {port!r} is a range; name its ports one by one")
        named.append(int(one))
    known = facts.ssh_ports(host)
    if connection_port in {
        port for protocol, port, _version, _process in facts.listening(host) if protocol == "tcp"
    }:
        known.add(connection_port)
    return sorted({*named, *(known or {connection_port or 22})})


def _cuts_ssh_off(host: HostView, wanted: Site) -> str:
    """Return why the ports of ssh are unknown, so that rules could block it; empty if they are known.

    With ssh.socket systemd listens, and other servers have other names.
    """
    open_ports = {
        port: process for protocol, port, _version, process in facts.listening(host) if protocol == "tcp"
    }
    if wanted.ssh_named or open_ports.keys() & set(wanted.ssh_ports):
        return ""
    servers = sorted(port for port, process in open_ports.items() if process in _SSH_SERVERS)
    unnamed = [port for port in servers if not any(each.covers("tcp", port) for each in wanted.allow)]
    if not unnamed:
        return ""
    ports = ", ".join(map(str, unnamed))
    return f"the port of ssh is not known, and may be {ports}: name it in firewall_ssh_ports"


def _cut_off(host: HostView, wanted: Site) -> Iterator[str]:
    """Yield running services that no rule accepts."""
    for protocol, port, version, process in sorted(set(facts.listening(host))):
        family = "ipv4" if version == 4 else "ipv6"
        if protocol == "udp" and (port >= _EPHEMERAL or port in (68, 546)):
            continue  # answers to requests are accepted; also to a DHCP client
        if protocol == "tcp" and port in wanted.ssh_ports:
            continue
        if any(service.covers(protocol, port) for service in wanted.allow):
            continue
        ports = [Service(kind, number, ()) for kind, number in facts.published(host, family)]
        if process == "docker-proxy" and facts.translates(host, family):
            continue
        if any(service.covers(protocol, port) for service in ports):
            continue
        yield f"{protocol} {port}" + (f" ({_printable_name(process)})" if process else "")


def _printable_name(process: str) -> str:
    """Return a process's name, which is untrusted, as a printable word."""
    return re.sub(r"[^A-Za-z0-9._:/@+-]", "?", process)[:32]
