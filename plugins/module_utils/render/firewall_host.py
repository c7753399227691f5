"""Read from a snapshot the facts on which the packet filter's rules depend."""

from __future__ import annotations

import re
from ipaddress import ip_address

from .hostview import ENGINE_BRIDGES, NO_ENGINE, HostView, name_of

FAMILIES = {"ipv4": 4, "ipv6": 6}
PORTED = ("tcp", "udp", "sctp")
# Units that can remove the rules of all programs when they are started or reloaded.
REPLACING = ("nftables.service", "netfilter-persistent.service")
INTERFACE = re.compile(r"[A-Za-z0-9._@-]{1,15}|[A-Za-z0-9._@-]{1,14}\+")


def version(host: HostView) -> int:
    """Return the major version of the running engine; 0 if none answers."""
    found = re.match(r"\d+", str(host.data("docker.version").get("Version") or ""))
    return int(found[0]) if found else 0


def unfit(host: HostView) -> str:
    """Return why the role cannot be applied to this host, and what to do; empty if it can."""
    for source in ("firewall", "units", "listening"):
        entry = host.entry(source)
        if entry.get("state") != "ok":
            why = entry.get("error") or "not collected"
            if entry.get("state") == "absent" and source == "firewall":
                why = "install iptables"
            return f"{source} could not be read: {why}"
    for source in ("engine", "docker.containers", "docker.networks", "docker.swarm"):
        entry = host.entry(source)
        if (source == "engine" or host.engine.get("reachable")) and entry.get("state") == "failed":
            return f"{source} could not be read, so the published ports are unknown: {entry.get('error')}"
    if unread := host.unread_containers():
        return f"the published ports are not known, since {unread}"
    if "ipv4" not in families(host):
        errors = "; ".join(map(str, (host.data("firewall").get("errors") or {}).values()))
        return f"there is no usable iptables: {errors or 'install it (package iptables)'}"
    return ""


def other_firewall(host: HostView) -> str:
    """Return the name of another firewall that filters inbound packets of this host; empty without one."""
    if re.search("^-A ufw-before-input ", saved(host, "ipv4"), re.MULTILINE):
        return "ufw"  # `ufw disable` empties its chains, and leaves the jumps to them
    if (host.data("units").get("firewalld.service") or {}).get("ActiveState") == "active":
        return "firewalld"
    return "nftables.service" if _flushes(host) and _refuses_input(host) else ""


def _flushes(host: HostView) -> bool:
    """Return whether nftables.service removes the rules of all programs when it is started or reloaded."""
    unit = host.data("units").get("nftables.service") or {}
    used = unit.get("ActiveState") == "active" or unit.get("UnitFileState") == "enabled"
    return used and bool(host.data("firewall").get("flushing"))


def _refuses_input(host: HostView) -> bool:
    """Return whether an nftables chain for inbound packets, except those of iptables, refuses packets."""
    ruleset = host.data("firewall").get("nft") or ()
    chains = [each["chain"] for each in ruleset if "chain" in each and each["chain"].get("hook") == "input"]
    own = [chain for chain in chains if chain.get("name") != "INPUT"]
    final = {
        (rule.get("family"), rule.get("table"), rule.get("chain"))
        for rule in (each["rule"] for each in ruleset if "rule" in each)
        if len(rule.get("expr") or ()) == 1 and {"drop", "reject"} & set(rule["expr"][0])
    }
    return any(
        chain.get("policy") == "drop" or (chain["family"], chain["table"], chain["name"]) in final
        for chain in own
    )


def unfit_engine(host: HostView) -> str:
    """Return why forwarding to containers cannot be filtered on this host; empty if it can."""
    if host.state("engine") != "ok" or not host.engine.get("installed"):
        return NO_ENGINE
    if host.rootless:
        return (
            "the engine is rootless: its ports are open on the host itself, and firewall_inbound filters them"
        )
    if _off(host, "iptables"):
        return "the engine may not manage the packet filter: take iptables: false out of its configuration"
    if nftables_backend(host) and host.data("firewall").get("nft") is None:
        return "the engine's rules are in nftables and could not be read: install nft (package nftables)"
    if host.engine.get("reachable") and not _has_engines_rules(host, "ipv4"):
        return "Docker's own rules are not loaded, since they were flushed: restart the engine first"
    return ""


def nftables_backend(host: HostView) -> bool:
    """Return whether the engine filters in nftables of its own, now or by its configuration."""
    running = str((host.info.get("FirewallBackend") or {}).get("Driver") or "")
    return any(each.startswith("nftables") for each in (running, _set(host, "firewall-backend")))


def _has_engines_rules(host: HostView, family: str, table: str = "filter") -> bool:
    """Return whether the engine's rules are loaded: its chain of iptables, or its table of nftables."""
    own = ("ip" if family == "ipv4" else "ip6", "docker-bridges")
    tables = (each.get("table") or {} for each in host.data("firewall").get("nft") or ())
    return has_chain(host, family, "DOCKER", table) or own in (
        (each.get("family"), each.get("name")) for each in tables
    )


def _set(host: HostView, key: str) -> str:
    """Return a declared setting of the daemon as text; empty if it is not set."""
    value = host.setting(key)
    return "" if value is None else str(value)


def _off(host: HostView, key: str) -> bool:
    """Return whether a switch of the daemon, which is on by default, is off."""
    return _set(host, key).lower() in ("0", "f", "false")


def families(host: HostView) -> list[str]:
    """Return the address families that this host has rules for."""
    tables = host.data("firewall").get("iptables") or {}
    found = [family for family in FAMILIES if isinstance(tables.get(family), str)]
    return found if _has_ipv6(host) else [family for family in found if family != "ipv6"]


def _has_ipv6(host: HostView) -> bool:
    settings = host.data("sysctl")
    key = "net.ipv6.conf.all.disable_ipv6"
    return not (key in settings and settings[key] is None)


def lacking(host: HostView) -> list[str]:
    """Return the families without rules, in words."""
    if not _has_ipv6(host):
        return ["this kernel has no IPv6: no rules for it"]
    if "ipv6" not in families(host):
        error = (host.data("firewall").get("errors") or {}).get("ip6tables-save") or "there is no ip6tables"
        return [f"no rules for IPv6 are loaded: {error}"]
    return []


def replacing(host: HostView) -> list[str]:
    """Return the units of ``REPLACING`` that do so on this host."""
    nftables, persistent = REPLACING
    unit = host.data("units").get(persistent) or {}
    found = {nftables: _flushes(host), persistent: unit.get("UnitFileState") == "enabled"}
    return [name for name, replaces in found.items() if replaces]


def fragile(host: HostView) -> list[str]:
    """Return the programs that remove Docker's rules later."""
    return [
        f"{name} removes all rules when it is started or reloaded: hardener's rules are loaded again at once,"
        " Docker's when you restart Docker"
        for name in replacing(host)
    ]


def saved(host: HostView, family: str) -> str:
    """Return the output of iptables-save."""
    text = (host.data("firewall").get("iptables") or {}).get(family)
    return text if isinstance(text, str) else ""


def has_chain(host: HostView, family: str, chain: str, table: str = "filter") -> bool:
    """Return whether a table of iptables-save has a chain."""
    return f"\n:{chain} " in f"\n{_table(host, family, table)}"


def _table(host: HostView, family: str, name: str) -> str:
    return saved(host, family).partition(f"*{name}\n")[2].partition("COMMIT\n")[0]


def forwards(host: HostView, family: str) -> bool:
    """Return whether the host forwards packets that no rule matches."""
    key = "net.ipv4.ip_forward" if family == "ipv4" else "net.ipv6.conf.all.forwarding"
    return host.data("sysctl").get(key) == "1" and ":FORWARD ACCEPT" in _table(host, family, "filter")


def translates(host: HostView, family: str) -> bool:
    """Return whether Docker's rules redirect all published ports past the input chain.

    Ports of containers without IPv6 are not redirected in IPv6: docker-proxy serves them.
    """
    if host.rootless or (family == "ipv6" and not _off(host, "userland-proxy")):
        return False
    return _has_engines_rules(host, family, "nat")


def bridges(host: HostView) -> list[str]:
    """Return the interfaces of containers, by pattern and by name."""
    names = [
        str((network.get("Options") or {}).get("com.docker.network.bridge.name") or "")
        for network in host.data("docker.networks") or ()
        if network.get("Driver") == "bridge"
    ]
    named = {name for name in names if INTERFACE.fullmatch(name)}
    patterns = (f"{begin}+" for begin in ENGINE_BRIDGES)
    return [*patterns, *sorted(name for name in named if not name.startswith(ENGINE_BRIDGES))]


def unfiltered_ipv6(host: HostView) -> list[str]:
    """Return IPv6 networks that the engine does not filter."""
    if _has_engines_rules(host, "ipv6"):
        return []
    networks = host.data("docker.networks") or ()
    return [str(network.get("Name")) for network in networks if network.get("EnableIPv6")]


def published(host: HostView, family: str) -> list[tuple[str, str]]:
    """Return protocol and port of all published ports of containers and services, also stopped ones.

    Ports that the engine assigns at every start are left out: the rules would change each time.
    """
    found = set()
    for inspect in host.containers:
        bindings = (inspect.get("HostConfig") or {}).get("PortBindings") or {}
        for inside, places in bindings.items():
            protocol = str(inside).partition("/")[2] or "tcp"
            for place in places or ():
                if protocol in PORTED and _binds(str(place.get("HostIp") or ""), FAMILIES[family]):
                    found.add((protocol, str(place.get("HostPort") or "")))
    for service in host.data("docker.swarm").get("services") or ():
        for port in (service.get("Endpoint") or {}).get("Ports") or ():
            found.add((str(port.get("Protocol") or "tcp"), str(port.get("PublishedPort") or "")))
    return sorted(
        (protocol, port.replace("-", ":"))
        for protocol, port in found
        if protocol in PORTED and re.fullmatch(r"[1-9]\d{0,4}(-[1-9]\d{0,4})?", port)
    )


def published_without_number(host: HostView) -> list[str]:
    """Return container and port where the engine assigns the published port at every start."""
    return [
        f"{name_of(inspect)} {inside}"
        for inspect in host.containers
        for inside, places in ((inspect.get("HostConfig") or {}).get("PortBindings") or {}).items()
        if any(str(place.get("HostPort") or "0") == "0" for place in places or ())
    ]


def unnumbered_protocols(host: HostView) -> list[str]:
    """Return the protocols of the published ports that the engine assigns."""
    found = {each.rpartition("/")[2] for each in published_without_number(host)}
    return [protocol for protocol in PORTED if protocol in found]


def ssh_ports(host: HostView) -> set[int]:
    """Return the known ports of ssh."""
    found = {
        port
        for protocol, port, _version, process in listening(host)
        if (protocol, process) == ("tcp", "sshd")
    }
    connection = host.system.get("ssh_port")
    return {*found, *([int(connection)] if connection else ())}


def listening(host: HostView) -> list[tuple[str, int, int, str]]:
    """Return protocol, port, IP version and process of listeners that other hosts can reach."""
    found: list[tuple[str, int, int, str]] = []
    for entry in host.data("listening") or ():
        address = ip_address(str(entry["address"]).partition("%")[0])
        if entry.get("netns", "host") == "host" and not address.is_loopback:
            protocol = str(entry["proto"])
            process = str(entry.get("process") or "")
            found.append((protocol.removesuffix("6"), int(entry["port"]), address.version, process))
    return found


def _binds(address: str, version: int) -> bool:
    """Return whether a published port is served in this IP version, beyond loopback."""
    if not address:
        return True
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return found.version == version and not found.is_loopback
