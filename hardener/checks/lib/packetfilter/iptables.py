"""Parse the output of ``iptables-save`` and ``ip6tables-save``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from hardener.checks.lib.packetfilter.chains import Chain, Key, Rule, Ruleset
from hardener.checks.lib.packetfilter.ipsets import IpSet, Taken, read_ipsets
from hardener.checks.lib.packetfilter.sets import (
    EARLY,
    NEW,
    TRANSLATED,
    UNTRACKED,
    Condition,
    Dimension,
    Intervals,
    addresses,
    both,
    everything,
    interface,
    kinds,
    network,
    normal,
    subtract,
)
from hardener.snapshot import FactUnavailable

_UNQUOTED = re.compile(r"[!#-&(-\[\]-~ ]*")  # printable ASCII except quotes and the backslash
# Modules that match by their options only; any other module may match by itself.
_MODULES = frozenset(
    {"addrtype", "comment", "conntrack", "iprange", "multiport", "pkttype", "set", "state", "tcp", "udp"}
    | {"icmp", "icmp6"}
)
_OPTIONS = {
    "-i": Dimension.IIF,
    "-o": Dimension.OIF,
    "-s": Dimension.SOURCE,
    "-d": Dimension.DESTINATION,
    "--src-range": Dimension.SOURCE,
    "--dst-range": Dimension.DESTINATION,
    "--sport": Dimension.SOURCE_PORT,
    "--sports": Dimension.SOURCE_PORT,
    "--dport": Dimension.PORT,
    "--dports": Dimension.PORT,
    "--ctorigdstport": Dimension.ORIGINAL_PORT,
    "--ctorigsrc": Dimension.SOURCE,
    "--ctproto": Dimension.KIND,
}
# Modules and targets that make the kernel track connections.
TRACKING = frozenset(
    {"connbytes", "connmark", "conntrack", "state", "DNAT", "MASQUERADE", "REDIRECT", "SNAT"}
)
_OF_CONNECTIONS = frozenset({"--ctorigdstport", "--ctorigsrc", "--ctproto"})
_FOR_OTHERS = frozenset({"ANYCAST", "BLACKHOLE", "BROADCAST", "MULTICAST", "PROHIBIT", "UNREACHABLE"})
_WITHOUT_VALUE = frozenset({"-f", "--limit-iface-in", "--limit-iface-out"})
_STATES = {"NEW": {NEW, TRANSLATED}, "DNAT": {TRANSLATED}, "UNTRACKED": {UNTRACKED}, "INVALID": {EARLY}}
_PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "security": 50}
# Of a target that translates: an address and a port, not ranges.
_TO = re.compile(r"--to-(?:destination (?:\[(\S+)\]|([0-9.]+|[0-9a-f:]+)):?|ports )([0-9]*)(?= |$)")
_PROTOCOLS = {"6": "tcp", "17": "udp"}
# Targets after which a packet continues in the chain.
_PASSING = frozenset(
    {
        "AUDIT",
        "CHECKSUM",
        "CLASSIFY",
        "CONNMARK",
        "CONNSECMARK",
        "CT",
        "DSCP",
        "ECN",
        "HL",
        "HMARK",
        "IDLETIMER",
    }
    | {"LED", "LOG", "MARK", "NFLOG", "NOTRACK", "RATEEST", "SECMARK", "SET", "TCPMSS", "TCPOPTSTRIP", "TEE"}
    | {"TOS", "TRACE", "TTL", "ULOG"}
)
ALL: Taken = ({}, {})
NONE: Taken = (None, None)
UNKNOWN: Taken = ({}, None)


@lru_cache(maxsize=4)  # two for each address family of the judged host
def read_save(text: str, family: str, ipsets: str = "") -> Ruleset:
    """Parse the output of ``iptables-save``.

    Args:
        text: the output.
        family: ``ip`` or ``ip6``.
        ipsets: the output of ``ipset save``.

    Raises:
        FactUnavailable: a line is not what iptables-save prints.
    """
    chains: dict[Key, Chain] = {}
    version = 6 if family == "ip6" else 4
    sets = read_ipsets(ipsets, version)
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            name, policy = [*line[1:].split(), "-", "-"][:2]
            key = (family, table, name)
            hook, policy = ("", "") if policy == "-" else (name.lower(), policy.lower())
            priority, translates = _PRIORITIES.get(table, 0), table == "nat"
            chains[key] = Chain(key, hook, policy, priority=priority, translates=translates)
        elif line.startswith("-A "):
            name, words = _words(line)
            key = (family, table, name)
            chains.setdefault(key, Chain(key)).rules.append(_rule(line, words, version, sets))
    return Ruleset({key: _known_targets(chain, chains) for key, chain in chains.items()}, version)


def target_of(name: str) -> tuple[str, str]:
    """Return the verdict of an iptables target, and the chain that it leads to."""
    match name:
        case "ACCEPT" | "DROP" | "RETURN":
            return name.lower(), ""
        case "REJECT" | "TARPIT":
            return "drop", ""
        case "":
            return "", ""
        case _:
            return ("", "") if name in _PASSING else ("jump", name)


def _known_targets(chain: Chain, chains: dict[Key, Chain]) -> Chain:
    """Return the chain with jumps to unknown chains marked as unknown, since these are target extensions."""
    rules = [
        replace(rule, verdict="unknown")
        if rule.verdict == "jump" and (*chain.key[:2], rule.target) not in chains
        else rule
        for rule in chain.rules
    ]
    return replace(chain, rules=rules)


def _words(line: str) -> tuple[str, list[str]]:
    """Return the chain that a line adds a rule to, and the words of the rule."""
    try:
        # shlex is slow, and equivalent without quotes and with spaces as the only blanks
        _, chain, *words = line.split() if _UNQUOTED.fullmatch(line) else shlex.split(line)
    except ValueError as error:  # either verdict would be a guess
        raise FactUnavailable("firewall", f"a rule cannot be read: {line[:80]}") from error
    return chain, words


def _rule(line: str, words: Sequence[str], version: int, sets: Mapping[str, IpSet]) -> Rule:
    may, must = ALL
    index = 0
    negated = tracks = False
    while index < len(words):
        word = words[index]
        index += 1
        if word == "!":
            negated = True
            continue
        if word in ("-j", "-g"):  # the target's own options follow
            name = words[index] if index < len(words) else ""
            verdict, target = ("goto", name) if word == "-g" else target_of(name)
            untracks = "--notrack" in words or name == "NOTRACK"
            to = _TO.search(" ".join(words[index:])) if name in ("DNAT", "REDIRECT") else None
            if to and (change := moved(to[1] or to[2], to[3], version)):
                return Rule(line, "accept", "", may, must, tracks=True, moved=change)
            return Rule(line, verdict, target, may, must, untracks, tracks or name in TRACKING)
        values: list[str] = []
        if word not in _WITHOUT_VALUE and index < len(words):
            takes_any = word in ("--comment", "-i", "-o")  # names that may begin with a dash
            while index < len(words) and (
                (takes_any and not values) or (words[index] != "!" and not words[index].startswith("-"))
            ):
                values.append(words[index])
                index += 1
        tracks |= word == "-m" and not TRACKING.isdisjoint(values)
        if word == "--match-set":
            at_most, at_least = _in_set(values, version, sets, negated=negated)
        else:
            at_most, at_least = _condition(word, values, version, negated=negated)
        may, must = both(may, at_most), both(must, at_least)
        negated = False
    return Rule(line, "", "", may, must, tracks=tracks)


def _in_set(values: Sequence[str], version: int, sets: Mapping[str, IpSet], *, negated: bool) -> Taken:
    match values:
        case [name, sides] if name in sets:
            return sets[name].taken(sides.split(","), version, negated=negated)
        case _:
            return UNKNOWN


def _condition(option: str, values: Sequence[str], version: int, *, negated: bool) -> Taken:
    """Return the packets that a condition matches."""
    value = values[0] if values else ""
    match option:
        case "-m" | "--match":
            return ALL if value in _MODULES else UNKNOWN
        case "--comment":
            return ALL
        case "-p" | "--protocol":
            return restrict(Dimension.KIND, kinds([_PROTOCOLS.get(value, value)]), version, negated=negated)
        case "--ports":
            return _either_port(value, version, negated=negated)
        case _ if option in _OPTIONS:
            dimension = _OPTIONS[option]
            parts = value.split(",") if dimension in (Dimension.PORT, Dimension.SOURCE_PORT) else [value]
            try:
                found = normal(each for part in parts for each in _interval(dimension, part, version))
            except ValueError:
                return UNKNOWN
            restricted = restrict(dimension, found, version, negated=negated)
            if option not in _OF_CONNECTIONS:
                return restricted
            known = tracked()
            return both(known[0], restricted[0]), both(known[1], restricted[1])
        case _:
            return _first_packet(option, values, version, negated=negated)


def _first_packet(option: str, values: Sequence[str], version: int, *, negated: bool) -> Taken:
    """Return the packets that match an option, judged for the first packet of a unicast connection."""
    value = values[0] if values else ""
    match option:
        case "--ctstate" | "--state":
            return restrict(Dimension.KIND, _states(value.split(",")), 4, negated=negated)
        case "--ctdir":
            return tracked() if (value == "ORIGINAL") is not negated else NONE
        case "--tcp-flags":  # only SYN is set
            mask, wanted = [set(flags.split(",")) - {"NONE"} for flags in [*values, "", ""][:2]]
            matches = wanted == {"SYN"} if mask & {"SYN", "ALL"} else not wanted
            return restrict(Dimension.KIND, kinds(["tcp"]), 4) if matches is not negated else NONE
        case "-f":
            return truth(negated)
        case "--dst-type":
            return _address_type(value, version, negated=negated)
        case "--src-type" if {*value.split(",")} <= {"LOCAL", "MULTICAST", "BROADCAST"}:
            return truth(negated)
        case "--pkt-type":
            return _frame(value, negated=negated)
        case _:
            return UNKNOWN


def restrict(dimension: Dimension, values: Intervals, version: int, *, negated: bool = False) -> Taken:
    """Return a condition on one dimension, or its negation."""
    kept = subtract(everything(dimension, version), values) if negated else values
    return ({dimension: kept}, {dimension: kept}) if kept else NONE


def moved(address: str | None, port: str, version: int) -> Condition:
    """Return the destination that a translation gives packets; nothing if it is not understood."""
    try:
        given: dict[int, Intervals] = {Dimension.PORT: ((int(port),) * 2,)} if port else {}
        return given | ({Dimension.DESTINATION: addresses(address, address, version)} if address else {})
    except ValueError:
        return {}


def tracked() -> Taken:
    """Return the condition that only tracked packets match."""
    return restrict(Dimension.KIND, kinds(states=[NEW, TRANSLATED]), 4)


def truth(holds: bool) -> Taken:
    """Return a condition that matches every packet if ``holds`` is set, else no packet."""
    return ALL if holds else NONE


def _states(names: Iterable[str]) -> Intervals:
    states = set()
    for name in names:
        states |= _STATES.get(name, set())
    return kinds(states=states)


def _address_type(value: str, version: int, *, negated: bool) -> Taken:
    """Return the packets that an address type matches, given that each goes to the host or a container.

    For IPv6 an address of the host is unicast as well, and several types at once mean other things.
    """
    types = set(value.split(","))
    if version == 6 and len(types) > 1:
        return UNKNOWN
    if not types & {"LOCAL", "UNICAST"}:
        return truth(negated) if types <= _FOR_OTHERS else UNKNOWN
    if types >= {"LOCAL", "UNICAST"} or (version == 6 and "UNICAST" in types):
        return truth(not negated)
    local = "LOCAL" in types
    return restrict(Dimension.OIF, interface("", "+\0"), version, negated=local is negated)


def _frame(value: str, *, negated: bool) -> Taken:
    """Return the packets that a frame type matches: TCP is unicast, UDP can be multicast too."""
    if value not in ("unicast", "broadcast", "multicast"):
        return UNKNOWN
    tcp: Condition = {Dimension.KIND: kinds(["tcp"])}
    udp: Condition = {Dimension.KIND: kinds(["udp"])}
    return ({}, tcp) if (value == "unicast") is not negated else (udp, None)


def _either_port(value: str, version: int, *, negated: bool) -> Taken:
    try:
        ports = normal(each for part in value.split(",") for each in _interval(Dimension.PORT, part, version))
    except ValueError:
        return UNKNOWN
    if not negated:
        return {}, {Dimension.PORT: ports}
    others = subtract(everything(Dimension.PORT, version), ports)
    neither: Condition = {Dimension.PORT: others, Dimension.SOURCE_PORT: others}
    return neither, neither


def _interval(dimension: Dimension, value: str, version: int) -> Intervals:
    """Parse the value of an option into the interval set of a dimension.

    Raises:
        ValueError: it is not understood.
    """
    match dimension:
        case Dimension.KIND:
            return kinds([_PROTOCOLS.get(value, value)])
        case Dimension.IIF | Dimension.OIF:
            return interface(value, "+")
        case Dimension.SOURCE | Dimension.DESTINATION if "-" in value:
            first, _, last = value.partition("-")
            return addresses(first, last, version)
        case Dimension.SOURCE | Dimension.DESTINATION:
            return network(value, version)
        case _:
            first, colon, last = value.partition(":")
            return ((int(first or 0), int((last or 65535) if colon else first)),)
