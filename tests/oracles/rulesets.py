"""Random rules of a packet filter, for iptables, ip6tables and nft."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from functools import partial

from tests.oracles.connecting import OWN, SOURCES

# Networks that rules name; no judged packet comes from the few.
FEW = {4: ("192.0.2.0/24", "10.1.0.0/16"), 6: ("2001:db8::/32", "fd00::/8")}
WIDE = {
    4: ("0.0.0.0/1", "128.0.0.0/1", "8.0.0.0/5"),
    6: ("2000::/4", "2600::/7", "2000::/3"),
}
HALF = {4: "128.0.0.0/1", 6: "2800::/5"}  # of the addresses that packets come from
ADDRESS_TYPES = {
    4: ("LOCAL", "UNICAST", "MULTICAST", "LOCAL,UNICAST", "LOCAL,MULTICAST", "UNICAST,BROADCAST"),
    6: ("LOCAL", "UNICAST", "MULTICAST", "LOCAL,UNICAST", "LOCAL,MULTICAST"),
}
STATES = ("new", "established,related", "invalid", "untracked", "new,untracked")
SPANS = ("1:65535", "1024:65535", "1:1023", "20000:50000", "443:8080", "30000:32767")
APART = ("1025-8079", "20000-29999", "30000-32767", "40000-50000", "50001-65535")  # none is in another
SINGLE = (1, 22, 53, 80, 443, 1024, 8080, 20000, 40000, 65535, 7777)
FLAGS = ("FIN,SYN,RST,ACK SYN", "SYN,ACK ACK", "SYN SYN", "RST RST", "ALL SYN", "FIN,SYN FIN,SYN")
# By these the judge cannot say what a rule takes: none of it, of UDP, of version 6.
_DOUBTFUL = re.compile(
    r"mark|limit|statistic|recent|src-type UNICAST|NFQUEUE|meta pkttype|(?<!! )--ports"
    r"|iifname \. |dport != \{ [^}]* \. |saddr >|status !=|ttl|length|maxseg|@th|quota"
)
_DOUBTFUL_OF_UDP = re.compile(r"-m pkttype")
_DOUBTFUL_IN_6 = re.compile(r"dst-type [A-Z]+,")
_ORDER = re.compile(r" [<>]=? \d")
# What a condition is about: nft takes no two that differ, or does not list one of them.
_TRANSPORT = re.compile(r"\b(tcp|udp|th|sctp|icmp|icmpv6|l4proto|ip protocol|nexthdr|proto-dst)\b")
_VERSION = re.compile(r"\b(ip|ip6|nfproto|protocol|icmp|icmpv6)\b")
DOUBTFUL_IN_NFT = (
    "ct status != dnat",
    "ip ttl > 5",
    "meta length >= 20",
    "udp length 8-1000",
    "tcp option maxseg size 1-65535",
    "ip saddr >= 128.0.0.0",
    "@th,16,16 22",
    "quota over 1 mbytes",
)
Conditions = Sequence[Callable[[random.Random, int], str]]


def is_doubtful(rules: str, version: int, protocol: str) -> bool:
    """Whether the judge cannot say what some rule takes of a protocol."""
    return bool(
        _DOUBTFUL.search(rules)
        or (protocol == "udp" and _DOUBTFUL_OF_UDP.search(rules))
        or (version == 6 and _DOUBTFUL_IN_6.search(rules))
    )


def _not(dice: random.Random) -> str:
    return "! " if dice.random() < 0.3 else ""


def _address(dice: random.Random, version: int) -> str:
    return dice.choice(FEW[version] + WIDE[version])


def _own(dice: random.Random, version: int) -> str:
    return dice.choice(OWN[version] + (("198.51.100.0/24",) if version == 4 else ("2a00::/16",)))


def _protocol(dice: random.Random) -> str:
    return dice.choice(("tcp", "udp"))


def _ports(dice: random.Random) -> str:
    return dice.choice((*SPANS, str(dice.choice(SINGLE)), str(dice.choice(SINGLE))))


def _dport(dice: random.Random, version: int) -> str:
    name = _protocol(dice)
    side = dice.choice(("--dport", "--dport", "--dport", "--sport"))
    return f"-p {name} -m {name} {_not(dice)}{side} {_ports(dice)}"


def _multiport(dice: random.Random, version: int) -> str:
    several = ",".join({_ports(dice) for _ in range(dice.randint(1, 3))})
    side = dice.choice(("--dports", "--dports", "--sports", "--ports"))
    return f"-p {_protocol(dice)} -m multiport {_not(dice)}{side} {several}"


def _states(dice: random.Random, version: int) -> str:
    names = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "DNAT")
    return f"-m conntrack {_not(dice)}--ctstate {','.join(dice.sample(names, dice.randint(1, 3)))}"


def _types(dice: random.Random, version: int) -> str:
    if dice.random() < 0.7:
        return f"-m addrtype {_not(dice)}--dst-type {dice.choice(ADDRESS_TYPES[version])}"
    return f"-m addrtype {_not(dice)}--src-type {dice.choice(('LOCAL', 'MULTICAST', 'UNICAST'))}"


def _range(dice: random.Random, version: int) -> str:
    ends = ("1.0.0.0-9.255.255.255", "128.0.0.0-223.0.0.0", "192.0.2.1-192.0.2.99")
    if version == 6:
        ends = ("2000::-2001:ffff::", "2002::-2fff::", "2001:db8::1-2001:db8::ff")
    return f"-m iprange {_not(dice)}--src-range {dice.choice(ends)}"


IPTABLES: Conditions = (
    lambda dice, _: f"{_not(dice)}-i {dice.choice(('eth0', 'eth1', 'eth+', 'lo', 'docker0', 'br-+', '-x'))}",
    lambda dice, _: f"{_not(dice)}-i {dice.choice(('eth0', 'eth1'))}",
    lambda dice, version: f"{_not(dice)}-s {_address(dice, version)}",
    lambda dice, version: f"{_not(dice)}-d {_own(dice, version)}",
    lambda dice, _: f"{_not(dice)}-p {_protocol(dice)}",
    _dport,
    _dport,
    _multiport,
    lambda dice, _: f"-p tcp -m tcp {_not(dice)}--tcp-flags {dice.choice(FLAGS)}",
    _states,
    _types,
    _types,
    _range,
    lambda dice, _: f"-m pkttype {_not(dice)}--pkt-type {dice.choice(('unicast', 'broadcast', 'multicast'))}",
    lambda dice, _: f"-m mark {_not(dice)}--mark {dice.choice(('0x0', '0x1'))}",
    lambda dice, _: f"-m limit --limit {dice.choice(('1/min', '1000/sec'))}",
    lambda dice, _: f"-m statistic --mode random {_not(dice)}--probability 0.5",
    lambda dice, _: f"-m recent {_not(dice)}--rcheck --name none --rsource",
    lambda dice, _: f'-m comment --comment "{dice.choice(("-j ACCEPT", "say no", "! -i eth0"))}"',
    lambda dice, _: f"-m conntrack --ctdir {dice.choice(('ORIGINAL', 'REPLY'))}",
    lambda dice, _: f"-m conntrack {_not(dice)}--ctorigdstport {_ports(dice)}",
)


def _rule(dice: random.Random, version: int, calls: Sequence[str]) -> str:
    conditions: list[str] = []
    taken: set[str] = set()
    for condition in dice.sample(IPTABLES, dice.choice((0, 1, 1, 1, 1, 1, 1, 2, 2, 3))):
        text = condition(dice, version)
        words = {word for word in text.split() if word.startswith("-")} - {"-m"}
        if not words & taken:  # each option once; a protocol goes with what needs it
            taken |= words
            conditions.append(text)
    targets = [*["-j ACCEPT", "-j DROP"] * 3, *["-j RETURN"] * 2, dice.choice(("-j LOG", ""))]
    targets += [f"-j {name}" for name in calls] * 2 + [f"-g {name}" for name in calls]
    targets += ["-j NFQUEUE", "-j NFQUEUE --queue-bypass"] if dice.random() < 0.4 else []
    if any(each.startswith("-p udp") for each in conditions):
        targets.append("-j REJECT")  # its error would end a connection of TCP that has come about
    return " ".join([*conditions, dice.choice(targets)])


def _some(
    dice: random.Random, made: Callable[[], str], most: int, *, plain: bool, least: int = 0
) -> list[str]:
    """Some rules; with ``plain`` none of which it cannot be said what it takes."""
    rules: list[str] = []
    for _ in range(dice.randint(least, most)):
        rule, again = made(), dice.random()
        while is_doubtful(rule, 4, "tcp") if plain else again < 0.3 and not is_doubtful(rule, 4, "tcp"):
            rule = made()
        rules.append(rule)
    return rules


def iptables(dice: random.Random, version: int, *, plain: bool = False) -> str:
    """Rules for ``iptables-restore``, or ``ip6tables-restore`` where the version is 6."""
    halves = [f"-s {HALF[version]}", f"! -s {HALF[version]}"]
    sent = [
        f"-i {name} -d {own} {half} {dice.choice(('-j', '-g'))} "
        for name in SOURCES
        for own in OWN[version]
        for half in halves
    ]
    ends = ("-j ACCEPT", "-j DROP", "-j RETURN")
    bodies = _bodies(dice, partial(_rule, dice, version), "C", sent, ends, plain=plain)
    lines = ["*filter", f":INPUT {dice.choice(('ACCEPT', 'DROP', 'DROP'))} [0:0]"]
    lines += [f":{name} - [0:0]" for name in bodies if name]
    lines += [f"-A {name or 'INPUT'} {rule}" for name, rules in bodies.items() for rule in rules]
    lines.append("COMMIT")
    if dice.random() < 0.1:
        rules = _some(dice, partial(_rule, dice, version, ()), 2, plain=plain)
        rules = [f"-A INPUT {rule.replace('REJECT', 'DROP')}" for rule in rules]  # it is for the filter alone
        lines += ["*mangle", ":INPUT ACCEPT [0:0]", *rules, "COMMIT"]
    if dice.random() < 0.25:
        conditions = dice.choice(
            ("", "-i eth0", "-p udp", "-p tcp -m tcp --dport 22", f"-d {OWN[version][0]}")
        )
        target = dice.choice(("DROP", "CT --notrack", "CT --notrack", "CT --notrack"))
        lines += ["*raw", ":PREROUTING ACCEPT [0:0]", f"-A PREROUTING {conditions} -j {target}", "COMMIT"]
    return "\n".join(lines) + "\n"


def _bodies(
    dice: random.Random,
    made: Callable[[Sequence[str]], str],
    prefix: str,
    sent: Sequence[str],
    ends: Sequence[str],
    *,
    plain: bool,
) -> dict[str, list[str]]:
    """The rules of each chain; those of the base chain, which has no name, at last.

    Args:
        dice: of this case.
        made: a rule, by the chains that it may call.
        prefix: of the names of chains.
        sent: beginnings of rules that share out the packets, so that each chain decides a part of them.
        ends: rules that decide the rest of a part.
        plain: as for ``_some``.
    """
    if dice.random() < 0.5:
        shared = [f"{prefix}{number}" for number in range(len(sent))]
        found = {
            name: [*_some(dice, partial(made, ()), 2, plain=plain, least=1), dice.choice(ends)]
            for name in shared
        }
        return found | {"": [beginning + name for beginning, name in zip(sent, shared, strict=True)]}
    names = [f"{prefix}{number}" for number in range(dice.randint(0, 3))]
    found = {
        name: _some(dice, partial(made, names[index + 1 :]), 4, plain=plain)
        for index, name in enumerate(names)
    }
    return found | {"": _some(dice, partial(made, names), 6, plain=plain)}


def _nft_ports(dice: random.Random) -> str:
    if dice.random() < 0.6:
        return _ports(dice).replace(":", "-")
    return "{ " + ", ".join(dice.sample((*APART, *map(str, SINGLE[:5]), "8080"), dice.randint(2, 3))) + " }"


def _nft_not(dice: random.Random) -> str:
    return "!= " if dice.random() < 0.3 else ""


def _nft_address(dice: random.Random) -> str:
    version = dice.choice((4, 6))
    family = "ip" if version == 4 else "ip6"
    if dice.random() < 0.1:
        return f"ip saddr {_nft_not(dice)}1.0.0.0-9.255.255.255"
    if dice.random() < 0.3:
        return f"{family} saddr {_nft_not(dice)}@some{version}"
    if dice.random() < 0.3:
        return f"{family} daddr {_nft_not(dice)}{_own(dice, version)}"
    return f"{family} saddr {_nft_not(dice)}{_address(dice, version)}"


# What the judge takes one by one: of pairs, that a packet has a source and a port that some pair has.
SOURCE_AND_PORT = {4: "8.7.6.5 . 22, 150.1.2.3 . 80", 6: "2001:7::5 . 22, 2c00:1::5 . 80"}
NFT: Conditions = (
    lambda dice, _: f"iifname {_nft_not(dice)}{dice.choice(('eth0', 'eth1', 'eth*', 'lo', 'docker0'))}",
    lambda dice, _: _pairs(dice),
    lambda dice, _: f"iif {_nft_not(dice)}{dice.choice(('eth0', 'eth1', 'lo'))}",
    lambda dice, _: f'iifname {_nft_not(dice)}{{ "eth0", "lo" }}',
    lambda dice, _: _nft_address(dice),
    lambda dice, _: _nft_address(dice),
    lambda dice, _: f"{dice.choice(('tcp', 'udp', 'th'))} dport {_nft_not(dice)}{_nft_ports(dice)}",
    lambda dice, _: f"{dice.choice(('tcp', 'udp'))} dport {_nft_not(dice)}{_nft_ports(dice)}",
    lambda dice, _: f"udp sport {_nft_not(dice)}{_nft_ports(dice)}",
    lambda dice, _: _ordered(dice),
    lambda dice, _: _ordered(dice),
    lambda dice, _: f"tcp dport {_nft_not(dice)}@ports",
    lambda dice, _: f"ct original proto-dst {_nft_not(dice)}{_nft_ports(dice)}",
    lambda dice, _: f"meta l4proto {_nft_not(dice)}{dice.choice(('tcp', 'udp', 'icmp', '{ tcp, udp }'))}",
    lambda dice, _: f"meta {dice.choice(('nfproto ipv', 'nfproto != ipv'))}{dice.choice('46')}",
    lambda dice, _: f"meta protocol {_nft_not(dice)}{dice.choice(('ip', 'ip6'))}",
    lambda dice, _: (
        f"{dice.choice(('ip protocol', 'ip6 nexthdr'))} {_nft_not(dice)}{dice.choice(('tcp', 'udp'))}"
    ),
    lambda dice, _: f"ct state {_nft_not(dice)}{dice.choice(STATES)}",
    lambda dice, _: f"ct state {dice.choice(('', '! '))}{dice.choice(STATES)}",
    lambda dice, _: f"ct status {dice.choice(('', '! '))}dnat",
    lambda dice, _: f"ct state {{ established, {dice.choice(('new', 'related', 'invalid'))} }}",
    lambda dice, _: f"ct direction {dice.choice(('original', 'reply'))}",
    lambda dice, _: (
        f"tcp flags {dice.choice(('syn', 'ack', '! ack', '! syn', '== syn', '!= syn', '!= syn,ack'))}"
    ),
    lambda dice, _: (
        f"tcp flags & (fin|syn|rst|ack) {dice.choice(('==', '!='))} {dice.choice(('syn', 'syn', 'ack', '0'))}"
    ),
    lambda dice, _: (
        f"fib daddr type {_nft_not(dice)}{dice.choice(('local', 'broadcast', '{ local, unicast }'))}"
    ),
    lambda dice, _: dice.choice(("icmp type echo-request", "icmpv6 type echo-request", "sctp dport 22")),
    lambda dice, _: dice.choice(DOUBTFUL_IN_NFT),
    lambda dice, _: f"meta mark {_nft_not(dice)}{dice.choice(('0', '1'))}",
    lambda dice, _: f"limit rate {dice.choice(('', 'over '))}{dice.choice(('1/minute', '1000/second'))}",
    lambda dice, _: f"meta pkttype {_nft_not(dice)}{dice.choice(('host', 'broadcast'))}",
)


def _pairs(dice: random.Random) -> str:
    if dice.random() < 0.15:
        return 'iifname . tcp dport { "eth0" . 1024-65535, "eth1" . 22 }'
    family, version = dice.choice((("ip", 4), ("ip6", 6)))
    operator = "!= " if dice.random() < 0.15 else ""
    return f"{family} saddr . tcp dport {operator}{{ {SOURCE_AND_PORT[version]} }}"


def _ordered(dice: random.Random) -> str:
    name = f"{dice.choice(('tcp', 'udp'))} {dice.choice(('dport', 'dport', 'sport'))}"
    return f"{name} {dice.choice(('<', '>', '<=', '>='))} {dice.choice(SINGLE[1:9])}"


def _goes_with(one: str, other: str) -> bool:
    """Whether nft takes both conditions in a rule, and lists both of them as they are."""
    if _ORDER.search(one) and _ORDER.search(other):
        return False  # listed as one range, also where they are about two fields or exclude each other
    layers = (_TRANSPORT, _VERSION)
    return one[:4] == other[:4] or not any(layer.search(one) and layer.search(other) for layer in layers)


def _nft_rule(dice: random.Random, calls: Sequence[str]) -> str:
    conditions: list[str] = []
    for condition in dice.sample(NFT, dice.choice((0, 1, 1, 1, 1, 1, 1, 2, 2))):
        text = condition(dice, 0)
        if all(_goes_with(text, other) for other in conditions):
            conditions.append(text)
    verdicts = [*["accept", "drop"] * 3, *["return"] * 2, dice.choice(("counter", "log", "continue"))]
    verdicts += [f"jump {name}" for name in calls] * 2 + [f"goto {name}" for name in calls]
    verdicts += ["reject"] if any(each.startswith("udp ") for each in conditions) else []
    verdict = dice.choice(verdicts)
    if dice.random() < 0.2:
        maps = [
            f"ct state vmap {{ established : accept, new : {dice.choice(verdicts[:5])} }}",
            f"tcp dport vmap {{ 22 : accept, {dice.choice(APART)} : {dice.choice(verdicts[:5])} }}",
            "iifname vmap @where",
        ]
        verdict = dice.choice([each for each in maps if all(_goes_with(each, other) for other in conditions)])
    conditions += ["counter"] if dice.random() < 0.2 else []
    return " ".join([*conditions, verdict])


def nft(dice: random.Random, *, plain: bool = False) -> str:
    """Rules for ``nft -f``: tables that see both versions of IP, and some that see one."""
    lines = ["table inet site {"]
    for version, networks in (4, (*FEW[4], "8.0.0.0/7", "128.0.0.0/2")), (6, (*FEW[6], WIDE[6][1])):
        some = ", ".join(dice.sample(networks, 2))
        lines += [
            f"set some{version} {{ type ipv{version}_addr; flags interval;",
            f"elements = {{ {some} }}; }}",
        ]
    some = ", ".join(map(str, dice.sample(SINGLE, 3)))
    lines += [f"set ports {{ type inet_service; elements = {{ {some} }}; }}"]
    where = f'"eth0" : {dice.choice(("accept", "drop"))}, "lo" : accept'
    lines += [f"map where {{ type ifname : verdict; elements = {{ {where} }}; }}"]
    sent = [
        f"iifname {name} {family} daddr {own} {family} saddr {operator}{HALF[version]} "
        f"{dice.choice(('jump', 'goto'))} "
        for name in SOURCES
        for family, version in (("ip", 4), ("ip6", 6))
        for own in OWN[version]
        for operator in ("", "!= ")
    ]
    ends = ("accept", "drop", "return")
    bodies = _bodies(dice, partial(_nft_rule, dice), "c", sent, ends, plain=plain)
    base = bodies.pop("")
    if dice.random() < 0.2:
        base.insert(0, f"ip saddr . tcp dport {{ {SOURCE_AND_PORT[4]} }} accept")
    for name, rules in reversed(bodies.items()):
        lines += [f"chain {name} {{", *rules, "}"]
    policy = dice.choice(("accept", "drop", "drop"))
    lines += [f"chain input {{ type filter hook input priority 0; policy {policy};", *base, "}", "}"]
    if dice.random() < 0.25:
        family = dice.choice(("inet", "inet", "ip", "ip6"))
        verdict = dice.choice(("drop", "notrack", "notrack", "notrack"))
        conditions = dice.choice(("", "iifname eth0", "udp dport 1-65535"))
        lines += [f"table {family} early {{", "chain pre {", "type filter hook prerouting priority raw;"]
        lines += [f"{conditions} {verdict}", "}", "}"]
    if dice.random() < 0.15:
        family, table = dice.choice((("ip", "more"), ("ip6", "more"), ("inet", "asleep")))
        lines += [f"table {family} {table} {{", "flags dormant;" if table == "asleep" else ""]
        lines += ["chain input {", "type filter hook input priority 10;"]
        lines += [f"{dice.choice(('tcp', 'udp'))} dport {_nft_ports(dice)} drop", "}", "}"]
    return "\n".join(lines) + "\n"
