"""What the judge says of published ports behind random rules, and which connections from outside arrive.

Docker's own rules are loaded as engines 26 and 29 write them, in iptables and in nftables; no engine runs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from typing import Any, Self

from ansible_collections.hardener.docker.plugins.module_utils.snapshot import firewall, network

from hardener.checks import all_checks
from hardener.model import Status
from tests.integration.namespaces import Space, address, join
from tests.oracles.connecting import OWN, SOURCES, Network, Probe, listener, mac, reachable, receiver
from tests.unit.snapshots import container, make, only

# By the bridge: addresses of its container, and how they are reached.
PLACES = {
    "docker0": {4: "172.17.0.2", 6: "fd00:17::2"},
    "shop0": {4: "10.77.0.5", 6: "2a00:77::5"},
}
# The port of the host and that of the container; no rule names the second ones.
NAMED, UNNAMED = (8080, 80), (12000, 7000)
MANY = {
    version: [(name, each) for name, some in SOURCES.items() for each in some[version][:2]] for version in OWN
}
DOUBTFUL = ("-m mark --mark 0x1", "-m limit --limit 1/min", "meta mark 1")
TOOLS = {4: "iptables", 6: "ip6tables"}


class Publishing(Network):
    """The host with two bridges and a container behind each; a neighbour at each of its interfaces."""

    def __enter__(self) -> Self:
        super().__enter__()
        self.host.run(
            "sh", "-c", "echo 1 | tee /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/*/forwarding"
        )
        for number, (bridge, own) in enumerate(PLACES.items()):
            inside = self._stack.enter_context(Space())
            self.host.run("ip", "link", "add", bridge, "type", "bridge")
            join(self.host, f"veth{number}", inside, "eth0")
            self.host.run("ip", "link", "set", f"veth{number}", "master", bridge)
            self.host.run("ip", "link", "set", bridge, "up")
            for version, each in own.items():
                gateway = each[:-1] + "1"
                length = 24 if version == 4 else 64
                address(self.host, bridge, f"{gateway}/{length}")
                address(inside, "eth0", f"{each}/{length}")
                inside.run("ip", f"-{version}", "route", "add", "default", "via", gateway)
                for space, device, known, owner, its in (
                    (self.host, bridge, each, inside, "eth0"),
                    (inside, "eth0", gateway, self.host, bridge),
                ):
                    entry = ("replace", known, "lladdr", mac(owner, its), "nud", "permanent")
                    space.run("ip", "neigh", *entry, "dev", device)
                for name, neighbour in self._neighbours.items():
                    for line in reachable(each, "eth0", mac(self.host, name)):
                        neighbour.run("ip", *line.split())
            with inside.entered():
                for port in (NAMED[1], UNNAMED[1]):
                    self._listeners.append(self._stack.enter_context(listener(port)))
                    self._receivers.append(self._stack.enter_context(receiver(port)))
        return self


def _engines_iptables(
    version: int, layout: str, policy: str, *, routed: str, extra: dict[str, list[str]]
) -> str:
    """Docker's rules for iptables-restore, with those of the site."""
    nat = ["*nat", ":PREROUTING ACCEPT", ":DOCKER -", "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER"]
    raw, accepting, jumps = ["*raw", ":PREROUTING ACCEPT", *extra["raw"]], [], []
    for number, (bridge, own) in enumerate(PLACES.items()):
        each = own[version]
        target = f"[{each}]" if version == 6 else each
        for (port, inside), protocol in product((NAMED, UNNAMED), ("tcp", "udp")):
            match = f"! -i {bridge} -p {protocol} -m {protocol} --dport"
            if bridge != routed:
                nat.append(f"-A DOCKER {match} {port + number} -j DNAT --to-destination {target}:{inside}")
            accepting.append(f"-A DOCKER -d {each} -o {bridge} {match} {inside} -j ACCEPT")
        if layout == "29" and bridge != routed:
            raw.append(f"-A PREROUTING -d {each} ! -i {bridge} -j DROP")
        jumps.append(f"-A FORWARD -o {bridge} -j DOCKER")
    if layout == "29":
        jumps = [
            "-A FORWARD -j DOCKER-FORWARD",
            *(f"-A DOCKER-FORWARD -o {bridge} -j DOCKER" for bridge in PLACES),
        ]
        accepting += [f"-A DOCKER ! -i {bridge} -o {bridge} -j DROP" for bridge in PLACES]
    lines = ["*filter", f":FORWARD {policy}", ":DOCKER -", ":DOCKER-USER -", ":DOCKER-FORWARD -"]
    lines.append("-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
    lines += [f"-A FORWARD {rule}" for rule in extra["ahead"]] + ["-A FORWARD -j DOCKER-USER"]
    lines += [*jumps, *(f"-A FORWARD -i {bridge} -j ACCEPT" for bridge in PLACES), *accepting]
    lines += [f"-A DOCKER-USER {rule}" for rule in extra["user"]]
    return "\n".join([*nat, "COMMIT", *raw, "COMMIT", *lines, "COMMIT", ""])


def _engines_nft(version: int, *, routed: str) -> str:
    """Docker's rules of its nftables backend."""
    family = "ip" if version == 4 else "ip6"
    lines = [f"table {family} docker-bridges {{", "chain nat {", "type nat hook prerouting priority dstnat;"]
    accepting = ["ct state established,related accept"]
    for number, (bridge, own) in enumerate(PLACES.items()):
        target = f"[{own[version]}]" if version == 6 else own[version]
        for (port, inside), protocol in product((NAMED, UNNAMED), ("tcp", "udp")):
            if bridge != routed:
                local = f"fib daddr type local {protocol} dport {port + number}"
                lines.append(f"{local} dnat to {target}:{inside}")
            accepting.append(
                f"oifname {bridge} {family} daddr {own[version]} {protocol} dport {inside} accept"
            )
        accepting.append(f"oifname {bridge} iifname != {bridge} drop")
    lines += ["}", "chain forward {", "type filter hook forward priority filter;", *accepting, "}", "}"]
    if not routed:
        lines[1:1] = ["chain raw {", "type filter hook prerouting priority raw;"]
        drops = [f"{family} daddr {own[version]} iifname != {bridge} drop" for bridge, own in PLACES.items()]
        lines[3:3] = [*drops, "}"]
    return "\n".join([*lines, ""])


def _condition(dice: random.Random, version: int) -> str:
    """A condition of iptables on packets to containers."""
    own = [each[version] for each in PLACES.values()]
    half, few = ("0.0.0.0/1", "192.0.2.0/24") if version == 4 else ("2000::/5", "2001:db8::/32")
    return dice.choice(
        (
            "",
            *(f"-i {name}" for name in ("eth0", "eth1", "eth+", "wg0", "docker0")),
            *(f"-o {name}" for name in ("docker0", "shop0", "br-+", "docker+")),
            *(f"! -i {name} -o {name}" for name in PLACES),
            *(f"-d {each}" for each in (*own, "10.0.0.0/8" if version == 4 else "fd00::/16")),
            *(f"-s {each}" for each in (half, few, "8.0.0.0/7" if version == 4 else "2000::/12")),
            *(f"-p tcp -m tcp --dport {port}" for port in (80, 8080, 8081, 443, "1:1023")),
            *(f"-p tcp -m conntrack --ctorigdstport {port}" for port in (80, 8080, 8081, 22)),
            *(f"-p {name}" for name in ("tcp", "udp")),
            *(f"-m conntrack {state}" for state in ("--ctstate DNAT", "! --ctstate DNAT", "--ctstate NEW")),
            "-p udp -m multiport --dports 80,53",
            *DOUBTFUL[:2] * 3,
        )
    )


def _rules(dice: random.Random, version: int, targets: tuple[str, ...], most: int) -> list[str]:
    found = []
    for _ in range(dice.randint(0, most)):
        some = {_condition(dice, version) for _ in range(dice.choice((1, 1, 1, 2)))}
        words = [word for each in some for word in each.split() if word.startswith("-")]
        if len(set(words) - {"-m"}) == len([word for word in words if word != "-m"]):
            found.append(" ".join([*sorted(some), f"-j {dice.choice(targets)}"]))
    return found


def _nft_rules(dice: random.Random, version: int) -> list[str]:
    family = "ip" if version == 4 else "ip6"
    conditions = (
        "iifname eth0",
        'iifname "eth*"',
        "oifname docker0",
        "oifname { docker0, shop0 }",
        *(f"{family} daddr {each[version]}" for each in PLACES.values()),
        *(f"tcp dport {port}" for port in ("80", "8080", "{ 80, 443 }")),
        *(f"meta l4proto tcp ct original proto-dst {port}" for port in ("8080", "80")),
        "ct status dnat",
        "ct state new",
        DOUBTFUL[2],
        "",
    )
    return [
        f"{dice.choice(conditions)} {dice.choice(('drop', 'drop', 'accept'))}"
        for _ in range(dice.randint(0, 3))
    ]


def case(host: Publishing, dice: random.Random) -> tuple[str, int, Any, list[str]]:
    """Load random rules: their text, the version of IP, the verdict, and where it and the packets differ."""
    version = dice.choice((4, 4, 6))
    layout = dice.choice(("26", "29", "nftables"))
    routed = dice.choice(("", "", "", *PLACES))
    early = (
        rule for rule in _rules(dice, version, ("DROP",), 1) if not any(map(rule.count, ("ct", "-i", "-o ")))
    )
    extra = {
        # Answers would be dropped without an interface.
        "raw": [f"-A PREROUTING -i {dice.choice(('eth0', 'eth+'))} {rule}" for rule in early],
        "ahead": _rules(dice, version, ("ACCEPT", "DROP"), 1) if dice.random() < 0.2 else [],
        "user": _rules(dice, version, ("DROP", "DROP", "DROP", "RETURN", "RETURN", "ACCEPT"), 4),
    }
    policy = dice.choice(("ACCEPT", "ACCEPT", "DROP"))
    host.host.run("nft", "flush", "ruleset")
    text = ""
    if layout == "nftables":
        text = _engines_nft(version, routed=routed)
        host.host.run("nft", "-f", "-", given=text)
    else:
        text = _engines_iptables(version, layout, policy, routed=routed, extra=extra)
        host.host.run(f"{TOOLS[version]}-restore", given=text)
    if layout == "nftables" or dice.random() < 0.2:
        lines = ["table inet site {", "chain forward {", "type filter hook forward priority 10;"]
        rules = [f"policy {dice.choice(('accept', 'drop'))};", "ct state established accept"]
        site = "\n".join([*lines, *rules, *_nft_rules(dice, version), "}", "}", ""])
        host.host.run("nft", "-f", "-", given=site)
        text += site
    with host.host.entered():
        facts, around = firewall.read(), network.read()
    verdict = all_checks()["host-firewall-docker-user"](
        make(
            firewall=only(facts),
            network=only(around),
            **_engine(version, routed, nftables=layout == "nftables"),
        )
    )
    return text, version, verdict, list(_differences(host, version, routed, text, verdict))


def _engine(version: int, routed: str, *, nftables: bool) -> dict[str, Any]:
    """What the engine tells of its containers and networks."""
    host_ip = "::" if version == 6 else "0.0.0.0"
    containers, networks = [], []
    for number, (bridge, own) in enumerate(PLACES.items()):
        options = {"com.docker.network.bridge.name": bridge}
        if bridge == routed:
            options[f"com.docker.network.bridge.gateway_mode_ipv{version}"] = "routed"
        networks.append(
            {"Name": bridge, "Id": bridge * 8, "Driver": "bridge", "EnableIPv6": True, "Options": options}
        )
        bindings = [{"HostIp": host_ip, "HostPort": str(NAMED[0] + number)}]
        attached = {"NetworkID": bridge * 8, "IPAddress": own[4], "GlobalIPv6Address": own[6]}
        ports = {"80/tcp": bindings, "80/udp": bindings}
        settings = {"Ports": only(ports), "Networks": only({bridge: attached})}
        containers.append(container(f"web{number}", NetworkSettings=settings))
    found: dict[str, Any] = {"docker.containers": containers, "docker.networks": networks}
    return found | ({"docker.info": {"FirewallBackend": {"Driver": "nftables"}}} if nftables else {})


def _differences(host: Publishing, version: int, routed: str, text: str, verdict: Any) -> Iterator[str]:
    """Where the verdict about a port differs from what arrives there."""
    ways: dict[tuple[str, str, bool], list[Probe]] = {}
    for number, (bridge, own) in enumerate(PLACES.items()):
        for protocol, (port, inside) in product(("tcp", "udp"), (NAMED, UNNAMED)):
            places = [(own[version], inside)]
            places += [] if bridge == routed else [(each, port + number) for each in OWN[version]]
            ways[f"web{number}", protocol, port == NAMED[0]] = [
                Probe(protocol, name, source, target, at, 33000 + number)
                for (name, source), (target, at) in product(MANY[version], places)
            ]
    everything = [probe for some in ways.values() for probe in some]
    real = host.reached(everything, ())
    open_ports = {each.name for each in verdict.offenders if verdict.status is Status.FAIL}
    undecided = verdict.undecided.offenders if verdict.undecided else ()
    doubtful = {each.name for each in (*(() if open_ports else verdict.offenders), *undecided)}
    host_ip = "[::]" if version == 6 else "0.0.0.0"
    for (name, protocol, named), probes in ways.items():
        if not named:
            continue
        shown = f"{name} {host_ip}:{NAMED[0] + int(name[-1])}/{protocol}"
        arrived = [probe for probe in probes if real[probe]]
        others = [probe for probe in ways[name, protocol, False] if real[probe]]
        if shown in open_ports and not arrived and not any(host.reached(probes, probes).values()):
            yield f"{shown} fails, and nothing arrives"
        if shown not in open_ports | doubtful and arrived and others:
            yield f"{shown} passes, and {arrived[0]} arrives, and so does {others[0]}"
        if shown in doubtful and not any(each in text for each in DOUBTFUL):
            yield f"{shown} is for a person, and all conditions are understood"
