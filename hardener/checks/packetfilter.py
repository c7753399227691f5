"""Read the packet filter that is loaded, and follow a packet through it.

Two sources show it: what ``iptables-save`` printed, which is also the only readable form of the rules that
iptables keeps in nftables, and nftables' own JSON for all other tables. Both become the same chains.

The question is always what happens to a packet that no rule expects: a new connection from outside to any
port. Rules that look at an address, an interface or a port are passed over; those that take every such
packet, or every one of a protocol, decide.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

from hardener.snapshot import FactUnavailable

Key = tuple[str, str, str]  # family, table, chain

# The packets that are followed, one by one: protocol and IP version.
PACKETS = frozenset({"tcp4", "udp4", "tcp6", "udp6"})
_NONE: frozenset[str] = frozenset()
_UNQUOTED = re.compile(r"[!#-&(-\[\]-~ ]*")  # printable ASCII but for quotes and the backslash
_MODULES_WITHOUT_CONDITION = frozenset({"addrtype", "comment", "conntrack", "state", "tcp", "udp"})
_PLACES = frozenset(
    {"-i", "-o", "--dst-type", "--src-type"}
)  # conditions on where a packet comes from or goes


class Fate(Enum):
    """What a chain does with a packet that no rule expects."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: where it sends packets, and which of ``PACKETS`` it takes whatever their address and port.

    ``takes_somewhere`` adds those that it takes on some interface or of some kind of address.
    """

    text: str
    verdict: str  # "accept", "drop", "reject", "return", "jump", "goto", "" for what only counts or logs
    target: str = ""
    takes: frozenset[str] = PACKETS
    takes_somewhere: frozenset[str] = PACKETS


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain of rules; ``hook`` and ``policy`` are empty for one that only others call."""

    key: Key
    hook: str = ""
    policy: str = ""
    rules: list[Rule] = field(default_factory=list)

    def __str__(self) -> str:
        return " ".join(self.key)


@dataclass(frozen=True, slots=True)
class Decision:
    """A fate and the rule or policy that gave it."""

    fate: Fate
    reason: str


class Ruleset:
    """The chains of one source."""

    def __init__(self, chains: Mapping[Key, Chain]) -> None:
        self.chains = chains

    def hooked(self, hook: str, families: Iterable[str]) -> list[Chain]:
        """The base chains that see packets of these families at a hook."""
        return [chain for chain in self.chains.values() if chain.hook == hook and chain.key[0] in families]

    def follow(self, chain: Chain, packet: str, _through: frozenset[Key] = frozenset()) -> Decision:
        """What happens in ``chain`` to one of ``PACKETS``.

        A chain that hands packets of some interface back, like ufw's for what is not local, refuses the rest
        alone: its caller decides.
        """
        hands_back = False
        for rule in chain.rules:
            if packet not in rule.takes:
                hands_back = hands_back or (rule.verdict == "return" and packet in rule.takes_somewhere)
                continue
            match rule.verdict:
                case "accept":
                    return Decision(Fate.ACCEPTED, f"{chain}: {rule.text}")
                case "drop" | "reject" if hands_back and not chain.hook:
                    break
                case "drop" | "reject":
                    return Decision(Fate.REFUSED, f"{chain}: {rule.text}")
                case "return":
                    break
                case "jump" | "goto":
                    called = self.chains.get((*chain.key[:2], rule.target))
                    if called is not None and called.key not in _through:
                        decision = self.follow(called, packet, _through | {chain.key})
                        if decision.fate is not Fate.RETURNED:
                            return decision
                    if rule.verdict == "goto":
                        break
        if not chain.hook:
            return Decision(Fate.RETURNED, f"{chain}: falls through")
        refused = chain.policy in ("drop", "reject")
        return Decision(Fate.REFUSED if refused else Fate.ACCEPTED, f"{chain}: policy {chain.policy}")

    def can_refuse(self, chain: Chain, _through: frozenset[Key] = frozenset()) -> str:
        """The first rule that refuses some packet before all are let through, ``""`` where there is none."""
        for rule in chain.rules:
            if rule.verdict in ("drop", "reject"):
                return f"{chain}: {rule.text}"
            if rule.verdict in ("jump", "goto"):
                called = self.chains.get((*chain.key[:2], rule.target))
                if called is not None and called.key not in _through:
                    found = self.can_refuse(called, _through | {chain.key})
                    if found:
                        return found
            if rule.takes == PACKETS and rule.verdict in ("accept", "return", "goto"):
                return ""
        return ""


@lru_cache(maxsize=2)  # of the host that is being judged, each family once
def read_save(text: str, family: str) -> Ruleset:
    """Read what ``iptables-save`` printed; ``family`` is ``ip`` or ``ip6``.

    Raises:
        FactUnavailable: a line is not what iptables-save prints.
    """
    chains: dict[Key, Chain] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            name, policy = [*line[1:].split(), "-", "-"][:2]
            hooked = policy != "-" and table != "nat"  # what nat drops is never filtered there
            key = (family, table, name)
            chains[key] = Chain(key, name.lower() if hooked else "", policy.lower() if hooked else "")
        elif line.startswith("-A "):
            words = _words(line)
            key = (family, table, words[1])
            chains.setdefault(key, Chain(key)).rules.append(_saved_rule(line, words[2:]))
    return Ruleset(chains)


def _words(line: str) -> list[str]:
    try:
        # shlex is slow, and gives the same where nothing is quoted and only a space is a space.
        words = line.split() if _UNQUOTED.fullmatch(line) else shlex.split(line)
    except ValueError as error:  # taking it for either verdict would be a guess
        raise FactUnavailable("firewall", f"a rule cannot be read: {line[:80]}") from error
    return [*words, "", ""] if len(words) < 2 else words


def _saved_rule(line: str, words: Sequence[str]) -> Rule:
    takes = somewhere = PACKETS
    negated = False
    index = 0
    while index < len(words):
        word = words[index]
        value = words[index + 1] if index + 1 < len(words) else ""
        if word == "!":
            negated = True
            index += 1
            continue
        if word in ("-j", "-g"):
            return Rule(
                line, *_saved_target(word, value), takes, somewhere
            )  # the target's own options follow
        kept = _saved_condition(word, value, negated=negated)
        takes &= kept
        somewhere &= PACKETS if word in _PLACES else kept
        negated = False
        index += 2
    return Rule(line, "")


def _saved_condition(option: str, value: str, *, negated: bool) -> frozenset[str]:
    """The packets that a condition keeps whatever their address and port."""
    match option:
        case "-m" | "--match":
            return PACKETS if value in _MODULES_WITHOUT_CONDITION else _NONE
        case "--comment":
            return PACKETS
        case "-p" | "--protocol":
            of_protocol = _of_protocols([value])
            return PACKETS - of_protocol if negated else of_protocol
        case "--ctstate" | "--state":
            return PACKETS if ("NEW" in value.split(",")) is not negated else _NONE
        case "-i" if value == "lo" and negated:
            return PACKETS  # everything but loopback is everything from outside
        case _:
            return _NONE


def _of_protocols(protocols: Iterable[str]) -> frozenset[str]:
    return frozenset(packet for packet in PACKETS if packet[:-1] in protocols or "all" in protocols)


def _saved_target(option: str, name: str) -> tuple[str, str]:
    if option == "-g":
        return "goto", name
    match name:
        case "ACCEPT" | "DROP" | "REJECT" | "RETURN":
            return name.lower(), ""
        case "TARPIT":
            return "drop", ""
        case _:
            return "jump", name  # an extension such as LOG is no chain, and following it leads nowhere


def read_nft(objects: Iterable[Mapping[str, Any]]) -> Ruleset:
    """Read ``nft -j list ruleset``; tables that are switched off (dormant) are left out."""
    chains: dict[Key, Chain] = {}
    dormant: set[tuple[str, str]] = set()
    for entry in objects:
        match entry:
            case {"table": {"family": family, "name": name, "flags": flags}} if "dormant" in flags:
                dormant.add((family, name))
            case {"chain": {"family": family, "table": table, "name": name} as chain}:
                key = (family, table, name)
                kept = chains.get(key, Chain(key)).rules
                filters = chain.get("type") == "filter"
                hook = str(chain.get("hook") or "") if filters else ""
                chains[key] = Chain(key, hook, str(chain.get("policy") or "accept") if hook else "", kept)
            case {"rule": {"family": family, "table": table, "chain": name} as rule}:
                key = (family, table, name)
                statements = rule.get("expr")
                chains.setdefault(key, Chain(key)).rules.append(
                    _nft_rule(statements if isinstance(statements, list) else [])
                )
    return Ruleset({key: chain for key, chain in chains.items() if key[:2] not in dormant})


_NFT_VERDICTS = frozenset({"accept", "drop", "reject", "return"})
_NFT_WITHOUT_CONDITION = frozenset({"counter", "log", "mangle", "comment", "notrack"})


def _nft_rule(statements: Sequence[Mapping[str, Any]]) -> Rule:
    verdict, target = "", ""
    takes = somewhere = PACKETS
    words = []
    for statement in statements:
        name, value = next(iter(statement.items()), ("", None))
        words.append(_nft_text(name, value))
        if name in _NFT_VERDICTS:
            verdict = name
        elif name in ("jump", "goto"):
            verdict, target = name, str((value or {}).get("target") or "")
        elif name == "xt" and isinstance(value, Mapping) and value.get("type") == "target":
            verdict, target = _saved_target("-j", str(value.get("name")))
        elif name == "match" and isinstance(value, Mapping):
            kept = _nft_condition(value)
            takes &= kept
            somewhere &= PACKETS if _is_place(value.get("left")) else kept
        elif name not in _NFT_WITHOUT_CONDITION:
            takes = somewhere = _NONE  # a limit, a set or a verdict map lets some through
    return Rule(" ".join(words), verdict, target, takes, somewhere)


def _is_place(left: Any) -> bool:
    """Whether a match is on where a packet comes from or goes."""
    match left:
        case {"meta": {"key": "iif" | "iifname" | "oif" | "oifname" | "iifgroup" | "pkttype"}} | {"fib": _}:
            return True
        case _:
            return False


def _nft_condition(match: Mapping[str, Any]) -> frozenset[str]:
    """The packets that a match keeps whatever their address and port."""
    right = match.get("right")
    values = right.get("set") if isinstance(right, Mapping) else right
    found = [str(value) for value in values] if isinstance(values, list) else [str(values)]
    negated = match.get("op") == "!="
    match match.get("left"):
        case {"ct": {"key": "state"}}:
            return PACKETS if ("new" in found) is not negated else _NONE
        case {"meta": {"key": "l4proto"}}:
            kept = _of_protocols(found)
        case {"payload": {"protocol": "ip", "field": "protocol"}}:
            kept = frozenset(packet for packet in _of_protocols(found) if packet.endswith("4"))
        case {"payload": {"protocol": "ip6", "field": "nexthdr"}}:
            kept = frozenset(packet for packet in _of_protocols(found) if packet.endswith("6"))
        case {"meta": {"key": "nfproto"}}:
            kept = frozenset(packet for packet in PACKETS if f"ipv{packet[-1]}" in found)
        case {"meta": {"key": "iif" | "iifname"}} if found == ["lo"]:
            kept = _NONE
        case _:
            return _NONE
    return PACKETS - kept if negated else kept


def _nft_text(name: str, value: Any) -> str:
    match value:
        case {"target": target}:
            return f"{name} {target}"
        case {"op": operator, "left": left, "right": right}:
            return f"{_leaf(left)} {operator} {_leaf(right)}"
        case _:
            return name


def _leaf(value: Any) -> str:
    match value:
        case {"set": list(parts)} | list(parts):
            return "{ " + ", ".join(_leaf(part) for part in parts) + " }"
        case {"range": [first, last]}:
            return f"{_leaf(first)}-{_leaf(last)}"
        case {"prefix": {"addr": address, "len": length}}:
            return f"{address}/{length}"
        case {"ct": {"key": key}}:
            return f"ct {key}"
        case {"meta": {"key": key}}:
            return str(key)
        case {"payload": {"protocol": protocol, "field": name}}:
            return f"{protocol} {name}"
        case Mapping():
            return " ".join(str(key) for key in value)
        case _:
            return str(value)
