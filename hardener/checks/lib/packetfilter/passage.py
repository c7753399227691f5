"""Follow new connections from outside through all chains of the inbound path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hardener.checks.lib.packetfilter.chains import Chain, Region, Ruleset, too_complex
from hardener.checks.lib.packetfilter.outside import NAMED_PORTS, from_many, inbound, ports_from_many
from hardener.checks.lib.packetfilter.sets import (
    NEW,
    UNTRACKED,
    Box,
    Dimension,
    Intervals,
    intersect,
    kinds,
    size,
    within,
)

PROTOCOLS = ("tcp", "udp")
FAMILIES = {4: "ip", 6: "ip6"}
_MOST_PAIRS = 40_000  # number of boxes that are compared with each other
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
    """

    chains: tuple[tuple[Chain, str], ...]
    open: frozenset[str]
    certain: frozenset[str]
    refusals: tuple[str, ...]
    evidence: tuple[str, ...]
    most: tuple[Box, ...]
    least: tuple[Box, ...]


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
    chains = [
        (rules, chain)
        for rules in sources
        for hook in ("prerouting", "input")
        for chain in rules.hooked(hook, {FAMILIES[version], "inet"})
    ]
    chains.sort(key=lambda pair: (pair[1].hook != "prerouting", pair[1].key[1] in _SELDOM))
    untracked = any(rules.untracks({FAMILIES[version], "inet"}) for rules in sources)
    may = must = [inbound(version, untracked=untracked, interfaces=interfaces, own=own)]
    reasons: dict[str, tuple[Chain, str]] = {}
    refusals: list[str] = []
    evidence: list[str] = []
    few: dict[str, None] = {}
    for rules, chain in chains:
        outcome = rules.follow(chain, may)
        must = rules.follow(chain, must, certain=True).accepted.boxes()
        may = outcome.accepted.boxes()
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
    return Passage(
        tuple(reasons.values()),
        _open(may, version),
        _open(_in_either_state(must) if untracked else must, version),
        tuple(dict.fromkeys(refusals)),
        (*evidence, *few),
        tuple(may),
        tuple(must),
    )


def _in_either_state(boxes: Sequence[Box]) -> list[Box]:
    """Return packets that are accepted both as new and as untracked, since their state is unknown.

    Raises:
        FactUnavailable: the boxes are too many.
    """
    found: list[Box] = []
    for protocol in PROTOCOLS:
        tracked, others = (
            [box for box in boxes if intersect(box[Dimension.KIND], kinds((protocol,), (state,)))]
            for state in (NEW, UNTRACKED)
        )
        if len(tracked) * len(others) > _MOST_PAIRS:
            raise too_complex()
        for one in tracked:
            condition = dict(enumerate(one)) | {Dimension.KIND: kinds((protocol,), (UNTRACKED,))}
            found += [shared for other in others if (shared := within(other, condition))]
    return found


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
