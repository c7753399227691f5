"""Chains of rules, and their effect on a set of packets.

A rule matches at most the packets of ``may`` and at least those of ``must``; if all its conditions are
understood, both are equal. An unknown condition may match every packet in a rule that accepts, and none in a
rule that refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hardener.checks.lib.packetfilter.outside import narrow
from hardener.checks.lib.packetfilter.sets import (
    ALL_NAMES,
    ALL_PORTS,
    NEW,
    TRANSLATED,
    UNTRACKED,
    Box,
    Condition,
    Dimension,
    Intervals,
    in_state,
    kinds,
    normal,
    size,
    within,
    without,
)
from hardener.snapshot import FactUnavailable

Key = tuple[str, str, str]  # family, table, chain

_MOST_BOXES = 512
_MOST_REGIONS = 4096
_MOST_STEPS = 400_000
_CONNTRACK = -200  # the priority at which connections are tracked
UNTRANSLATED = "accept, without translation"  # the policy of a chain that refuses what it does not translate
_REFUSING = frozenset({"drop", "reject", UNTRANSLATED})
_KNOWN = frozenset({"accept", "drop", "return", "jump", "goto", "away"})
_DEEPEST = 32  # the kernel allows 16 nested chains in nftables; in iptables the packet's stack is the limit


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: the packets that it matches, and their verdict.

    The verdict is ``accept``, ``drop``, ``return``, ``jump``, ``goto``, ``""`` for a rule that only counts or
    logs, ``away`` for one that takes packets from the followed way to another one, ``redirect`` for one that
    may translate their destination, and ``unknown`` for a target with any effect. A rule with ``untracks``
    may take packets away from connection tracking, one with ``tracks`` makes the kernel track connections,
    and one with ``moved`` gives packets this destination.
    """

    text: str
    verdict: str
    target: str = ""
    may: Condition | None = field(default_factory=dict)
    must: Condition | None = field(default_factory=dict)
    untracks: bool = False
    tracks: bool = False
    moved: Condition = field(default_factory=dict)
    place: int = 0
    looks_up: bool = False

    @property
    def understood(self) -> bool:
        """Return whether all conditions of the rule are understood."""
        return self.may == self.must


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain of rules; ``hook`` and ``policy`` are empty unless it is a base chain.

    A base chain sees packets that arrive on its ``devices``; of a hook, the lowest ``priority`` comes first.
    Those of type nat (``translates``) see only tracked packets that are not translated yet; they refuse none
    unless connections are known to be tracked (``tracking``).
    """

    key: Key
    hook: str = ""
    policy: str = ""
    rules: list[Rule] = field(default_factory=list)
    priority: int = 0
    devices: Intervals = ALL_NAMES
    translates: bool = False
    tracking: bool = False

    def __str__(self) -> str:
        return " ".join(self.key)

    @property
    def early(self) -> bool:
        """Return whether the chain sees packets before their connections are tracked."""
        return self.hook == "ingress" or (self.hook == "prerouting" and self.priority < _CONNTRACK)


class Region:
    """A set of packets with the same verdict; each part has the reason that covers most of its sources."""

    def __init__(self) -> None:
        self._sources: dict[tuple[Box, Box], list[Intervals]] = {}
        self._reasons: dict[tuple[Box, Box], tuple[int, str]] = {}

    def add(self, boxes: Iterable[Box], reason: str = "") -> None:
        """Add boxes (one range in each dimension); merge those that differ only in their sources."""
        for box in boxes:
            source = box[Dimension.SOURCE]
            key = (box[: Dimension.SOURCE], box[Dimension.SOURCE + 1 :])
            self._sources.setdefault(key, []).append(source)
            self._reasons[key] = max(self._reasons.get(key, (0, "")), (size(source), reason))
        if len(self._sources) > _MOST_REGIONS:
            raise too_complex()

    def take(self, other: Region) -> None:
        """Add the boxes of another region."""
        for box, reason in other.parts():
            self.add([box], reason)

    def parts(self) -> list[tuple[Box, str]]:
        """Return the boxes of the region with their reasons."""
        return [
            ((*key[0], normal(each for one in sources for each in one), *key[1]), self._reasons[key][1])
            for key, sources in self._sources.items()
        ]

    def boxes(self) -> list[Box]:
        """Return the boxes of the region."""
        return [box for box, _ in self.parts()]

    def __bool__(self) -> bool:
        return bool(self._sources)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The effect of a chain on packets; ``doubts`` are the rules on the way that are not understood."""

    accepted: Region = field(default_factory=Region)
    refused: Region = field(default_factory=Region)
    returned: Region = field(default_factory=Region)
    doubts: dict[str, None] = field(default_factory=dict)


def too_complex() -> FactUnavailable:
    """Return the error for rules that exceed the work limit; a hostile host can send such rules."""
    return FactUnavailable(
        "firewall",
        "the packet filter has too many rules, or too many combinations of conditions, to be judged",
    )


class Ruleset:
    """The chains that one tool reports: ``iptables-save`` or ``nft``.

    Args:
        chains: by their key.
        version: the version of IP that its conditions were read for.
    """

    def __init__(self, chains: Mapping[Key, Chain], version: int) -> None:
        self.chains = chains
        self.version = version

    def hooked(self, hook: str) -> list[Chain]:
        """Return the base chains of a hook that see packets of this version of IP."""
        families = {"inet", "netdev", "ip" if self.version == 4 else "ip6"}
        return [chain for chain in self.chains.values() if chain.hook == hook and chain.key[0] in families]

    def follow(self, chain: Chain, packets: Sequence[Box], *, certain: bool = False) -> Outcome:
        """Return the effect of ``chain`` on packets.

        Accepted and returned is what may be, and refused what is unless a rule ahead accepts or returns it
        that is not understood. With ``certain``, accepted and returned is what is for certain.

        Raises:
            FactUnavailable: the rules are too complex.
        """
        seen: Condition = {Dimension.IIF: chain.devices}
        if chain.translates:
            seen = {**seen, Dimension.KIND: kinds(states=[NEW])}
        outcome = _Walk(self, chain, certain=certain).through(chain, _matching(packets, seen))
        outcome.accepted.add(part for box in packets for part in without(box, seen))
        return outcome


class _Walk:
    """One walk through chains, with limited work."""

    def __init__(self, rules: Ruleset, base: Chain, *, certain: bool) -> None:
        self._chains = rules.chains
        self._version = rules.version
        self._certain = certain
        self._steps = 0
        self._early, self._translates = base.early, base.translates
        self._refuses = base.tracking or not base.translates

    def through(
        self, chain: Chain, packets: Sequence[Box], called_by: frozenset[Key] = frozenset()
    ) -> Outcome:
        done = Outcome()
        remaining = list(packets)
        for rule in chain.rules:
            if not remaining:
                break
            if rule.untracks and self._early:
                remaining = self._untrack(rule, remaining)
                done.doubts.update({} if rule.understood else {f"{chain}: {rule.text}": None})
            remaining = self._apply(rule, chain, remaining, done, called_by)
        if not chain.hook:
            done.returned.add(remaining)
            return done
        left = [*remaining, *done.returned.boxes()]  # a base chain has no caller: its policy applies
        refuses = chain.policy in _REFUSING and self._refuses
        (done.refused if refuses else done.accepted).add(left, f"{chain}: policy {chain.policy}")
        return done

    def _apply(
        self, rule: Rule, chain: Chain, remaining: list[Box], done: Outcome, called_by: frozenset[Key]
    ) -> list[Box]:
        if rule.may is None or not rule.verdict:
            return remaining
        self._count(rule, remaining)
        most = _matching(remaining, rule.may)
        if not most:
            return remaining
        least = most if rule.understood else _matching(remaining, rule.must)
        reason = f"{chain}: {rule.text}"
        if (not rule.understood or rule.verdict not in _KNOWN) and not self._narrow(rule):
            done.doubts[reason] = None
        match rule.verdict:
            case "drop" if self._refuses:
                done.refused.add(least, reason)
            case "accept" | "drop":
                done.accepted.add(least if self._certain else most, reason)
            case "away":
                pass
            case "return":
                done.returned.add(least if self._certain else most)
            case "jump" | "goto":
                called = self._chains.get((*chain.key[:2], rule.target))
                if called is None or called.key in called_by or called.key == chain.key:
                    return remaining  # the kernel does not load such a rule
                if len(called_by) > _DEEPEST:
                    raise too_complex()
                given = least if self._certain else most
                inside = self.through(called, given, called_by | {chain.key})
                return self._after_call(rule, remaining, given, inside, done)
            case _:  # it may accept, refuse, or do neither
                if not self._certain:
                    moves = rule.verdict == "redirect" and self._translates
                    done.accepted.add(_moved(most, rule) if moves else most, reason)
                    return remaining
        return remaining if self._narrow(rule) else self._after_rule(remaining, rule)

    def _after_call(
        self, rule: Rule, remaining: list[Box], given: list[Box], inside: Outcome, done: Outcome
    ) -> list[Box]:
        """Return the packets that continue after a called chain."""
        done.accepted.take(inside.accepted)
        done.refused.take(inside.refused)
        done.doubts.update(inside.doubts)
        if rule.verdict == "goto":
            done.returned.take(inside.returned)
            return remaining if self._narrow(rule) else self._after_rule(remaining, rule)
        returned = inside.returned.boxes()
        # Packets that the rule may send there are excluded if only certain ones count.
        all_back = set(returned) == set(given) and (rule.understood or not self._certain)
        if self._narrow(rule) or all_back:
            return remaining
        return bounded([*self._after_rule(remaining, rule), *returned])

    def _after_rule(self, remaining: list[Box], rule: Rule) -> list[Box]:
        """Return the packets that continue after a rule.

        That is what it need not take; or, where only what is certain counts, what it cannot take. There a
        packet that a rule may accept goes on too: if a later rule accepts it, it is accepted in either case.
        """
        taken = rule.may if self._certain and rule.verdict != "accept" else rule.must
        if taken is None:
            return remaining
        return bounded([part for box in remaining for part in without(box, taken)])

    def _untrack(self, rule: Rule, packets: list[Box]) -> list[Box]:
        """Return packets after a rule that takes some of them away from connection tracking."""
        taken, kept = (rule.must, rule.may) if self._certain else (rule.may, rule.must)
        found = packets if kept is None else [part for box in packets for part in without(box, kept)]
        untracked = (part for box in _matching(packets, taken) for part in in_state(box, UNTRACKED))
        return bounded([*found, *untracked])

    def _narrow(self, rule: Rule) -> bool:
        """Return whether a rule matches so few sources that its effect can be ignored."""
        source = (rule.may or {}).get(Dimension.SOURCE)
        return source is not None and narrow(source, self._version)

    def _count(self, rule: Rule, remaining: Sequence[Box]) -> None:
        self._steps += len(remaining)
        for dimension, wanted in (rule.may or {}).items():
            self._steps += sum(len(box[dimension]) + len(wanted) for box in remaining) // 8
        if self._steps > _MOST_STEPS:
            raise too_complex()


def bounded(boxes: list[Box]) -> list[Box]:
    """Return the boxes; raise an error if there are too many.

    Raises:
        FactUnavailable: they are.
    """
    if len(boxes) > _MOST_BOXES:
        raise too_complex()
    return boxes


def _moved(boxes: Iterable[Box], rule: Rule) -> list[Box]:
    """Return packets with the destination that a rule gives them: any port, if it is not understood."""
    given = rule.moved or {Dimension.PORT: ALL_PORTS}
    translated = (moved for box in boxes for moved in in_state(box, TRANSLATED, of=NEW))
    return [tuple(given.get(key, values) for key, values in enumerate(box)) for box in translated]


def _matching(boxes: Iterable[Box], condition: Condition | None) -> list[Box]:
    return [] if condition is None else [hit for box in boxes if (hit := within(box, condition))]
