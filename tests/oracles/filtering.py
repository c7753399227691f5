"""What the judge says comes in through a random packet filter, and which connections from outside do."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.snapshot import firewall

from hardener.checks.firewall import rulesets
from hardener.checks.lib.packetfilter import Passage, into_host
from hardener.checks.lib.packetfilter.sets import (
    NEW,
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
EVERY = {(version, name): tuple(all_probes(version, name)) for version in (4, 6) for name in ("tcp", "udp")}
FEW = [ipaddress.ip_network(text) for texts in random_rules.FEW.values() for text in texts]
INTERFACES = normal(each for name in SOURCES for each in interface(name, "+\0"))
ADDRESSES = {
    version: normal((int(ipaddress.ip_address(each)),) * 2 for each in own) for version, own in OWN.items()
}
RESTORE = {4: "iptables-restore", 6: "ip6tables-restore"}
Reach = Callable[[Sequence[Probe], Container[Probe]], Mapping[Probe, bool]]  # the second ones are waited for


@dataclass(frozen=True)
class Observed:
    """One filter: its rules, what the collector read of it, and connections of all kinds."""

    rules: str
    facts: Any
    probes: Mapping[tuple[int, str], Sequence[Probe]]


def observe(network: Network, dice: random.Random) -> Observed:
    """Load random rules, and have the collector read them."""
    rules = _load(network, dice)
    with network.host.entered():
        facts = firewall.read()
    assert not facts["errors"]
    return Observed(rules, facts, {kind: chosen(dice, *kind) for kind in EVERY})


def _load(network: Network, dice: random.Random) -> str:
    """Load random rules, and say which."""
    nft, plain = "", dice.random() < 0.5
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
    return "\n".join([nft, *tables.values()])


def _loads(network: Network, text: str) -> bool:
    """Whether nft loads the rules: of some conditions it knows that they exclude each other."""
    return network.host.run("sh", "-c", "nft -f - 2>&1", given=text, check=False) == ""


def judged(facts: Any) -> tuple[dict[int, Passage], dict[int, tuple[int, ...]]]:
    """What the judge makes of the facts that the collector reads, and the states that packets may have."""
    sources = {version: rulesets(make(firewall=only(facts)), version) for version in (4, 6)}
    passages = {
        version: into_host(found, version, interfaces=INTERFACES, own=ADDRESSES[version])
        for version, found in sources.items()
    }
    states: dict[int, tuple[int, ...]] = {
        version: (NEW, UNTRACKED) if any(each.untracked for each in found) else (NEW,)
        for version, found in sources.items()
    }
    return passages, states


def holds(boxes: Sequence[Box], probe: Probe, state: int) -> bool:
    """Whether the packet is in one of the boxes."""
    numbers = (
        kinds([probe.protocol], [state])[0][0],
        interface(probe.interface, "+\0")[0][0],
        interface("", "+\0")[0][0],
        int(ipaddress.ip_address(probe.source)),
        int(ipaddress.ip_address(probe.destination)),
        probe.source_port,
        probe.port,
        probe.port,
    )
    return any(all(map(_is_in, numbers, box)) for box in boxes)


def in_all(boxes: Sequence[Box], probe: Probe, states: Sequence[int]) -> bool:
    """Whether the packet is in one of the boxes in whichever of the states it is."""
    return all(holds(boxes, probe, state) for state in states)


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
    """Whether rules that are about next to nobody may be about it: those are taken for rules about nobody."""
    address = ipaddress.ip_address(probe.source)
    pair = f"{probe.source} . {probe.port}"
    named = probe.protocol == "tcp" and pair in random_rules.SOURCE_AND_PORT[probe.version].split(", ")
    return named or any(address in network for network in FEW)


def disagreements(seen: Observed, reach: Reach) -> tuple[list[str], set[str]]:
    """Where the judge and the kernel differ about one random filter; and what the verdicts were."""
    passages, states = judged(seen.facts)
    probes = seen.probes
    sure = {
        probe
        for (version, _), some in probes.items()
        for probe in some
        if not from_few(probe) and in_all(passages[version].least, probe, states[version])
    }
    if not random_rules.DOUBTFUL.search(seen.rules):  # then what may come in does
        every = [(version, probe) for (version, _), some in probes.items() for probe in some]
        expected = sure | {p for version, p in every if in_all(passages[version].most, p, states[version])}
    else:
        expected = sure
    every_probe = [probe for some in probes.values() for probe in some]
    real = reach(every_probe, {probe for probe in expected if not from_few(probe)})
    found = [f"{probe} does not come in, and must" for probe in sure if not real[probe]]
    verdicts = set()
    for (version, protocol), some in probes.items():
        passage = passages[version]
        arrived = [probe for probe in some if real[probe]]
        found += [
            f"{probe} comes in, and cannot"
            for probe in arrived
            if not any(holds(passage.most, probe, each) for each in states[version])
        ]
        if not random_rules.DOUBTFUL.search(seen.rules):
            found += [
                f"{probe} does not come in, and there is no doubt about it"
                for probe in some
                if not real[probe] and not from_few(probe) and in_all(passage.most, probe, states[version])
            ]
        if protocol not in passage.open and {p.port for p in arrived if not from_few(p)} >= set(UNNAMED):
            found.append(f"{protocol}{version} passes, and ports come in that no rule names")
        certain = protocol in passage.certain
        verdicts.add("open" if certain else "doubt" if protocol in passage.open else "closed")
        if certain and not arrived and not _witness(reach, passage, version, protocol, states[version]):
            found.append(f"{protocol}{version} fails for certain, and nothing comes in")
    return found, verdicts


def _witness(reach: Reach, passage: Passage, version: int, protocol: str, states: Sequence[int]) -> bool:
    """Whether something comes in of all that must."""
    every = [
        replace(p, source_port=port)
        for p in EVERY[version, protocol]
        for port in (*random_rules.SINGLE, 31000, 60000)
    ]
    sources = _sources(passage.least, version)
    every += [replace(p, source=source) for source in sources for p in every]
    certain = (p for p in every if not from_few(p) and in_all(passage.least, p, states))
    some = list(islice(certain, 20))
    return any(reach(some, some).values())


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
