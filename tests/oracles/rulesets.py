"""Random rules of a packet filter, for iptables, ip6tables and nft."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from functools import partial

from tests.oracles.connecting import OWN

# Networks that rules name; no judged packet comes from the few.
FEW = {4: ("192.0.2.0/24", "10.1.0.0/16"), 6: ("2001:db8::/32", "fd00::/8")}
WIDE = {
    4: ("0.0.0.0/1", "128.0.0.0/1", "8.0.0.0/5"),
    6: ("2000::/4", "2600::/7", "2000::/3"),
}
ADDRESS_TYPES = {
    4: ("LOCAL", "UNICAST", "MULTICAST", "LOCAL,UNICAST", "LOCAL,MULTICAST", "UNICAST,BROADCAST"),
    6: ("LOCAL", "UNICAST", "MULTICAST", "LOCAL,UNICAST", "LOCAL,MULTICAST"),
}
STATES = ("new", "established,related", "invalid", "untracked", "new,untracked")
SPANS = ("1:65535", "1024:65535", "1:1023", "20000:50000", "443:8080", "30000:32767")
SINGLE = (1, 22, 53, 80, 443, 1024, 8080, 20000, 40000, 65535, 7777)
FLAGS = ("FIN,SYN,RST,ACK SYN", "SYN,ACK ACK", "SYN SYN", "RST RST", "ALL SYN", "FIN,SYN FIN,SYN")
# By these the judge cannot say what a rule takes.
DOUBTFUL = re.compile(r"mark|limit|statistic|pkttype|--ports|dst-type [A-Z]+,|saddr \. ")
Conditions = Sequence[Callable[[random.Random, int], str]]


def _not(dice: random.Random) -> str:
    return "! " if dice.random() < 0.3 else ""


def _address(dice: random.Random, version: int) -> str:
    return dice.choice(FEW[version] + WIDE[version] + WIDE[version])


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
    names = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
    return f"-m conntrack {_not(dice)}--ctstate {','.join(dice.sample(names, dice.randint(1, 3)))}"


def _range(dice: random.Random, version: int) -> str:
    ends = ("1.0.0.0-9.255.255.255", "128.0.0.0-223.0.0.0", "192.0.2.1-192.0.2.99")
    if version == 6:
        ends = ("2000::-2001:ffff::", "2002::-2fff::", "2001:db8::1-2001:db8::ff")
    return f"-m iprange {_not(dice)}--src-range {dice.choice(ends)}"


# None rejects: the error of a rejected reply would end a connection that had come about.
IPTABLES: Conditions = (
    lambda dice, _: (
        f"{_not(dice)}-i {dice.choice(('eth0', 'eth1', 'eth+', 'lo', 'docker0', 'br-+', 'eth9'))}"
    ),
    lambda dice, _: f"{_not(dice)}-i {dice.choice(('eth0', 'eth1'))}",
    lambda dice, version: f"{_not(dice)}-s {_address(dice, version)}",
    lambda dice, version: f"{_not(dice)}-d {_own(dice, version)}",
    lambda dice, _: f"{_not(dice)}-p {_protocol(dice)}",
    _dport,
    _dport,
    _multiport,
    lambda dice, _: f"-p tcp -m tcp {_not(dice)}--tcp-flags {dice.choice(FLAGS)}",
    _states,
    lambda dice, version: f"-m addrtype {_not(dice)}--dst-type {dice.choice(ADDRESS_TYPES[version])}",
    _range,
    lambda dice, _: f"-m pkttype {_not(dice)}--pkt-type {dice.choice(('unicast', 'broadcast', 'multicast'))}",
    lambda dice, _: f"-m mark {_not(dice)}--mark {dice.choice(('0x0', '0x1'))}",
    lambda dice, _: f"-m limit --limit {dice.choice(('1/min', '1000/sec'))}",
    lambda dice, _: f"-m statistic --mode random {_not(dice)}--probability 0.5",
    lambda dice, _: f'-m comment --comment "{dice.choice(("-j ACCEPT", "say no", "! -i eth0"))}"',
    lambda dice, _: f"-m conntrack --ctdir {dice.choice(('ORIGINAL', 'REPLY'))}",
)


def _rule(dice: random.Random, version: int, chain: str, calls: Sequence[str]) -> str:
    conditions: list[str] = []
    taken: set[str] = set()
    for condition in dice.sample(IPTABLES, dice.choice((0, 1, 1, 1, 2, 2, 3))):
        text = condition(dice, version)
        words = {word for word in text.split() if word.startswith("-")} - {"-m"}
        if not words & taken:  # each option once; a protocol goes with what needs it
            taken |= words
            conditions.append(text)
    targets = ["-j ACCEPT", "-j ACCEPT", "-j DROP", "-j DROP", "-j RETURN", "-j LOG", ""]
    targets += [f"-j {name}" for name in calls] * 2 + [f"-g {name}" for name in calls]
    return " ".join(["-A", chain, *conditions, dice.choice(targets)])


def _some(dice: random.Random, made: Callable[[], str], most: int, *, plain: bool) -> list[str]:
    """Some rules; with ``plain`` none of which it cannot be said what it takes."""
    rules: list[str] = []
    for _ in range(dice.randint(0, most)):
        rule = made()
        while plain and DOUBTFUL.search(rule):
            rule = made()
        rules.append(rule)
    return rules


def iptables(dice: random.Random, version: int, *, plain: bool = False) -> str:
    """Rules for ``iptables-restore``, or ``ip6tables-restore`` where the version is 6."""
    names = [f"C{number}" for number in range(dice.randint(0, 3))]
    lines = ["*filter", f":INPUT {dice.choice(('ACCEPT', 'DROP', 'DROP'))} [0:0]"]
    lines += [f":{name} - [0:0]" for name in names]
    for index, name in enumerate(names):
        calls = names[index + 1 :]
        lines += _some(dice, partial(_rule, dice, version, name, calls), 4, plain=plain)
    lines += _some(dice, partial(_rule, dice, version, "INPUT", names), 6, plain=plain)
    lines.append("COMMIT")
    if dice.random() < 0.15:
        conditions = dice.choice(("-i eth0", "-p udp", "-p tcp -m tcp --dport 22", f"-d {OWN[version][0]}"))
        target = dice.choice(("DROP", "CT --notrack", "CT --notrack"))
        lines += ["*raw", ":PREROUTING ACCEPT [0:0]", f"-A PREROUTING {conditions} -j {target}", "COMMIT"]
    return "\n".join(lines) + "\n"


def _nft_ports(dice: random.Random) -> str:
    several = [_ports(dice).replace(":", "-") for _ in range(dice.randint(1, 3))]
    return several[0] if len(several) == 1 else "{ " + ", ".join(several) + " }"


def _nft_not(dice: random.Random) -> str:
    return "!= " if dice.random() < 0.3 else ""


def _nft_address(dice: random.Random) -> str:
    version = dice.choice((4, 6))
    family = "ip" if version == 4 else "ip6"
    if dice.random() < 0.3:
        return f"{family} saddr {_nft_not(dice)}@some{version}"
    if dice.random() < 0.3:
        return f"{family} daddr {_nft_not(dice)}{_own(dice, version)}"
    if dice.random() < 0.2:
        return f"{family} saddr . tcp dport {{ {SOURCE_AND_PORT[version]} }}"
    return f"{family} saddr {_nft_not(dice)}{_address(dice, version)}"


SOURCE_AND_PORT = {4: "8.7.6.5 . 22, 150.1.2.3 . 80", 6: "2001:7::5 . 22, 2c00:1::5 . 80"}
NFT: Conditions = (
    lambda dice, _: (
        f"iifname {_nft_not(dice)}{dice.choice(('eth0', 'eth1', 'eth*', 'lo', 'docker0', 'eth9'))}"
    ),
    lambda dice, _: f"iif {_nft_not(dice)}{dice.choice(('eth0', 'eth1', 'lo'))}",
    lambda dice, _: f'iifname {_nft_not(dice)}{{ "eth0", "lo" }}',
    lambda dice, _: _nft_address(dice),
    lambda dice, _: _nft_address(dice),
    lambda dice, _: f"{dice.choice(('tcp', 'udp', 'th'))} dport {_nft_not(dice)}{_nft_ports(dice)}",
    lambda dice, _: f"{dice.choice(('tcp', 'udp'))} dport {_nft_not(dice)}{_nft_ports(dice)}",
    lambda dice, _: f"udp sport {_nft_not(dice)}{_nft_ports(dice)}",
    lambda dice, _: f"tcp dport {dice.choice(('<', '>', '<=', '>='))} {dice.choice(SINGLE[1:9])}",
    lambda dice, _: f"tcp dport {_nft_not(dice)}@ports",
    lambda dice, _: f"meta l4proto {_nft_not(dice)}{dice.choice(('tcp', 'udp', 'icmp', '{ tcp, udp }'))}",
    lambda dice, _: f"meta nfproto {dice.choice(('ipv4', 'ipv6'))}",
    lambda dice, _: f"ct state {_nft_not(dice)}{dice.choice(STATES)}",
    lambda dice, _: f"ct state {{ established, {dice.choice(('new', 'related', 'invalid'))} }}",
    lambda dice, _: f"ct direction {dice.choice(('original', 'reply'))}",
    lambda dice, _: (
        f"tcp flags {dice.choice(('syn', 'ack', 'syn,ack', '& (fin|syn|rst|ack) == syn', '!= syn'))}"
    ),
    lambda dice, _: (
        f"fib daddr type {_nft_not(dice)}{dice.choice(('local', 'broadcast', '{ local, unicast }'))}"
    ),
    lambda dice, _: "icmp type echo-request",
    lambda dice, _: f"meta mark {_nft_not(dice)}{dice.choice(('0', '1'))}",
    lambda dice, _: f"limit rate {dice.choice(('', 'over '))}{dice.choice(('1/minute', '1000/second'))}",
    lambda dice, _: f"meta pkttype {_nft_not(dice)}{dice.choice(('host', 'broadcast'))}",
)


def _nft_rule(dice: random.Random, calls: Sequence[str]) -> str:
    conditions = [each(dice, 0) for each in dice.sample(NFT, dice.choice((0, 1, 1, 1, 2, 2)))]
    if any("saddr" in each or "daddr" in each for each in conditions):
        # nft lists no condition on the version beside an address, not even one that contradicts it.
        conditions = [each for each in conditions if "nfproto" not in each]
    verdicts = ["accept", "accept", "drop", "drop", "return", "counter", "log", "continue"]
    verdicts += [f"jump {name}" for name in calls] * 2 + [f"goto {name}" for name in calls]
    verdict = dice.choice(verdicts)
    if dice.random() < 0.12:
        verdict = dice.choice(
            (
                f"ct state vmap {{ established : accept, new : {dice.choice(verdicts[:5])} }}",
                f"tcp dport vmap {{ 22 : accept, {dice.choice(SPANS[1:]).replace(':', '-')} : drop }}"
                if dice.random() < 0.5
                else "tcp dport vmap { 80 : accept, 443 : drop }",
                "iifname vmap @where",
            )
        )
    return " ".join([*conditions, verdict])


def nft(dice: random.Random, *, plain: bool = False) -> str:
    """Rules for ``nft -f``: tables that see both versions of IP."""
    names = [f"c{number}" for number in range(dice.randint(0, 3))]
    lines = ["table inet site {"]
    for version, networks in (4, (*FEW[4], "8.0.0.0/5", "128.0.0.0/2")), (6, (*FEW[6], WIDE[6][1])):
        some = ", ".join(dice.sample(networks, 2))
        lines += [
            f"set some{version} {{ type ipv{version}_addr; flags interval;",
            f"elements = {{ {some} }}; }}",
        ]
    some = ", ".join(map(str, dice.sample(SINGLE, 3)))
    lines += [f"set ports {{ type inet_service; elements = {{ {some} }}; }}"]
    where = f'"eth0" : {dice.choice(("accept", "drop"))}, "lo" : accept'
    lines += [f"map where {{ type ifname : verdict; elements = {{ {where} }}; }}"]
    for index, name in reversed(list(enumerate(names))):
        rules = _some(dice, partial(_nft_rule, dice, names[index + 1 :]), 4, plain=plain)
        lines += [f"chain {name} {{", *rules, "}"]
    policy = dice.choice(("accept", "drop", "drop"))
    rules = _some(dice, partial(_nft_rule, dice, names), 6, plain=plain)
    lines += ["chain input {", f"type filter hook input priority 0; policy {policy};", *rules, "}", "}"]
    if dice.random() < 0.15:
        verdict = dice.choice(("drop", "notrack"))
        conditions = dice.choice(("iifname eth0", "udp dport 1-65535", "ip daddr 198.51.100.7"))
        lines += [
            "table inet early { chain pre {",
            "type filter hook prerouting priority raw; policy accept;",
        ]
        lines += [f"{conditions} {verdict}", "} }"]
    return "\n".join(lines) + "\n"
