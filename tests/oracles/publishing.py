"""What the judge says of published ports behind random rules, and which connections from outside arrive.

Docker's own rules are loaded as engines 26 and 29 write them, in iptables and in nftables; no engine runs.
In some cases rules keep packets from Docker's translation, and sockets of the host stand for docker-proxy.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

from ansible_collections.hardener.docker.plugins.module_utils.snapshot import firewall, network

from hardener.checks import all_checks
from hardener.model import Status, Verdict
from hardener.snapshot import Snapshot
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
TIED = "type filter hook prerouting priority dstnat;"  # with the priority of the translation
UNCLEAR = ("-m mark --mark 0x1", "-m limit --limit 1/min", "meta mark 1")
DOUBTFUL = (*UNCLEAR, TIED, "jump {", "goto {", "--dport 9090")
REDIRECTED = {9090: NAMED[0], 9091: UNNAMED[0]}  # ports of the host, by rules of some cases
TOOLS = {4: "iptables", 6: "ip6tables"}


class Publishing(Network):
    """The host with two bridges and a container behind each; a neighbour at each of its interfaces."""

    _ports = ()

    def __enter__(self) -> Self:
        super().__enter__()
        self._proxies = self._stack.enter_context(ExitStack())
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
        self._inside = (self._listeners, self._receivers)
        return self

    def run_proxies(self, running: bool) -> None:
        """Have sockets of the host at the published ports, or none."""
        self._proxies.close()
        self._listeners, self._receivers = map(list, self._inside)
        if running:
            with self.host.entered():
                for port in (
                    port + number for port in (NAMED[0], UNNAMED[0]) for number in range(len(PLACES))
                ):
                    self._listeners.append(self._proxies.enter_context(listener(port)))
                    self._receivers.append(self._proxies.enter_context(receiver(port)))


def _engines_iptables(
    version: int,
    layout: str,
    policy: str,
    *,
    routed: str,
    missing: Collection[tuple[int, str]],
    extra: dict[str, list[str]],
) -> str:
    """Docker's rules for iptables-restore, with those of the site."""
    nat = ["*nat", ":PREROUTING ACCEPT", ":DOCKER -", *extra["nat"]]
    nat.append("-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER")
    raw, accepting, jumps = ["*raw", ":PREROUTING ACCEPT", *extra["raw"]], [], []
    for number, (bridge, own) in enumerate(PLACES.items()):
        each = own[version]
        target = f"[{each}]" if version == 6 else each
        for (port, inside), protocol in product((NAMED, UNNAMED), ("tcp", "udp")):
            match = f"! -i {bridge} -p {protocol} -m {protocol} --dport"
            if bridge != routed and (number, protocol) not in missing:
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
    lines = ["*filter", *extra["input"], f":FORWARD {policy}", ":DOCKER -", ":DOCKER-USER -"]
    lines.append(":DOCKER-FORWARD -")
    lines.append("-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
    lines += [f"-A FORWARD {rule}" for rule in extra["ahead"]] + ["-A FORWARD -j DOCKER-USER"]
    lines += [*jumps, *(f"-A FORWARD -i {bridge} -j ACCEPT" for bridge in PLACES), *accepting]
    lines += [*(f"-A DOCKER-USER {rule}" for rule in extra["user"]), *extra["inbound"]]
    return "\n".join([*nat, "COMMIT", *raw, "COMMIT", *lines, "COMMIT", ""])


def _engines_nft(version: int, *, routed: str, missing: Collection[tuple[int, str]]) -> str:
    """Docker's rules of its nftables backend."""
    family = "ip" if version == 4 else "ip6"
    lines = [f"table {family} docker-bridges {{", "chain nat {", "type nat hook prerouting priority dstnat;"]
    accepting = ["ct state established,related accept"]
    for number, (bridge, own) in enumerate(PLACES.items()):
        target = f"[{own[version]}]" if version == 6 else own[version]
        for (port, inside), protocol in product((NAMED, UNNAMED), ("tcp", "udp")):
            if bridge != routed and (number, protocol) not in missing:
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
            *(f"-m conntrack --ctproto {number}" for number in (6, 17)),
            *(f"-m conntrack {negated}--ctorigsrc {half}" for negated in ("", "! ")),
            *(f"-m conntrack {state}" for state in ("--ctstate DNAT", "! --ctstate DNAT", "--ctstate NEW")),
            "-p udp -m multiport --dports 80,53",
            *UNCLEAR[:2] * 3,
        )
    )


def _early(dice: random.Random, version: int) -> str:
    """A condition of iptables on packets to the host that no rule has translated."""
    half = "0.0.0.0/1" if version == 4 else "2000::/5"
    names = ("tcp", "udp")
    return dice.choice(
        (
            *("", "-i eth0", "-i eth1", "-p tcp", "-p udp", f"-s {half}", f"! -s {half}"),
            *(f"-d {OWN[version][0]}", "-m addrtype --dst-type LOCAL", "-m mark --mark 0x1"),
            *(f"-p {name} -m {name} --dport {port}" for name in names for port in ("8080", "8000:40000")),
            *(f"-p {name} -m multiport --dports 8080,12000" for name in names),
        )
    )


def _untranslating(dice: random.Random, version: int) -> dict[str, list[str]]:
    """Rules by which packets are not translated, and rules for packets that stay on the host."""
    nat, raw = [], []
    kind = dice.choice(("nat", "nat", "raw", "both", "none", "redirect"))
    if kind in ("nat", "both"):
        for _ in range(dice.randint(1, 2)):
            nat.append(f"-A PREROUTING {_early(dice, version)} -j {dice.choice(('RETURN', 'ACCEPT'))}")
    if kind in ("raw", "both"):
        condition = _early(dice, version)
        # Answers would be untracked without an interface, too.
        raw = [f"-A PREROUTING {'' if '-i' in condition else '-i eth+'} {condition} -j CT --notrack"]
    if kind == "redirect":
        interface = dice.choice(("", "-i eth0 ", "-i eth1 "))
        target = dice.choice(("REDIRECT --to-ports", f"DNAT --to-destination {_dnat(version)}"))
        glue = " " if "ports" in target else ":"
        for port, to in REDIRECTED.items():
            nat.append(f"-A PREROUTING {interface}-p tcp -m tcp --dport {port} -j {target}{glue}{to}")
    rules = [
        f"-A INPUT {rule}"
        for rule in _rules(dice, version, ("DROP", "DROP", "ACCEPT"), 2)
        if "-o " not in rule and "-d " not in rule
    ]
    return {"nat": nat, "raw": raw, "input": [f":INPUT {dice.choice(('ACCEPT', 'ACCEPT', 'DROP'))}", *rules]}


def _early_chain(dice: random.Random, version: int) -> str:
    """A table of nft that sees packets around their translation; sometimes none."""
    kind, priority = dice.choice((("filter", "dstnat"), ("filter", "-90"), ("nat", "-110"), ("", "")))
    interface = dice.choice(("iifname eth0", 'iifname "eth*"'))  # answers would be dropped without one
    ports = dice.choice(("tcp dport { 80, 8080 }", "tcp dport 8080", "tcp dport 80", "udp dport 1-65535", ""))
    rule = f"{interface} {ports} {dice.choice(('drop', 'drop', 'accept'))}"
    family = dice.choice(("inet", "ip" if version == 4 else "ip6"))
    chain = f"type {kind} hook prerouting priority {priority};"
    return "\n".join([f"table {family} early {{", "chain in {", chain, rule, "}", "}", ""]) if kind else ""


def _dnat(version: int) -> str:
    return f"[{OWN[6][1]}]" if version == 6 else OWN[4][1]


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
        f"ct original {family} saddr {dice.choice(('', '!= '))}{'0.0.0.0/1' if version == 4 else '2000::/5'}",
        "iifname . oifname { eth0 . docker0, eth1 . shop0 }",
        "meta l4proto . th dport { tcp . 80, udp . 1-65535 }",
        UNCLEAR[2],
        "",
    )
    verdicts = ("drop", "drop", "accept", "jump { drop ; }", "goto { accept ; }")
    return [f"{dice.choice(conditions)} {dice.choice(verdicts)}" for _ in range(dice.randint(0, 3))]


def _looking_up(dice: random.Random, version: int) -> str:
    """A rule of nft for DOCKER-USER, which iptables-save prints without its set."""
    family, half = ("ip", "0.0.0.0/1") if version == 4 else ("ip6", "2000::/5")
    conditions = (
        "iifname { eth0, eth1 }",
        "iifname { eth1, wg0 }",
        "oifname != { docker0, br0 }",
        f"{family} saddr @half",
        f"{family} saddr != @half",
        "tcp dport { 80, 443 }",
        "iifname . oifname { eth0 . docker0, eth1 . shop0 }",
    )
    verdict = dice.choice(("drop", "drop", "accept", "return"))
    kind = f"type ipv{version}_addr; flags interval; elements = {{ {half} }};"
    where = f"{dice.choice(('add', 'insert'))} rule {family} filter DOCKER-USER"
    added = f"add set {family} filter half {{ {kind} }}"
    return f"{added}\n{where} {dice.choice(conditions)} {verdict}\n"


@dataclass(frozen=True)
class Observed:
    """A case: what the judge gets, and which packets arrive.

    Attributes:
        text: the rules.
        version: the version of IP.
        snapshot: the facts.
        loopback: whether a container's port is published for the host alone.
        ways: what is tried, by container, protocol and whether rules may name the port.
        real: whether it arrives.
    """

    text: str
    version: int
    snapshot: Snapshot
    loopback: bool
    ways: Mapping[tuple[str, str, bool], Sequence[Probe]]
    real: Mapping[Probe, bool]

    @property
    def verdict(self) -> Verdict:
        """The verdict about published ports."""
        return all_checks()["host-firewall-docker-user"](self.snapshot)


def observe(host: Publishing, dice: random.Random) -> Observed:
    """Load random rules, and see what arrives."""
    version = dice.choice((4, 4, 6))
    layout = dice.choice(("26", "29", "nftables"))
    routed = dice.choice(("", "", "", *PLACES))
    loopback = dice.random() < 0.2  # without Docker's translation, which is for another address
    altered = dice.random() < 0.5
    bare = altered and version == 6 and dice.random() < 0.3  # one container has no address of IPv6
    proxies = altered and dice.random() < 0.7
    host.run_proxies(proxies)
    changes = {"nat": [], "raw": [], "input": []} if not altered else _untranslating(dice, version)
    pairs = list(product(range(len(PLACES)), ("tcp", "udp")))
    missing = dice.sample(pairs, dice.choice((0, 0, 1, 4))) if altered else []
    missing += [(1, "tcp"), (1, "udp")] if bare or (altered and loopback) else []
    early = (
        rule for rule in _rules(dice, version, ("DROP",), 1) if not any(map(rule.count, ("ct", "-i", "-o ")))
    )
    extra = {
        # Answers would be dropped without an interface.
        "raw": [
            *changes["raw"],
            *(f"-A PREROUTING -i {dice.choice(('eth0', 'eth+'))} {rule}" for rule in early),
        ],
        "nat": changes["nat"],
        "input": changes["input"][:1],
        "inbound": changes["input"][1:],
        "ahead": _rules(dice, version, ("ACCEPT", "DROP"), 1) if dice.random() < 0.2 else [],
        "user": _rules(dice, version, ("DROP", "DROP", "DROP", "RETURN", "RETURN", "ACCEPT"), 4),
    }
    policy = dice.choice(("ACCEPT", "ACCEPT", "DROP"))
    nft, restore = ("nft", "-f", "-"), (f"{TOOLS[version]}-restore",)
    loads: list[tuple[tuple[str, ...], str]] = []
    if layout == "nftables":
        loads.append((nft, _engines_nft(version, routed=routed, missing=missing)))
        nat = ["*nat", ":PREROUTING ACCEPT", *changes["nat"], "COMMIT"]
        raw = ["*raw", ":PREROUTING ACCEPT", *changes["raw"], "COMMIT"]
        beside = "\n".join([*nat, *raw, "*filter", *changes["input"], "COMMIT", ""])
        loads += [(restore, beside)] if altered else []
    else:
        text = _engines_iptables(version, layout, policy, routed=routed, missing=missing, extra=extra)
        loads.append((restore, text))
        loads += [(nft, _looking_up(dice, version))] if dice.random() < 0.3 else []
    if altered:  # of two chains with one priority the kernel asks the newer one first
        loads.insert(dice.choice((0, len(loads))), (nft, _early_chain(dice, version)))
    if layout == "nftables" or dice.random() < 0.2:
        lines = ["table inet site {", "chain forward {", "type filter hook forward priority 10;"]
        rules = [f"policy {dice.choice(('accept', 'drop'))};", "ct state established accept"]
        loads.append((nft, "\n".join([*lines, *rules, *_nft_rules(dice, version), "}", "}", ""])))
    host.host.run("nft", "flush", "ruleset")
    for command, text in loads:
        host.host.run(*command, given=text)
    text = "".join(text for _, text in loads)
    with host.host.entered():
        facts, around = firewall.read(), network.read()
    snapshot = make(
        firewall=only(facts),
        network=only(around),
        **{"engine": {"proxies": 2 * proxies}, "daemon.config": {"parsed": {"userland-proxy": proxies}}},
        **_engine(version, routed, nftables=layout == "nftables", loopback=loopback, bare=bare),
    )
    ways = _ways(version, routed, loopback=loopback, bare=bare)
    real = host.reached([probe for some in ways.values() for probe in some], ())
    return Observed(text, version, snapshot, loopback, ways, real)


def _host_ip(version: int, number: int, *, loopback: bool) -> str:
    """The address of the host at which a container's port is published."""
    if loopback and number == 1:
        return "::1" if version == 6 else "127.0.0.1"
    return "::" if version == 6 else "0.0.0.0"


def _engine(version: int, routed: str, *, nftables: bool, loopback: bool, bare: bool) -> dict[str, Any]:
    """What the engine tells of its containers and networks; one port may be published for the host alone."""
    containers, networks = [], []
    for number, (bridge, own) in enumerate(PLACES.items()):
        options = {"com.docker.network.bridge.name": bridge}
        if bridge == routed:
            options[f"com.docker.network.bridge.gateway_mode_ipv{version}"] = "routed"
        networks.append(
            {"Name": bridge, "Id": bridge * 8, "Driver": "bridge", "EnableIPv6": True, "Options": options}
        )
        host_ip = _host_ip(version, number, loopback=loopback)
        bindings = [{"HostIp": host_ip, "HostPort": str(NAMED[0] + number)}]
        ipv6 = "" if bare and number == 1 else own[6]
        attached = {"NetworkID": bridge * 8, "IPAddress": own[4], "GlobalIPv6Address": ipv6}
        ports = {"80/tcp": bindings, "80/udp": bindings}
        settings = {"Ports": only(ports), "Networks": only({bridge: attached})}
        containers.append(container(f"web{number}", NetworkSettings=settings))
    found: dict[str, Any] = {"docker.containers": containers, "docker.networks": networks}
    return found | ({"docker.info": {"FirewallBackend": {"Driver": "nftables"}}} if nftables else {})


def _ways(
    version: int, routed: str, *, loopback: bool, bare: bool
) -> dict[tuple[str, str, bool], list[Probe]]:
    """What is tried: see ``Observed.ways``."""
    ways: dict[tuple[str, str, bool], list[Probe]] = {}
    for number, (bridge, own) in enumerate(PLACES.items()):
        for protocol, (port, inside) in product(("tcp", "udp"), (NAMED, UNNAMED)):
            places = [] if bare and number == 1 else [(own[version], inside)]
            if (bridge != routed or (bare and number == 1)) and not (loopback and number == 1):
                places += [(each, port + number) for each in OWN[version]]
                places += [
                    (each, at)
                    for each in OWN[version]
                    for at, to in REDIRECTED.items()
                    if to == port + number
                ]
            ways[f"web{number}", protocol, port == NAMED[0]] = [
                Probe(protocol, name, source, target, at, 33000 + number)
                for (name, source), (target, at) in product(MANY[version], places)
            ]
    return ways


def disagreements(
    seen: Observed, reach: Callable[[Sequence[Probe]], Mapping[Probe, bool]] | None = None
) -> list[str]:
    """Return where the verdict about a port differs from what arrives there.

    Args:
        seen: the case.
        reach: tries once more, and waits, what did not arrive although the verdict is that it does.
    """
    return list(_differences(seen, seen.verdict, reach))


def _differences(
    seen: Observed, verdict: Verdict, reach: Callable[[Sequence[Probe]], Mapping[Probe, bool]] | None
) -> Iterator[str]:
    version, text, real = seen.version, seen.text, seen.real
    open_ports = {each.name for each in verdict.offenders if verdict.status is Status.FAIL}
    undecided = verdict.undecided.offenders if verdict.undecided else ()
    doubtful = {each.name for each in (*(() if open_ports else verdict.offenders), *undecided)}
    for (name, protocol, named), probes in seen.ways.items():
        if not named:
            continue
        host_ip = _host_ip(version, int(name[-1]), loopback=seen.loopback)
        host_ip = f"[{host_ip}]" if version == 6 else host_ip
        shown = f"{name} {host_ip}:{NAMED[0] + int(name[-1])}/{protocol}"
        arrived = [probe for probe in probes if real[probe]]
        others = [probe for probe in seen.ways[name, protocol, False] if real[probe]]
        ways_in = [
            {(probe.interface, probe.source, probe.destination in OWN[version]) for probe in some}
            for some in (arrived, others)
        ]
        if shown in open_ports and not arrived and not (reach and any(reach(probes).values())):
            yield f"{shown} fails, and nothing arrives"
        if shown in doubtful and not any(each in text for each in DOUBTFUL):
            yield f"{shown} is for a person, and all conditions are understood"
        opening = re.findall(
            r"^(?:.*--notrack|-A INPUT.*ACCEPT|-A PREROUTING.*(?:REDIRECT|DNAT) .*)$", text, re.MULTILINE
        )
        if any(str(NAMED[0] + int(name[-1])) in line for line in opening):
            continue  # docker-proxy may serve the port by a rule that names it, and the kernel the other one
        if shown not in open_ports | doubtful and ways_in[0] & ways_in[1]:
            yield f"{shown} passes, and {arrived[0]} arrives, and so does {others[0]}"
