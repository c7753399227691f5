"""Follow new connections from outside through all chains on the way to the host or to a container."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hardener.checks.lib.packetfilter.chains import Chain, Outcome, Region, Ruleset, bounded
from hardener.checks.lib.packetfilter.outside import NAMED_PORTS, from_many, inbound, ports_from_many
from hardener.checks.lib.packetfilter.sets import (
    NEW,
    PROTOCOLS,
    Box,
    Dimension,
    Intervals,
    in_state,
    intersect,
    kinds,
    size,
    within,
)

_TRANSLATION = -100  # the priority at which destinations are translated
_Hooked = tuple[Ruleset, Chain]
_SELDOM = frozenset({"mangle", "raw", "security"})  # tables of iptables that are rarely used as filters


@dataclass(frozen=True, slots=True)
class Passage:
    """The effect of all chains together on new connections from outside.

    Attributes:
        chains: those that see inbound packets, with why each accepts more ports than a rule names.
        open: protocols that come in on more ports than a rule names.
        certain: of those, the ones that come in whatever the conditions that are not understood say.
        refusals: what refuses the rest.
        evidence: what each chain does, and who may reach everything.
        most: what comes in at most, as boxes.
        least: what comes in for certain.
        doubts: rules on the way whose conditions are not understood.
    """

    chains: tuple[tuple[Chain, str], ...]
    open: frozenset[str]
    certain: frozenset[str]
    refusals: tuple[str, ...]
    evidence: tuple[str, ...]
    most: tuple[Box, ...]
    least: tuple[Box, ...]
    doubts: tuple[str, ...]


@dataclass(slots=True)
class Flow:
    """Packets on their way through base chains.

    Attributes:
        most: those that get through at most.
        least: those that get through for certain.
        doubts: rules on the way whose conditions are not understood.
        refusals: rules that refuse more than a few addresses.
        acceptance: rules that accept more than a few addresses.
    """

    most: list[Box]
    least: list[Box]
    doubts: dict[str, None] = field(default_factory=dict)
    refusals: dict[str, None] = field(default_factory=dict)
    acceptance: dict[str, None] = field(default_factory=dict)

    def through(self, rules: Ruleset, chain: Chain) -> Outcome:
        """Follow the packets through a base chain, and return its effect on those that may be.

        Raises:
            FactUnavailable: the rules are too complex.
        """
        if not chain.early:
            self.each(lambda box: in_state(box, NEW))
        outcome = rules.follow(chain, self.most)
        self.least = rules.follow(chain, self.least, certain=True).accepted.boxes()
        self.most = outcome.accepted.boxes()
        self.doubts |= outcome.doubts
        for region, reasons in ((outcome.refused, self.refusals), (outcome.accepted, self.acceptance)):
            many = (why for box, why in region.parts() if from_many(box[Dimension.SOURCE], rules.version))
            reasons.update(dict.fromkeys(why for why in many if why))
        return outcome

    def through_all(self, chains: Iterable[_Hooked]) -> None:
        """Follow the packets through base chains.

        Raises:
            FactUnavailable: the rules are too complex.
        """
        for rules, chain in chains:
            self.through(rules, chain)

    def unite(self, other: Flow, doubt: str) -> None:
        """Add the packets of another way, if it is not known which of both is the right one."""
        pairs = ((one, dict(enumerate(two))) for one in self.least for two in other.least)
        self.least = bounded([both for one, two in pairs if (both := within(one, two))])
        self.most = bounded([*self.most, *other.most])
        self.doubts |= other.doubts | {doubt: None}
        self.refusals |= other.refusals
        self.acceptance |= other.acceptance

    def along(self, sources: Iterable[Ruleset], *hooks: str) -> Flow:
        """Follow the packets through all base chains of hooks, also where destinations are translated.

        Raises:
            FactUnavailable: the rules are too complex.
        """
        early, tied, late = _around_translation(_base_chains(sources, *hooks, nat=True))
        nat, others = ([pair for pair in tied if pair[1].translates is kind] for kind in (True, False))
        self.through_all(early)
        first = Flow(self.most, self.least)
        self.through_all([*others, *nat])
        if nat and others:
            first.through_all([*nat, *others])
            self.unite(first, _tie(others))
        self.through_all(late)
        self.each(lambda box: in_state(box, NEW))
        return self

    def each(self, change: Callable[[Box], list[Box]]) -> None:
        """Replace each box."""
        self.most, self.least = (
            bounded([found for box in boxes for found in change(box)]) for boxes in (self.most, self.least)
        )


def _base_chains(sources: Iterable[Ruleset], *hooks: str, nat: bool = False) -> list[_Hooked]:
    """Return the base chains of hooks in the order in which packets pass them, as wanted also of type nat."""
    found = [
        (rules, chain)
        for hook in hooks
        for rules in sources
        for chain in rules.hooked(hook)
        if not chain.translates or (nat and hook == "prerouting")
    ]
    return sorted(found, key=lambda pair: (hooks.index(pair[1].hook), pair[1].priority))


def to_container(
    sources: Sequence[Ruleset],
    arriving: Box,
    translate: Callable[[Box], list[Box]] | None = None,
    translating: Sequence[Ruleset] = (),
) -> Flow:
    """Follow new connections to containers.

    Args:
        sources: the chains that each tool shows.
        arriving: the packets as they arrive.
        translate: returns packets with their destination translated; None if it is not.
        translating: base chains that accept the packets that are translated.

    Raises:
        FactUnavailable: the rules are too complex.
    """
    flow = Flow([arriving], [arriving])
    early, tied, late = _around_translation(_base_chains(sources, "ingress", "prerouting", "forward"))
    flow.through_all(early)
    if translate:
        chains = _base_chains(translating, "prerouting")
        first = Flow(flow.most, flow.least)
        first.through_all(chains)
        first.each(translate)
        first.through_all(tied)
        flow.through_all([*tied, *chains])
        flow.each(translate)
        if tied:
            flow.unite(first, _tie(tied))
    else:
        nat = (pair for pair in _base_chains(sources, "prerouting", nat=True) if pair[1].translates)
        flow.through_all([*tied, *nat])
    flow.through_all(late)
    flow.each(lambda box: in_state(box, NEW))
    return flow


def _around_translation(chains: Iterable[_Hooked]) -> tuple[list[_Hooked], ...]:
    """Return the chains before the translation of destinations, with its priority, and after it."""
    found: tuple[list[_Hooked], ...] = ([], [], [])
    for rules, chain in chains:
        routed = chain.hook in ("forward", "input")
        late = routed or (chain.hook == "prerouting" and chain.priority > _TRANSLATION)
        tied = chain.hook == "prerouting" and chain.priority == _TRANSLATION
        found[2 if late else tied].append((rules, chain))
    return found


def _tie(chains: Sequence[_Hooked]) -> str:
    return f"whether {chains[0][1]} is before the translation, which has its priority"


def into_host(
    sources: Sequence[Ruleset],
    version: int,
    *,
    interfaces: Intervals | None = None,
    own: Intervals | None = None,
) -> Passage:
    """Follow new connections to this host.

    Args:
        sources: the chains that each tool shows.
        version: of IP.
        interfaces: names of those that packets arrive on; any that may be outside, unless given.
        own: addresses of the host; any that it may have, unless given.

    Raises:
        FactUnavailable: the rules are too complex.
    """
    packets = inbound(version, interfaces=interfaces, own=own)
    flow = Flow([packets], [packets])
    reasons: dict[str, tuple[Chain, str]] = {}
    refusals: list[str] = []
    evidence: list[str] = []
    few: dict[str, None] = {}
    for rules, chain in _base_chains(sources, "ingress", "prerouting", "input"):
        outcome = flow.through(rules, chain)
        if chain.hook == "input":
            reasons[str(chain)] = (chain, "")
        for protocol in PROTOCOLS:
            refused = main_reason(outcome.refused, protocol, version)
            accepted = main_reason(outcome.accepted, protocol, version)
            if refused:
                refusals.append(refused)
                evidence.append(f"{chain}: {protocol}{version} refused by {refused}")
            if accepted and chain.hook == "input":
                reasons[str(chain)] = (chain, reasons[str(chain)][1] or accepted)
                evidence.append(f"{chain}: {protocol}{version} accepted by {accepted}")
        few |= dict.fromkeys(
            f"all packets from a few addresses are accepted by {reason}"
            for box, reason in outcome.accepted.parts()
            if size(box[Dimension.PORT]) > NAMED_PORTS and not from_many(box[Dimension.SOURCE], version)
        )
    flow.each(lambda box: in_state(box, NEW))
    return Passage(
        tuple(reasons.values()),
        _open(flow.most, version),
        _open(flow.least, version),
        tuple(dict.fromkeys(refusals)),
        (*evidence, *few),
        tuple(flow.most),
        tuple(flow.least),
        tuple(flow.doubts),
    )


def main_reason(region: Region, protocol: str, version: int) -> str:
    """Return the main reason for a protocol's packets in a region; empty if only named ports are in it."""
    parts = list(_of_protocol(region.parts(), protocol))
    if ports_from_many((box for box, _ in parts), protocol, version) <= NAMED_PORTS:
        return ""
    widest = max(parts, key=lambda part: (from_many(part[0][Dimension.SOURCE], version), _ports(part[0])))
    return widest[1]


def _of_protocol(parts: Iterable[tuple[Box, str]], protocol: str) -> Iterator[tuple[Box, str]]:
    wanted = kinds([protocol])
    return (part for part in parts if intersect(part[0][Dimension.KIND], wanted))


def _ports(box: Box) -> int:
    return size(intersect(box[Dimension.PORT], box[Dimension.ORIGINAL_PORT]))


def _open(boxes: Sequence[Box], version: int) -> frozenset[str]:
    return frozenset(
        protocol for protocol in PROTOCOLS if ports_from_many(boxes, protocol, version) > NAMED_PORTS
    )
