"""Follow packets from outside to published ports: by each uplink, to each address of a container."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from hardener.checks.lib.hostnetwork import (
    bridge_of,
    gateway_mode,
    networks,
    own_addresses,
    uplink_names,
    uplinks,
)
from hardener.checks.lib.packetfilter import Dimension, Flow, Key, Rule, Ruleset, into_host, to_container
from hardener.checks.lib.packetfilter.chains import UNTRANSLATED, too_complex
from hardener.checks.lib.packetfilter.outside import (
    arriving,
    bridges,
    from_many,
    only_named,
    outside_names,
    translated,
    unicast,
)
from hardener.checks.lib.packetfilter.sets import (
    PROTOCOLS,
    TRANSLATED,
    Box,
    Condition,
    Intervals,
    addresses,
    both,
    interface,
    intersect,
    kinds,
    normal,
    subtract,
    within,
)
from hardener.checks.lib.ports import Published
from hardener.checks.lib.verdicts import listed
from hardener.snapshot import Snapshot

REFUSED, NAMED, OPEN, DOUBTFUL = "refused", "named", "open", "doubtful"
_ENGINES_TABLE = "docker-bridges"  # of the nftables backend, for ip and ip6
_GATEWAY = "docker_gwbridge"  # the bridge of a swarm's nodes
# Chains that FORWARD jumps to, and that accept packets to a port as soon as it is published.
_ENGINES_CHAINS = frozenset(
    {"DOCKER", "DOCKER-BRIDGE", "DOCKER-CT", "DOCKER-FORWARD", "DOCKER-INGRESS", "DOCKER-INTERNAL"}
)
_MOST_STEPS = 2_000_000


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of packets from outside to one address of a published port."""

    state: str
    detail: str
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entrance:
    """One way to a published port: by the host's address, or by that of the container (``direct``).

    Packets to the host's address that are not translated come to docker-proxy (``proxied``).
    """

    version: int
    protocol: str
    host: str
    bridge: str  # empty for any of Docker's
    address: str  # empty for any
    port: int  # as the packet arrives with it; 0 for any
    inside: int
    direct: bool
    proxied: bool = False

    def __str__(self) -> str:
        if self.proxied:
            return "to docker-proxy on the host, where its packets are not translated"
        place = f"[{self.address}]" if ":" in self.address else self.address
        port = f"port {self.inside} " if self.inside else ""
        own = "to the container's own address " if self.direct else "to "
        return f"{own}{place or 'any container'} {port}on {self.bridge or 'any bridge of Docker'}"


def next_ports(snapshot: Snapshot) -> list[Published]:
    """Return the ports that could be published next: of TCP and UDP, and of IPv6 if a network has it."""
    with_ipv6 = any(
        network.get("EnableIPv6") and bridge_of(network) and not network.get("Internal")
        for network in networks(snapshot)
    )
    return [
        Published("any container", address, "any", protocol)
        for address in ["0.0.0.0", *(["::"] if with_ipv6 else [])]  # noqa: S104 - as docker run -p publishes
        for protocol in PROTOCOLS
    ]


class Way:
    """The ways to published ports on one host.

    Args:
        snapshot: of the host.
        ports: all that are published.
        sources: the chains that each tool shows, by the version of IP.
        forwarding: versions of IP in which the kernel forwards published ports.
        iptables: whether the engine has its rules in iptables.
        proxies: whether docker-proxy listens at the ports of containers.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        ports: Iterable[Published],
        sources: Mapping[int, Sequence[Ruleset]],
        forwarding: Collection[int],
        *,
        iptables: bool,
        proxies: bool,
    ) -> None:
        sources = {version: _with_tracking(some) for version, some in sources.items()}
        self._loaded = sources
        self._proxies = proxies
        accepting = _ENGINES_CHAINS if iptables else frozenset[str]()
        self._sources = {
            version: [_as_published(rules, accepting) for rules in some] for version, some in sources.items()
        }
        self._translating = {
            version: _reached(some, _containers(ports, version)) for version, some in sources.items()
        }
        self._forwarding = forwarding
        every = networks(snapshot)
        self._networks = {str(network.get(key)): network for network in every for key in ("Name", "Id")}
        self._routed = {
            version: {bridge_of(each) for each in every if gateway_mode(each, version) == "routed"}
            for version in (4, 6)
        }
        self._bridges = bridges(filter(None, map(bridge_of, every)))
        self._uplinks = {name: interface(name, "+\0") for name in uplinks(snapshot)}
        self._arrival = uplink_names(snapshot) or outside_names()
        self._own: dict[int, Intervals] = {}
        for each in own_addresses(snapshot):
            if not (each.is_loopback or each.is_link_local):  # no packets come to these from outside
                one = addresses(str(each.ip), str(each.ip), each.version)
                self._own[each.version] = normal((*self._own.get(each.version, ()), *one))
        self._targets = {version: _targets(some) for version, some in sources.items()}
        self._flows: dict[tuple[object, ...], Flow] = {}
        self._only_named: dict[tuple[object, ...], tuple[bool, bool]] = {}
        self._steps = 0

    def judge(self, port: Published) -> list[Fate]:
        """Return what becomes of packets from outside to a port; empty if none can come there.

        Raises:
            FactUnavailable: the rules are too complex.
        """
        if port.protocol not in PROTOCOLS:
            return [Fate(DOUBTFUL, f"is not judged, since rules are not followed for {port.protocol}")]
        return [self._fate(each) for each in self._entrances(port, port.version)]

    def _entrances(self, port: Published, version: int) -> Iterator[_Entrance]:
        number, inside = (int(text) if text.isdigit() else 0 for text in (port.port, port.inside))
        any_address = port.address in ("0.0.0.0", "::")  # noqa: S104 - its meaning
        host = "" if any_address else port.address
        places = self._places(port, version)
        # Packets come to the container's own address alone where it is routed.
        outer = [(bridge, address) for bridge, address in places if bridge not in self._routed[version]]
        if version in self._forwarding and not port.loopback:
            for bridge, address in self._translated_to(outer, port):
                yield _Entrance(version, port.protocol, host, bridge, address, number, inside, direct=False)
        # docker-proxy serves no ports of swarm services, which have no networks here. It serves a port of
        # IPv6 also if the container has no address of IPv6.
        if (outer or not places) and self._proxies and not port.loopback and (port.networks or not inside):
            yield _Entrance(version, port.protocol, host, "", "", number, number, direct=False, proxied=True)
        for bridge, address in places:
            if address and inside:
                yield _Entrance(version, port.protocol, "", bridge, address, inside, inside, direct=True)

    def _places(self, port: Published, version: int) -> list[tuple[str, str]]:
        """Return the bridges and addresses at which the container is reached; empty texts if unknown."""
        found = []
        for key, known in port.networks:
            network = self._networks.get(key)
            address = known[version == 6]
            if (network is None or bridge_of(network)) and (address or version == 4):
                found.append((bridge_of(network) if network else "", address))
        if found or (port.networks and version == 6):
            return found
        return [(_GATEWAY if port.networks or port.inside else "", "")]

    def _translated_to(self, places: list[tuple[str, str]], port: Published) -> list[tuple[str, str]]:
        """Return the places that a rule translates the port to; all if rules or port are not known."""
        targets = self._targets[port.version]
        if targets is None or self._translating[port.version] is None or not port.inside.isdigit():
            return places
        wanted: dict[int, Intervals] = {Dimension.KIND: kinds([port.protocol])}
        if port.port.isdigit():
            wanted[Dimension.PORT] = ((int(port.port),) * 2,)
        inside = ((int(port.inside),) * 2,)

        def is_target(address: str) -> bool:
            to = addresses(address, address, port.version)
            return any(moved in ((), inside) and both(may, wanted) for moved, may in targets.get(to, ()))

        return [(bridge, address) for bridge, address in places if not address or is_target(address)]

    def _fate(self, way: _Entrance) -> Fate:
        flow = self._flow(way)
        there: dict[int, Intervals] = {}
        if way.address:
            there[Dimension.DESTINATION] = addresses(way.address, way.address, way.version)
        states: dict[str, dict[str, None]] = {}
        for name, iif in self._cells(flow):
            self._steps += len(flow.most) + len(flow.least)
            if self._steps > _MOST_STEPS:
                raise too_complex()
            all_here = there | {Dimension.IIF: iif}
            here = [all_here | condition for condition in _at(way)]
            key = (id(flow), way.address, iif)
            if key not in self._only_named:
                # No rule for translation names a port: the ones for packets to the host do.
                whole = (
                    into_host(self._loaded[way.version], way.version, interfaces=iif) if way.proxied else flow
                )
                most, least = (
                    only_named(_matching(boxes, all_here), way.protocol, way.version)
                    for boxes in (whole.most, whole.least)
                )
                self._only_named[key] = (most, least)
            named, perhaps_named = self._only_named[key]
            if not _many(_matching(flow.most, *here), way.version):
                state = REFUSED
            elif named:
                state = NAMED
            elif _many(_matching(flow.least, *here), way.version) and not perhaps_named:
                state = OPEN
            else:
                state = DOUBTFUL
            states.setdefault(state, {})[name] = None
        if not {OPEN, DOUBTFUL} & states.keys():
            return Fate(
                NAMED if NAMED in states else REFUSED, f"a rule names it, {way}", tuple(flow.refusals)
            )
        reason = listed([*flow.acceptance][-1:])
        if OPEN in states and (self._uplinks or len(states) == 1):
            where = listed([*states[OPEN]])
            return Fate(OPEN, f"is open on {where} {way}" + (f", let through by {reason}" if reason else ""))
        if OPEN in states:
            return Fate(
                DOUBTFUL,
                f"may be open {way}: rules name interfaces, and the snapshot does not tell those of the host:"
                " collect it again",
            )
        doubts = listed([*flow.doubts], 2, glue="; ")
        return Fate(DOUBTFUL, f"may be open {way}, depending on {doubts}")

    def _flow(self, way: _Entrance) -> Flow:
        """Return the packets that get through, to any address behind the bridge and to any port."""
        host = "" if way.proxied else way.host
        key = (way.version, way.protocol, host, way.bridge, way.direct, way.proxied and not way.port)
        if way.proxied and key not in self._flows:
            self._flows[key] = self._to_proxy(way)
        if key not in self._flows:
            bridge = interface(way.bridge, "+\0") if way.bridge else self._bridges
            every = unicast(way.version)
            arrive = partial(arriving, way.version, way.protocol, self._arrival)
            packets, change = arrive(every, leaving=bridge), None
            if not way.direct:
                own = addresses(way.host, way.host, way.version) if way.host else self._own.get(way.version)
                packets, change = arrive(own or every), partial(translated, bridge=bridge, destination=every)
            self._flows[key] = to_container(
                self._sources[way.version], packets, change, self._translating[way.version] or ()
            )
        return self._flows[key]

    def _to_proxy(self, way: _Entrance) -> Flow:
        """Return the packets that get to any port of the host, and are not translated."""
        own, loaded = self._own.get(way.version, ()), self._loaded[way.version]
        packets = [arriving(way.version, way.protocol, self._arrival, own or unicast(way.version))]
        written = any(chain.translates for rules in loaded for chain in rules.chains.values())
        # Without an address none arrives. The engine writes its rules before those of a port.
        if (self._own and not own) or not (way.port or written):
            packets = []
        rules = [_translating(each, own, engines=not way.port) for each in loaded]
        return Flow(packets, packets).along(rules, "ingress", "prerouting").along(loaded, "input")

    def _cells(self, flow: Flow) -> Iterable[tuple[str, Intervals]]:
        """Return each uplink; if they are not known, sets of names between which no rule distinguishes."""
        if self._uplinks:
            return self._uplinks.items()
        boxes = (box[Dimension.IIF] for box in (*flow.most, *flow.least))
        ranges = [each for names in (self._arrival, *boxes) for each in names]
        ends = sorted({end for low, high in ranges for end in (low, high + 1)})
        cells = (intersect(self._arrival, ((low, following - 1),)) for low, following in pairwise(ends))
        return [("any uplink", cell) for cell in cells if cell]


def _as_published(rules: Ruleset, accepting: Collection[str]) -> Ruleset:
    """Return the rules as a published port meets them: Docker's own chains accept its packets."""

    def opened(rule: Rule) -> Rule:
        return replace(rule, verdict="accept", may={}, must={}) if rule.target in accepting else rule

    chains = {
        key: replace(chain, rules=list(map(opened, chain.rules))) if chain.hook == "forward" else chain
        for key, chain in rules.chains.items()
        if key[1] != _ENGINES_TABLE or chain.hook != "forward"
    }
    return Ruleset(chains, rules.version)


def _with_tracking(loaded: Sequence[Ruleset]) -> list[Ruleset]:
    """Return the rules, with the mark of tracked connections if a rule makes the kernel track them."""
    tracking = any(rule.tracks for rules in loaded for each in rules.chains.values() for rule in each.rules)
    return [
        Ruleset({key: replace(each, tracking=tracking) for key, each in rules.chains.items()}, rules.version)
        for rules in loaded
    ]


def _targets(loaded: Sequence[Ruleset]) -> dict[Intervals, list[tuple[Intervals, Condition]]] | None:
    """Return the new port of translated packets, and which they are, by the new address; None if unknown."""
    found: dict[Intervals, list[tuple[Intervals, Condition]]] = {}
    for rule in (rule for rules in loaded for chain in rules.chains.values() for rule in chain.rules):
        if rule.verdict == "unknown" and "dnat" in rule.text.lower():
            return None
        if rule.may is not None and (to := rule.moved.get(Dimension.DESTINATION)):
            found.setdefault(to, []).append((rule.moved.get(Dimension.PORT, ()), rule.may))
    return found


def _reached(loaded: Sequence[Ruleset], containers: Intervals) -> list[Ruleset] | None:
    """Return the chains of type nat up to Docker's, to accept the packets that it translates.

    None if no such chain is known, or two.

    Args:
        loaded: the chains that each tool shows.
        containers: addresses to which other rules than Docker's may translate.
    """
    chains = [(rules, chain) for rules in loaded for chain in rules.hooked("prerouting") if chain.translates]
    dockers = [each for _, each in chains if each.key[1] == _ENGINES_TABLE or any(map(_docks, each.rules))]
    if len(dockers) != 1:
        return None
    found = []
    for rules, chain in chains:
        last = chain is dockers[0]
        if chain.priority < dockers[0].priority or (last and chain.key[1] != _ENGINES_TABLE):
            kept = {key: each for key, each in rules.chains.items() if not each.hook}
            # What comes to the end of Docker's chain is not translated.
            policy = UNTRANSLATED if last else chain.policy
            kept[chain.key] = replace(chain, translates=False, policy=policy)
            followed = {
                key: replace(each, rules=[_as_translated(rule, containers, last=last) for rule in each.rules])
                for key, each in kept.items()
            }
            found.append(Ruleset(followed, rules.version))
    return found


def _containers(ports: Iterable[Published], version: int) -> Intervals:
    """Return the addresses of containers with published ports: any if the engine does not tell one."""
    every = {port.networks for port in ports}
    if () in every:
        return unicast(version)
    texts = {known[version == 6] for networks in every for _, known in networks} - {""}
    return normal(each for text in texts for each in addresses(text, text, version))


def _docks(rule: Rule) -> bool:
    return rule.verdict == "jump" and rule.target in _ENGINES_CHAINS


def _as_translated(rule: Rule, containers: Intervals, *, last: bool) -> Rule:
    """Return a rule of type nat that accepts what may be translated to containers; the last chain only that.

    The packets that it accepts otherwise come to the next chain.
    """
    if _docks(rule) or intersect(rule.moved.get(Dimension.DESTINATION, ()), containers):
        return replace(rule, verdict="accept")
    return replace(rule, verdict="away") if rule.moved or (last and rule.verdict == "accept") else rule


def _translating(rules: Ruleset, own: Intervals, *, engines: bool) -> Ruleset:
    """Return the rules as packets meet them that stay on the host: a translated one leaves their way.

    Args:
        rules: those that are loaded.
        own: addresses of the host, as far as they are known.
        engines: whether the chains of the engine translate packets to each port.
    """

    def followed(key: Key, rule: Rule) -> Rule:
        to = rule.moved.get(Dimension.DESTINATION, ())
        jumps = rule.verdict == "jump" and (rule.target == "DOCKER" or key[1] == _ENGINES_TABLE)
        if (engines and jumps) or (intersect(to, unicast(rules.version)) and not intersect(to, own)):
            return replace(rule, verdict="away")
        return replace(rule, verdict="redirect") if rule.moved or rule.verdict == "unknown" else rule

    chains = {
        key: replace(chain, rules=_joined(followed(key, rule) for rule in chain.rules))
        for key, chain in rules.chains.items()
    }
    return Ruleset(chains, rules.version)


def _joined(rules: Iterable[Rule]) -> list[Rule]:
    """Return the rules, with one for those in a row that translate packets and differ in the port alone."""
    found: list[tuple[Rule, list[tuple[int, int]]]] = []
    row: dict[tuple[tuple[int, Intervals], ...], list[tuple[int, int]]] = {}
    for rule in rules:
        others = dict(rule.may or {})
        ports = others.pop(Dimension.PORT, ())
        if not (ports and rule.verdict == "away" and rule.understood):
            row = {}
            found.append((rule, []))
            continue
        key = tuple(sorted(others.items()))
        if key not in row:
            row[key] = []
            found.append((rule, row[key]))
        row[key] += ports
    return [
        replace(rule, may=(may := {**(rule.may or {}), Dimension.PORT: normal(ports)}), must=may)
        if ports
        else rule
        for rule, ports in found
    ]


def _at(way: _Entrance) -> list[dict[int, Intervals]]:
    """Return conditions of the ports with which packets arrive and leave; of no port if any counts."""
    leaving: dict[int, Intervals] = {Dimension.PORT: ((way.inside,) * 2,)} if way.inside else {}
    ports = leaving | ({Dimension.ORIGINAL_PORT: ((way.port,) * 2,)} if way.port else {})
    if not way.proxied:
        return [ports]
    if way.host:
        ports[Dimension.DESTINATION] = addresses(way.host, way.host, way.version)
    redirected = kinds(states=[TRANSLATED])  # from any port and address of the host
    return [ports | {Dimension.KIND: subtract(kinds(), redirected)}, leaving | {Dimension.KIND: redirected}]


def _matching(boxes: Iterable[Box], *conditions: Mapping[int, Intervals]) -> list[Box]:
    return [found for box in boxes for each in conditions if (found := within(box, each))]


def _many(boxes: Iterable[Box], version: int) -> bool:
    return from_many(normal(each for box in boxes for each in box[Dimension.SOURCE]), version)
