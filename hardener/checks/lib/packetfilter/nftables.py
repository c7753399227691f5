"""Parse the output of ``nft -j list ruleset``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hardener.checks.lib.packetfilter.chains import Chain, Key, Rule, Ruleset, too_complex
from hardener.checks.lib.packetfilter.ipsets import Taken
from hardener.checks.lib.packetfilter.iptables import (
    ALL,
    NONE,
    TRACKING,
    UNKNOWN,
    moved,
    restrict,
    target_of,
    tracked,
    truth,
)
from hardener.checks.lib.packetfilter.sets import (
    EARLY,
    NEW,
    TRANSLATED,
    UNTRACKED,
    Dimension,
    Intervals,
    addresses,
    both,
    interface,
    kinds,
    network,
    normal,
)

_VERDICTS = {"accept": "accept", "drop": "drop", "reject": "drop", "return": "return", "continue": ""}
_ELSEWHERE = frozenset({"queue", "synproxy", "tproxy", "fwd", "dnat", "redirect"})  # with unknown effect
_WITHOUT_CONDITION = frozenset(
    {"counter", "log", "last", "mangle", "comment", "notrack", "dup", "flow", "secmark"}
)
_MOST_ALTERNATIVES = 64  # rules that one with a set of concatenations becomes
_MOST_ELEMENTS = 200_000  # elements of sets, counted for each rule that contains or names a set
_STATES = {"new": {NEW, TRANSLATED}, "untracked": {UNTRACKED}, "invalid": {EARLY}}
_ONE_RECEIVER = frozenset({"unicast", "local"})
Read = Callable[[Any], Intervals]


def read_nft(objects: Iterable[Mapping[str, Any]], version: int) -> Ruleset:
    """Parse the objects of a ruleset, without dormant tables.

    Args:
        objects: as ``nft -j list ruleset`` prints them.
        version: of IP, for which conditions are read.
    """
    chains: dict[Key, Chain] = {}
    dormant: set[tuple[str, str]] = set()
    places: dict[Key, int] = {}
    objects = list(objects)
    reader = _Reader(version, _sets(objects))
    for entry in objects:
        match entry:
            case {"table": {"family": str(family), "name": str(name), "flags": str(flags) | list(flags)}} if (
                "dormant" in flags
            ):
                dormant.add((family, name))
            case {"chain": {"family": str(family), "table": str(table), "name": str(name)} as chain}:
                key = (family, table, name)
                kept = chains.get(key, Chain(key)).rules
                kind, priority = chain.get("type"), chain.get("prio")
                hook = str(chain.get("hook") or "") if kind in ("filter", "nat") else ""
                policy = str(chain.get("policy") or "accept") if hook else ""
                number = priority if isinstance(priority, int) else 0
                chains[key] = Chain(key, hook, policy, kept, number, _devices(chain), kind == "nat")
            case {"rule": {"family": str(family), "table": str(table), "chain": str(name)} as rule}:
                key = (family, table, name)
                statements = rule.get("expr")
                listed = statements if isinstance(statements, list) else []
                listed = [each for each in listed if isinstance(each, Mapping | str)]
                untracks, tracks, looks_up = (
                    any(map(has, listed)) for has in (_untracks, _tracks, _looks_up)
                )
                place = places[key] = places.get(key, -1) + 1
                chains.setdefault(key, Chain(key)).rules.extend(
                    replace(each, untracks=untracks, tracks=tracks, place=place, looks_up=looks_up)
                    for each in reader.rules((family, table), listed)
                )
    return Ruleset({key: chain for key, chain in chains.items() if key[:2] not in dormant}, version)


def with_lookups(saved: Ruleset, native: Ruleset) -> Ruleset:
    """Return the rules of ``iptables-save``, with those that look up a set as nft lists them.

    Where nft has added such a rule to a chain of iptables, iptables-save prints it without the condition.
    """

    def complete(chain: Chain, listed: Sequence[Rule]) -> Chain:
        if {rule.place for rule in listed} != {*range(len(chain.rules))}:
            return chain
        rules = [
            rule
            for place, rule in enumerate(chain.rules)
            for rule in [each for each in listed if each.place == place and each.looks_up] or [rule]
        ]
        return replace(chain, rules=rules)

    return Ruleset(
        {
            key: complete(chain, native.chains[key].rules) if key in native.chains else chain
            for key, chain in saved.chains.items()
        },
        saved.version,
    )


def _looks_up(statement: Mapping[str, Any] | str) -> bool:
    """Return whether a statement looks something up in a set or a map."""
    match statement:
        case {"vmap": _} | {"match": {"right": {"set": _}}}:
            return True
        case {"match": {"right": str(name)}}:
            return name.startswith("@")
        case _:
            return False


def _devices(chain: Mapping[str, Any]) -> Intervals:
    """Return the devices that a chain is bound to, as those of the hook ingress are; else all names."""
    devices = chain.get("dev", "*")
    names = devices if isinstance(devices, list) else [devices]
    return normal(each for name in names for each in interface(str(name), "*"))


def _sets(objects: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, list[Any]]]:
    """Return the elements of named sets and maps, by family and table."""
    found: dict[tuple[str, str], dict[str, list[Any]]] = {}
    for entry in objects:
        match entry:
            case {"set": {"family": str(family), "table": str(table), "name": str(name)} as named} | {
                "map": {"family": str(family), "table": str(table), "name": str(name)} as named
            }:
                elements = named.get("elem")
                found.setdefault((family, table), {})[name] = elements if isinstance(elements, list) else []
    return found


class _Reader:
    """Parses rules with limited work: many rules can name a set with many elements."""

    def __init__(self, version: int, sets: Mapping[tuple[str, str], Mapping[str, Sequence[Any]]]) -> None:
        self._version = version
        self._sets = sets
        self._table = ("", "")
        self._known: dict[tuple[tuple[str, str], str, Dimension], Intervals | None] = {}
        self._elements_read = 0

    def rules(self, table: tuple[str, str], statements: Sequence[Mapping[str, Any] | str]) -> list[Rule]:
        """Convert one nftables rule; return several rules if a verdict map decides.

        A statement that nft cannot express in JSON is a text, such as a jump to a chain without a name.

        Raises:
            FactUnavailable: there are too many elements of sets to read.
        """
        self._table = table
        takens = [ALL]
        text = " ".join(map(_statement, statements))
        found: list[Rule] = []
        for statement in statements:
            if isinstance(statement, str):
                return [*found, *(Rule(text, "unknown", "", *taken) for taken in takens)]
            name, value = next(iter(statement.items()), ("", None))
            if name in ("dnat", "redirect") and isinstance(value, Mapping):
                to, port = (str(value.get(key) or "") for key in ("addr", "port"))
                if change := moved(to, port, self._version):
                    return [*found, *(Rule(text, "accept", "", *taken, moved=change) for taken in takens)]
            if name in _VERDICTS or name in ("jump", "goto") or name in _ELSEWHERE:
                return [*found, *(_decided(text, name, value, taken) for taken in takens)]
            match statement:
                case {"xt": {"type": "target", "name": str(extension)}}:
                    verdict, target = target_of(extension)
                    if verdict:  # what is no chain is an extension: chains are shown as jumps
                        verdict = "unknown" if target else verdict
                        return [*found, *(Rule(text, verdict, "", *taken) for taken in takens)]
                case {"match": Mapping() as value}:
                    alternatives = self._alternatives(value, _MOST_ALTERNATIVES // len(takens or [ALL]))
                    takens = [_and(taken, each) for taken in takens for each in alternatives]
                case {"vmap": Mapping() as value}:
                    found += [rule for taken in takens for rule in self._map(text, value, taken)]
                case _ if name not in _WITHOUT_CONDITION:
                    takens = [_and(taken, UNKNOWN) for taken in takens]  # a limit lets some packets pass
        return [*found, *(Rule(text, "", "", *taken) for taken in takens)]

    def _alternatives(self, match: Mapping[str, Any], most: int) -> list[Taken]:
        """Return what a comparison matches: for each element of a set of concatenations alone, if few."""
        if isinstance(left := match.get("left"), Mapping) and "concat" in left and match.get("op") == "==":
            elements = [_bare(each) for each in self._elements(match.get("right"))]
            if len(elements) <= most:
                return [self._compare(left, each, negated=False) for each in elements]
        return [self._match(match)]

    def _map(self, text: str, value: Mapping[str, Any], taken: Taken) -> list[Rule]:
        data = value.get("data")
        entries = data.get("set") if isinstance(data, Mapping) else self._elements(data)
        if not isinstance(entries, list):
            return [Rule(text, "unknown", "", taken[0], None)]
        found = []
        self._charge(10 * len(entries))  # each becomes a rule
        for entry in entries:
            match entry:
                case [key, {**verdict}]:
                    hit = self._compare(value.get("key"), _bare(key), negated=False)
                    name, target = next(iter(verdict.items()), ("", None))
                    found.append(_decided(f"{text} {_leaf(key)}", str(name), target, _and(taken, hit)))
                case _:
                    found.append(Rule(text, "unknown", "", taken[0], None))
        return found

    def _match(self, match: Mapping[str, Any]) -> Taken:
        operator = match.get("op")
        right = match.get("right")
        if operator in ("<", ">", "<=", ">="):
            return self._ordered(match.get("left"), str(operator), right)
        if operator not in ("==", "!=", "in", "!"):
            return UNKNOWN
        negated, shared = operator in ("!=", "!"), operator in ("in", "!")
        return self._compare(match.get("left"), right, negated=negated, shared=shared)

    def _ordered(self, left: Any, operator: str, right: Any) -> Taken:
        if not isinstance(right, int):
            return UNKNOWN
        least, most = (right, 65535) if ">" in operator else (0, right)
        if "=" not in operator:
            least, most = (least + 1, most) if ">" in operator else (least, most - 1)
        match left:
            case {"payload": {"protocol": "tcp" | "udp" | "th", "field": "dport" | "sport"}}:
                return self._compare(left, {"range": [least, most]}, negated=False)
            case _:
                return UNKNOWN

    def _compare(self, left: Any, right: Any, *, negated: bool, shared: bool = False) -> Taken:
        """Return the packets that a comparison matches; with ``shared``, one flag in common is enough."""
        match left:
            case {"ct": Mapping() as tracking}:
                return self._ct(tracking, right, negated=negated, shared=shared)
            case {"meta": {"key": str(key)}}:
                return self._meta(key, right, negated=negated)
            case {"fib": {"result": "type", "flags": ["daddr"] | "daddr"}}:
                return _fib([str(value) for value in _values(right)], negated=negated)
            case {"payload": {"protocol": str(protocol), "field": str(name)}}:
                return self._payload(protocol, name, right, negated=negated, shared=shared)
            case {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, mask]} if not shared:
                wanted = {str(flag) for flag in _values(right)} - {"0"}
                masked = {"syn"} & {str(flag) for flag in _values(mask)}
                return _tcp() if (masked == wanted) is not negated else NONE
            case {"concat": list(parts)}:
                return self._concat(parts, right) if not negated else UNKNOWN
            case _:
                return UNKNOWN

    def _ct(self, tracking: Mapping[str, Any], right: Any, *, negated: bool, shared: bool) -> Taken:
        """Return the packets that match a test of what is tracked of their connection."""
        match tracking:
            case {"key": "state"} if not shared and _is_mask(right):
                return truth(negated)  # a packet has exactly one state
            case {"key": "state"}:
                states: set[int] = set()
                for name in _values(right):
                    states |= _STATES.get(str(name), set())
                return restrict(Dimension.KIND, kinds(states=states), 4, negated=negated)
            case {"key": "status"} if shared and _values(right) == ["dnat"]:
                translated = restrict(Dimension.KIND, kinds(states=[TRANSLATED]), 4, negated=negated)
                return _and(tracked(), translated)
            case {"key": "direction"}:
                return tracked() if ("original" in _values(right)) is not negated else NONE
            case {"key": "proto-dst", "dir": "original"}:
                return _and(tracked(), self._one(Dimension.ORIGINAL_PORT, right, _port, negated=negated))
            case {"key": "ip saddr" | "ip6 saddr" as key, "dir": "original"}:
                payload = {"payload": {"protocol": key.split()[0], "field": "saddr"}}
                return _and(tracked(), self._compare(payload, right, negated=negated))
            case _:
                return UNKNOWN

    def _meta(self, key: str, right: Any, *, negated: bool) -> Taken:
        match key:
            case "l4proto":
                return self._one(Dimension.KIND, right, _protocol, negated=negated)
            case "nfproto":
                return truth((f"ipv{self._version}" in map(str, _values(right))) is not negated)
            case "protocol":
                mine = "ip" if self._version == 4 else "ip6"
                return truth((mine in map(str, _values(right))) is not negated)
            case "iif" | "iifname":
                return self._one(Dimension.IIF, right, _name, negated=negated)
            case "oif" | "oifname":
                return self._one(Dimension.OIF, right, _name, negated=negated)
            case _:
                return UNKNOWN

    def _payload(self, protocol: str, name: str, right: Any, *, negated: bool, shared: bool) -> Taken:
        """Return the packets that match a test of a header field; those of other protocols never match."""
        family = {"ip": 4, "ip6": 6}.get(protocol)
        if family is not None and family != self._version:
            return NONE
        match protocol, name:
            case "ip" | "ip6", "saddr" | "daddr":
                dimension = Dimension.SOURCE if name == "saddr" else Dimension.DESTINATION
                return self._one(dimension, right, self._address, negated=negated)
            case ("ip", "protocol") | ("ip6", "nexthdr"):
                return self._one(Dimension.KIND, right, _protocol, negated=negated)
            case "tcp" | "udp" | "th", "dport" | "sport":
                dimension = Dimension.PORT if name == "dport" else Dimension.SOURCE_PORT
                ports = self._one(dimension, right, _port, negated=negated)
                return ports if protocol == "th" else _and(_protocol_alone(protocol), ports)
            case "tcp", "flags":
                flags = {str(flag) for flag in _values(right)}
                holds = "syn" in flags if shared else flags == {"syn"}
                return _tcp() if holds is not negated else NONE
            case "icmp" | "icmpv6" | "igmp" | "sctp" | "dccp" | "ah" | "esp" | "comp" | "udplite", _:
                return NONE
            case "tcp" | "udp", _:
                return _and(_protocol_alone(protocol), UNKNOWN)
            case _:
                return UNKNOWN

    def _concat(self, parts: Sequence[Any], right: Any) -> Taken:
        """Return the packets that a concatenation matches; of several, an upper bound, each field alone."""
        entries = [_bare(entry) for entry in self._elements(right)]
        columns = [entry["concat"] for entry in entries if isinstance(entry, Mapping) and "concat" in entry]
        if len(columns) != len(entries) or any(len(column) != len(parts) for column in columns):
            return UNKNOWN
        found = ALL
        for index, part in enumerate(parts):
            values = {"set": [column[index] for column in columns]}
            found = _and(found, self._compare(part, values, negated=False))
        return found if len(columns) == 1 else (found[0], None)

    def _elements(self, right: Any) -> list[Any]:
        match right:
            case str() if right.startswith("@"):
                found = list(self._sets.get(self._table, {}).get(right[1:], [None]))
            case {"set": list(values)}:
                found = values
            case _:
                return [right]
        self._charge(len(found))
        return found

    def _charge(self, elements: int) -> None:
        self._elements_read += elements
        if self._elements_read > _MOST_ELEMENTS:
            raise too_complex()

    def _one(self, dimension: Dimension, right: Any, read: Read, *, negated: bool) -> Taken:
        named = (self._table, right, dimension) if isinstance(right, str) else None
        if named is None:
            values = self._read(right, read)
        else:
            if named not in self._known:
                self._known[named] = self._read(right, read)
            values = self._known[named]
        return UNKNOWN if values is None else restrict(dimension, values, self._version, negated=negated)

    def _read(self, right: Any, read: Read) -> Intervals | None:
        ranges: list[tuple[int, int]] = []
        try:
            for value in self._elements(right):
                ranges += read(_bare(value))
        except (ValueError, TypeError, KeyError, AttributeError):
            return None  # an unknown one
        return normal(ranges)

    def _address(self, value: Any) -> Intervals:
        match value:
            case {"prefix": {"addr": address, "len": length}}:
                return network(f"{address}/{length}", self._version)
            case {"range": [first, last]}:
                return addresses(str(first), str(last), self._version)
            case str():
                return network(value, self._version)
            case _:
                raise ValueError("a value in the rule is not an address")


def _tracks(statement: Mapping[str, Any] | str) -> bool:
    """Return whether a statement makes the kernel track connections."""
    match statement:
        case {"match": {"left": compared}} | {"vmap": {"key": compared}}:
            return _is_of_connection(compared)
        case {"xt": {"name": str(name)}}:
            return name in TRACKING
        case {"dnat": _} | {"redirect": _} | {"snat": _} | {"masquerade": _}:
            return True
        case _:
            return False


def _is_of_connection(compared: Any) -> bool:
    match compared:
        case {"ct": _}:
            return True
        case {"concat": list(parts)} | {"&": list(parts)}:
            return any(map(_is_of_connection, parts))
        case _:
            return False


def _untracks(statement: Mapping[str, Any] | str) -> bool:
    """Return whether a statement may take packets away from connection tracking."""
    match statement:
        case {"notrack": _} | {"xt": {"type": "target", "name": "CT" | "NOTRACK"}}:
            return True
        case _:
            return False


def _decided(text: str, name: str, value: Any, taken: Taken) -> Rule:
    if name in ("jump", "goto"):
        return Rule(text, name, str(value.get("target") or "") if isinstance(value, Mapping) else "", *taken)
    return Rule(text, _VERDICTS.get(name, "unknown"), "", *taken)


def _and(one: Taken, other: Taken) -> Taken:
    return both(one[0], other[0]), both(one[1], other[1])


def _protocol_alone(name: str) -> Taken:
    return restrict(Dimension.KIND, kinds([name]), 4)


def _tcp() -> Taken:
    return _protocol_alone("tcp")


def _fib(types: Sequence[str], *, negated: bool) -> Taken:
    """Return the packets that ``fib`` matches, given that each packet goes to the host or to a container."""
    if set(types) >= _ONE_RECEIVER:
        return truth(not negated)
    if not _ONE_RECEIVER & set(types):
        return truth(negated)
    local = "local" in types
    return restrict(Dimension.OIF, interface("", "*\0"), 4, negated=local is negated)


def _bare(value: Any) -> Any:
    """Return an element without its timeout, counter and comment."""
    match value:
        case {"elem": {"val": bare}}:
            return bare
        case _:
            return value


def _values(right: Any) -> list[Any]:
    match right:
        case {"set": list(values)} | {"|": list(values)} | list(values):
            return [each for value in values for each in _values(value)]
        case _:
            return [right]


def _is_mask(right: Any) -> bool:
    """Return whether flags are combined to a mask (``new,untracked``), and are not elements of a set."""
    return len(_values(right)) > 1 and not (isinstance(right, Mapping) and "set" in right)


def _port(value: Any) -> Intervals:
    match value:
        case {"range": [int(first), int(last)]}:
            return ((first, last),)
        case int():
            return ((value, value),)
        case _:
            raise ValueError("a value in the rule is not a port")


def _protocol(value: Any) -> Intervals:
    if not isinstance(value, str | int):
        raise ValueError("a value in the rule is not a protocol")
    return kinds([{"6": "tcp", "17": "udp"}.get(str(value), str(value))])


def _name(value: Any) -> Intervals:
    if not isinstance(value, str):
        raise ValueError("a value in the rule is not an interface name")
    return interface(value, "*")


def _statement(statement: Mapping[str, Any] | str) -> str:
    if isinstance(statement, str):
        return " ".join(statement.split())
    return _text(*next(iter(statement.items()), ("", None)))


def _text(name: str, value: Any) -> str:
    match value:
        case {"target": of} | {"type": "target" | "match", "name": of}:
            return f"{name} {of}"
        case {"op": operator, "left": left, "right": right}:
            return f"{_leaf(left)} {operator} {_leaf(right)}"
        case {"key": key, "data": _}:
            return f"{_leaf(key)} {name}"
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
        case {"concat": list(parts)}:
            return " . ".join(map(_leaf, parts))
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
