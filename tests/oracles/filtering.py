"""What the judge says comes in through a random packet filter, and which connections from outside do."""

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import islice, product
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.snapshot import firewall

from hardener.checks.firewall import rulesets
from hardener.checks.lib.packetfilter import Passage, into_host
from hardener.checks.lib.packetfilter.outside import NAMED_PORTS
from hardener.checks.lib.packetfilter.sets import (
    NEW,
    PROTOCOLS,
    UNTRACKED,
    Box,
    Dimension,
    Intervals,
    interface,
    kinds,
    normal,
)
from tests.oracles import rulesets as random_rules
from tests.oracles.connecting import OWN, SOURCES, UNNAMED, Network, Probe, all_probes
from tests.unit.snapshots import make, only

PROBES = 24  # of each protocol and version of IP, in each case
FROM_PORTS = (22, 53, 443, 1024)
FAMILIES = {4: "ip", 6: "ip6"}
EVERY = {(version, name): tuple(all_probes(version, name)) for version in (4, 6) for name in ("tcp", "udp")}
PAIRED = {
    version: tuple(zip(*(pair.split(" . ") for pair in pairs.split(", ")), strict=True))
    for version, pairs in random_rules.SOURCE_AND_PORT.items()
}
FEW = [ipaddress.ip_network(text) for texts in random_rules.FEW.values() for text in texts]
INTERFACES = normal(each for name in SOURCES for each in interface(name, "+\0"))
ADDRESSES = {
    version: normal((int(ipaddress.ip_address(each)),) * 2 for each in own) for version, own in OWN.items()
}
RESTORE = {4: "iptables-restore", 6: "ip6tables-restore"}
_REFUSES = re.compile(r"drop|reject|vmap", re.IGNORECASE)
_ACCEPTS = re.compile(r"accept|vmap|NFQUEUE", re.IGNORECASE)
_NAMES_FEW = re.compile(r"192\.0\.2|10\.1\.0|2001:db8|fd00|@some|range|2000::/3|saddr \.")
Reach = Callable[[Sequence[Probe], Container[Probe]], Mapping[Probe, bool]]  # the second ones are waited for


@dataclass(frozen=True)
class Observed:
    """One filter: its rules, what the collector read of it, and connections of all kinds.

    Attributes:
        rules: by the version of IP of the packets that they see.
        facts: of the collector.
        probes: by the version of IP and the protocol.
        hidden: whether rules of iptables are only seen as nft shows them, with unknown conditions.
    """

    rules: Mapping[int, str]
    facts: Any
    probes: Mapping[tuple[int, str], Sequence[Probe]]
    hidden: bool

    def __str__(self) -> str:
        return "\n".join(self.rules.values()) + ("\nwithout iptables-save" if self.hidden else "")

    def is_doubtful(self, version: int, protocol: str) -> bool:
        """Whether the judge cannot say what some rule takes of a protocol."""
        return self.hidden or random_rules.is_doubtful(self.rules[version], version, protocol)


def observe(network: Network, dice: random.Random) -> Observed:
    """Load random rules, and have the collector read them; sometimes where a tool is not installed."""
    hidden = dice.random() < 0.2
    nft, saved = _load(network, dice, plain=not hidden and dice.random() < 0.75)
    with network.host.entered():
        facts = firewall.read()
    assert not facts["errors"]
    hidden &= bool(saved)
    if hidden:
        facts["iptables"] = None
    elif not nft and dice.random() < 0.3:
        facts["nft"] = None
    rules = {version: nft + saved.get(version, "") for version in RESTORE}
    return Observed(rules, facts, {kind: chosen(dice, *kind) for kind in EVERY}, hidden)


def _load(network: Network, dice: random.Random, *, plain: bool) -> tuple[str, dict[int, str]]:
    """Load random rules, and say which: those of nft, and those of iptables by the version of IP."""
    nft = ""
    network.host.run("nft", "flush", "ruleset")
    if dice.random() < 0.5:
        nft = next(
            text
            for text in (random_rules.nft(dice, plain=plain) for _ in range(200))
            if _loads(network, text)
        )
    tables = {}
    if not nft or dice.random() < 0.3:
        tables = {version: random_rules.iptables(dice, version, plain=plain) for version in RESTORE}
    for version, text in tables.items():
        network.host.run(RESTORE[version], given=text)
    return nft, tables


def _loads(network: Network, text: str) -> bool:
    """Whether nft loads the rules: of some conditions it knows that they exclude each other."""
    return network.host.run("sh", "-c", "nft -f - 2>&1", given=text, check=False) == ""


def judged(facts: Any, version: int) -> Passage:
    """What the judge makes of the facts that the collector reads."""
    sources = rulesets(make(firewall=only(facts)), version)
    return into_host(sources, version, interfaces=INTERFACES, own=ADDRESSES[version])


@lru_cache(maxsize=4096)
def _numbers(probe: Probe, state: int) -> tuple[int, ...]:
    """Where the packet is in each dimension."""
    return (
        kinds([probe.protocol], [state])[0][0],
        interface(probe.interface, "+\0")[0][0],
        interface("", "+\0")[0][0],
        int(ipaddress.ip_address(probe.source)),
        int(ipaddress.ip_address(probe.destination)),
        probe.source_port,
        probe.port,
        probe.port,
    )


def holds(boxes: Sequence[Box], probe: Probe) -> bool:
    """Whether the packet is in one of the boxes, tracked or not."""
    return any(all(map(_is_in, _numbers(probe, state), box)) for box in boxes for state in (NEW, UNTRACKED))


def _is_in(number: int, side: Intervals) -> bool:
    return any(low <= number <= high for low, high in side)


def chosen(dice: random.Random, version: int, protocol: str, *, number: int = PROBES) -> list[Probe]:
    """Some connections, from ports that rules name and from others."""
    return [
        replace(
            probe, source_port=dice.choice(FROM_PORTS) if dice.random() < 0.3 else dice.randint(33000, 60900)
        )
        for probe in dice.sample(EVERY[version, protocol], number)
    ]


def from_few(probe: Probe) -> bool:
    """Whether a rule may match it that the judge ignores, or reads as wider.

    It ignores rules for very few addresses, and reads each field of a pair alone.
    """
    sources, ports = PAIRED[probe.version]
    named = probe.protocol == "tcp" and probe.source in sources and str(probe.port) in ports
    return named or _is_of_few(probe.source)


@cache
def _is_of_few(source: str) -> bool:
    return any(ipaddress.ip_address(source) in network for network in FEW)


def disagreements(seen: Observed, reach: Reach) -> tuple[list[str], set[str]]:
    """Where the judge and the kernel differ about one random filter; and what the verdicts were."""
    said = {version: judged(seen.facts, version) for version in ADDRESSES}
    sure, possible = set(), set()
    for (version, protocol), some in seen.probes.items():
        many = [probe for probe in some if not from_few(probe)]
        sure |= {each for each in many if holds(said[version].least, each)}
        if not seen.is_doubtful(version, protocol):  # then what may come in does
            possible |= {each for each in many if holds(said[version].most, each)}
    every = [probe for some in seen.probes.values() for probe in some]
    real = reach(every, sure | possible)
    found = [f"{each} does not come in, and must" for each in every if each in sure and not real[each]]
    found += [
        f"{each} does not come in, and there is no doubt about it"
        for each in every
        if each in possible - sure and not real[each]
    ]
    verdicts = set()
    for (version, protocol), some in seen.probes.items():
        passage = said[version]
        arrived = [probe for probe in some if real[probe]]
        found += [f"{each} comes in, and cannot" for each in arrived if not holds(passage.most, each)]
        found += _of_verdict(seen, passage, (version, protocol), arrived, reach)
        if protocol not in passage.certain and _wide(each for each in some if each in sure) > NAMED_PORTS:
            found.append(f"{protocol}{version} does not fail for certain, and many ports come in that must")
        certain = protocol in passage.certain
        verdicts.add("open" if certain else "doubt" if protocol in passage.open else "closed")
        found += _of_few(passage, (version, protocol), arrived)
    for version, passage in said.items():
        found += _of_reasons(seen, passage, version)
    return found, verdicts


def _wide(probes: Iterable[Probe]) -> int:
    """Of how many ports that no rule names connections stand for."""
    return sum(UNNAMED[port] for port in {probe.port for probe in probes} & UNNAMED.keys())


def _of_verdict(
    seen: Observed, passage: Passage, kind: tuple[int, str], arrived: Sequence[Probe], reach: Reach
) -> Iterator[str]:
    """What is wrong with the verdict about a protocol."""
    version, protocol = kind
    wide = _wide(probe for probe in arrived if not from_few(probe))
    if protocol not in passage.open and wide > NAMED_PORTS:
        yield f"{protocol}{version} passes, and ports come in that no rule names"
    if protocol in passage.certain and not wide and not _witness(seen, passage, kind, reach):
        yield f"{protocol}{version} fails for certain, and no port comes in that no rule names"
    if not seen.is_doubtful(version, protocol) and protocol in passage.open - passage.certain:
        yield f"{protocol}{version} fails with a doubt, and there is none"


def _of_few(passage: Passage, kind: tuple[int, str], arrived: Sequence[Probe]) -> Iterator[str]:
    """What is wrong with what the judge says of few addresses that may reach everything."""
    said = any(line.startswith("all packets from a few addresses ") for line in passage.evidence)
    if kind[1] in passage.open or said:
        return
    for source, own in sorted(
        {(probe.source, probe.destination) for probe in arrived if _is_of_few(probe.source)}
    ):
        ports = _wide(each for each in arrived if (each.source, each.destination) == (source, own))
        if ports > 2 * NAMED_PORTS:  # up to half of them may be open to all
            yield f"{source} may reach everything, and the evidence does not say so"


def _of_reasons(seen: Observed, passage: Passage, version: int) -> Iterator[str]:
    """What is wrong with the chains and rules that the judge names as its reasons."""
    named = {str(chain) for chain, _ in passage.chains}
    expected = _input_chains(seen.facts, version)
    if named != expected:
        yield f"the chains of version {version} are {named}, and not {expected}"
    few = [line for line in passage.evidence if line.startswith("all packets from a few addresses ")]
    if few and not _NAMES_FEW.search(seen.rules[version]):
        yield f"no rule is for few addresses: {few}"
    if passage.open and not all(reason for _, reason in passage.chains):
        yield f"version {version} fails, and a chain does not"
    for protocol in PROTOCOLS:
        line = f": {protocol}{version} refused by "
        if protocol not in passage.open and not any(line in each for each in passage.evidence):
            yield f"{protocol}{version} passes, and nothing refuses it"
    for reasons, pattern in (
        (passage.refusals, _REFUSES),
        ([reason for _, reason in passage.chains if reason], _ACCEPTS),
    ):
        yield from (f"not a reason: {each}" for each in reasons if not pattern.search(each))


def _input_chains(facts: Any, version: int) -> set[str]:
    """The base chains that see inbound packets, as they are named in reports."""
    if facts["nft"] is None:
        return {
            f"{FAMILIES[version]} {table} INPUT"
            for table in ("filter", "mangle")
            if f"*{table}\n" in facts["iptables"][f"ipv{version}"]
        }
    return {
        f"{chain['family']} {chain['table']} {chain['name']}"
        for chain in (each["chain"] for each in facts["nft"] if "chain" in each)
        if chain.get("hook") == "input"
        and chain["family"] in (FAMILIES[version], "inet")
        and chain["table"] != "asleep"
    }


def _witness(seen: Observed, passage: Passage, kind: tuple[int, str], reach: Reach) -> bool:
    """Whether something comes in of all that must, to a port that no rule names."""
    some = list(islice(_certain(seen, passage, kind), 20))
    return any(reach(some, some).values())


def _certain(seen: Observed, passage: Passage, kind: tuple[int, str]) -> Iterator[Probe]:
    """What must come in to unnamed ports, each address at the interface where the host answers it."""
    homes = {each: name for name, some in SOURCES.items() for each in some[kind[0]]}
    found: set[Probe] = set()
    sources = ("", *_sources(passage.least, kind[0]))
    ports = (*random_rules.SINGLE, 31000, 60000)
    for source, each, port in product(sources, EVERY[kind], ports):
        probe = replace(each, source_port=port, source=source or each.source)
        at_home = homes.get(probe.source, probe.interface) == probe.interface
        if probe.port not in UNNAMED or probe in found or from_few(probe) or not at_home:
            continue
        if holds(passage.least, probe):
            found.add(probe)
            homes[probe.source] = probe.interface
            yield probe


def _sources(boxes: Sequence[Box], version: int) -> list[str]:
    """Some addresses beside ``SOURCES`` from which packets in these boxes come."""
    kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    middles = {kind((low + high) // 2) for box in boxes for low, high in box[Dimension.SOURCE]}
    return [str(each) for each in sorted(middles) if _is_usable(each)][:8]


def _is_usable(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether the kernel takes a packet from this address."""
    if address.is_multicast or address.is_loopback or address.is_link_local:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped is None and int(address) >> 96 > 0
    return not address.is_reserved and int(address) >> 24 > 0
