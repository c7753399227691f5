"""Check the packet filter: Docker's own rules, inbound connections, and published ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hardener.checks import check
from hardener.checks.daemon import runs_rootless
from hardener.checks.lib import fields
from hardener.checks.lib.packetfilter import (
    Dimension,
    Ruleset,
    forwarded,
    from_many,
    into_host,
    read_nft,
    read_save,
)
from hardener.checks.lib.ports import Published, published
from hardener.checks.lib.settings import Settings
from hardener.checks.lib.verdicts import failed, needs_engine, not_applicable, passed
from hardener.model import Offender, Verdict
from hardener.snapshot import FactUnavailable, Snapshot

_FAMILIES = {4: "ip", 6: "ip6"}
_BRIDGE_NAME = "com.docker.network.bridge.name"
_TOOLS = {4: "iptables", 6: "ip6tables"}
_ENGINES_TABLE = "docker-bridges"  # of the nftables backend, for ip and ip6


@check("host-firewall-input-ipv4")
def inbound_ipv4(snapshot: Snapshot) -> Verdict:
    """Check that inbound IPv4 is refused unless a rule allows it."""
    return _inbound(snapshot, 4)


@check("host-firewall-input-ipv6")
def inbound_ipv6(snapshot: Snapshot) -> Verdict:
    """Check that inbound IPv6 is refused unless a rule allows it; rules for IPv4 do not affect it."""
    sysctl = snapshot.fact("sysctl")
    key = "net.ipv6.conf.all.disable_ipv6"
    if key in sysctl and sysctl[key] in (None, "1"):
        return not_applicable("IPv6 is switched off in the kernel")
    return _inbound(snapshot, 6)


def _inbound(snapshot: Snapshot, version: int) -> Verdict:
    expected = f"inbound IPv{version} is refused unless a rule allows it"
    passage = into_host(rulesets(snapshot, version), version)
    if not passage.open:
        actual = "refused: " + "; ".join(passage.refusals)
        return passed(expected, actual, evidence=passage.evidence, checked=len(passage.chains))
    _complete_or_raise(snapshot)
    if not passage.chains:
        actual = "no chain is loaded that sees inbound packets"
        return failed(expected, actual, offenders=[Offender("firewall", "input", actual)])
    doubt = "" if passage.certain else " (a rule of this chain has an unknown condition)"
    offenders = [Offender("chain", str(chain), f"{reason}{doubt}") for chain, reason in passage.chains]
    return failed(
        expected,
        f"{' and '.join(sorted(passage.open))} to ports that no rule names "
        f"{'may be' if doubt else 'is'} accepted: {offenders[0].detail}",
        offenders=offenders,
        evidence=passage.evidence,
        checked=len(passage.chains),
    )


@check("host-firewall-docker-user")
@needs_engine
def docker_user(snapshot: Snapshot) -> Verdict:
    """Check DOCKER-USER: published ports bypass the input chain, and DOCKER-USER precedes Docker's rules."""
    if runs_rootless(snapshot):
        return not_applicable("a rootless daemon forwards ports in its own network namespace")
    ports = [port for port in published(snapshot) if not port.loopback]
    evidence = [f"published: {port}" for port in ports]
    if not ports and not Settings(snapshot).boolean("iptables").value:
        return not_applicable("no port is published, and the engine forwards none: iptables is off")
    if not ports:
        ports = _published_next(snapshot)
        evidence = ["no port is published except on loopback addresses: the next one counts"]
    if _backend(snapshot).startswith("nftables"):
        return _filtered_by_nftables(snapshot, ports, evidence)
    expected = "published ports pass a rule in DOCKER-USER that refuses new connections from outside"
    decided = {version: _user_policy(snapshot, version, ports) for version in _forwarded(snapshot, ports)}
    if not decided:
        return not_applicable(
            "ports are published on IPv6 only, by docker-proxy: see the control host-firewall-input-ipv6",
            evidence=evidence,
        )
    offenders = [
        Offender("chain", f"{_TOOLS[version]} DOCKER-USER", reason)
        for version, (holds, reason) in decided.items()
        if not holds
    ]
    if offenders:
        actual = "; ".join(f"{offender.name} {offender.detail}" for offender in offenders)
        return failed(expected, actual, offenders=offenders, evidence=evidence, checked=len(ports))
    actual = "; ".join(reason for _, reason in decided.values())
    return passed(expected, actual, evidence=evidence, checked=len(ports))


def _published_next(snapshot: Snapshot) -> list[Published]:
    """Return the ports that could be published next: of TCP and UDP, and of IPv6 if a network has it."""
    with_ipv6 = any(
        network.get("EnableIPv6") and network.get("Driver") == "bridge" and not network.get("Internal")
        for network in _networks(snapshot)
    )
    addresses = ["0.0.0.0", *(["::"] if with_ipv6 else [])]  # noqa: S104 - as docker run -p publishes
    return [
        Published("any container", address, "any", protocol)
        for address in addresses
        for protocol in ("tcp", "udp")
    ]


def _filtered_by_nftables(snapshot: Snapshot, ports: Sequence[Published], evidence: Sequence[str]) -> Verdict:
    """Check an engine with the nftables backend, which has no DOCKER-USER: another table has to refuse."""
    expected = "published ports pass a chain of the forward hook that refuses new connections from outside"
    versions = {port.version for port in ports}
    if not any(network.get("EnableIPv6") for network in snapshot.fact("docker.networks")):
        versions.discard(6)  # docker-proxy serves it
    refused = {version: _refusal(snapshot, version, ports) for version in sorted(versions)}
    if not all(refused.values()):
        _complete_or_raise(snapshot)
    offenders = [
        Offender("firewall", f"IPv{version} forward", "nothing refuses new connections from outside")
        for version, reason in refused.items()
        if not reason
    ]
    if offenders:
        actual = "; ".join(f"{offender.name}: {offender.detail}" for offender in offenders)
        return failed(expected, actual, offenders=offenders, evidence=evidence, checked=len(ports))
    if not refused:
        return not_applicable(
            "ports are published on IPv6 only, by docker-proxy: see the control host-firewall-input-ipv6",
            evidence=evidence,
        )
    return passed(expected, "; ".join(refused.values()), evidence=evidence, checked=len(ports))


def _refusal(snapshot: Snapshot, version: int, ports: Sequence[Published]) -> str:
    """Return the rule by which a base chain refuses new connections from outside to containers, or empty."""
    protocols = {port.protocol for port in ports if port.version == version}
    packets = [forwarded(version, protocols, _bridges(snapshot))]
    for rules in rulesets(snapshot, version):
        for chain in rules.hooked("forward", {_FAMILIES[version], "inet"}):
            if chain.key[1] == _ENGINES_TABLE:
                continue
            for box, reason in rules.refused(chain, packets):
                if from_many(box[Dimension.SOURCE], version):
                    return reason
    return ""


def _forwarded(snapshot: Snapshot, ports: Sequence[Published]) -> list[int]:
    """Return the IP versions in which the kernel, not only docker-proxy, forwards published ports."""
    versions = {port.version for port in ports}
    if 6 in versions and ("ip6", "filter", "DOCKER") not in _saved(snapshot, 6).chains:
        versions.remove(6)
    return sorted(versions)


def _user_policy(snapshot: Snapshot, version: int, ports: Sequence[Published]) -> tuple[bool, str]:
    """Return whether DOCKER-USER refuses new connections from outside to containers, and by which rule.

    A rule that refuses a few addresses, or by a condition that is not understood, is no policy.
    """
    rules = _saved(snapshot, version)
    family = _FAMILIES[version]
    user = rules.chains.get((family, "filter", "DOCKER-USER"))
    forward = rules.chains.get((family, "filter", "FORWARD"))
    if user is None:
        return False, "is not loaded"
    if forward is None or not any(rule.target == user.key[2] for rule in forward.rules):
        return False, "is not reached: FORWARD does not jump to it"
    protocols = {port.protocol for port in ports if port.version == version}
    reaching = rules.reaching(forward, user.key[2], [forwarded(version, protocols, _bridges(snapshot))])
    if not any(from_many(box[Dimension.SOURCE], version) for box in reaching):
        ahead = [rule.text for rule in forward.rules if rule.verdict in ("accept", "drop", "jump", "goto")]
        return False, f"is not reached: {ahead[0]}"
    for box, reason in rules.refused(user, reaching):
        if from_many(box[Dimension.SOURCE], version):
            return True, reason
    return False, "has no rule that refuses new connections from outside in every case"


def _bridges(snapshot: Snapshot) -> list[str]:
    """Return the bridge names that the networks' options set; other names are generated by the engine."""
    options = [fields.table(network, "Options", "docker.networks") for network in _networks(snapshot)]
    return [str(each[_BRIDGE_NAME]) for each in options if _BRIDGE_NAME in each]


def _networks(snapshot: Snapshot) -> list[Mapping[str, Any]]:
    """Return the engine's networks; none if they could not be read."""
    try:
        return list(snapshot.fact("docker.networks"))
    except FactUnavailable:
        return []


@check("daemon-iptables-managed")
@needs_engine
def iptables_managed(snapshot: Snapshot) -> Verdict:
    """Check the option iptables and the loaded rules: another tool can flush the rules alone."""
    expected = "the daemon may manage the packet filter, and its chains are loaded"
    if runs_rootless(snapshot):
        return not_applicable("a rootless daemon filters in its own network namespace")
    settings = Settings(snapshot)
    if settings.text("firewall-backend").value == "nftables":
        return not_applicable("the engine filters with nftables")
    evidence = settings.evidence("iptables", "ip6tables")
    declared = settings.boolean("iptables")
    if not declared.value:
        offender = Offender("setting", "iptables", f"is {declared}")
        return failed(expected, f"iptables {declared}", offenders=[offender], evidence=evidence)
    if _backend(snapshot).startswith("nftables"):
        return not_applicable("the engine filters with nftables")
    networks = [network for network in snapshot.fact("docker.networks") if network.get("Driver") == "bridge"]
    with_ipv6 = [str(network.get("Name")) for network in networks if network.get("EnableIPv6")]
    offenders = []
    if ("ip", "filter", "DOCKER") not in _saved(snapshot, 4).chains:
        offenders.append(
            Offender("chain", "iptables DOCKER", "is not loaded: flushed since the daemon started")
        )
    if with_ipv6 and ("ip6", "filter", "DOCKER") not in _saved(snapshot, 6).chains:
        offenders.append(
            Offender("chain", "ip6tables DOCKER", f"is not loaded, and IPv6 is on in {', '.join(with_ipv6)}")
        )
    if offenders:
        actual = "; ".join(f"{offender.name} {offender.detail}" for offender in offenders)
        return failed(expected, actual, offenders=offenders, evidence=evidence, checked=len(networks))
    return passed(expected, f"iptables {declared}, Docker's chains are loaded", evidence=evidence)


def _backend(snapshot: Snapshot) -> str:
    """Return the packet filter that the engine reports; older engines report none and use iptables."""
    backend = fields.table(snapshot.info, "FirewallBackend", "docker.info")
    return fields.text(backend, "Driver", "docker.info")


def _saved(snapshot: Snapshot, version: int) -> Ruleset:
    """Return the rules of ``iptables-save`` or ``ip6tables-save``.

    Raises:
        FactUnavailable: they could not be read.
    """
    iptables = fields.table(snapshot.fact("firewall"), "iptables", "firewall")
    text = iptables.get(f"ipv{version}")
    if not isinstance(text, str):
        errors = fields.table(snapshot.fact("firewall"), "errors", "firewall")
        why = "; ".join(str(error) for error in errors.values()) or "was not collected"
        raise FactUnavailable("firewall", f"{_TOOLS[version]}-save: {why}")
    return read_save(text, _FAMILIES[version])


def rulesets(snapshot: Snapshot, version: int) -> list[Ruleset]:
    """Return the rules of iptables, and those of nft outside of iptables' tables, which nft shows in part."""
    firewall = snapshot.fact_or("firewall", {})
    saved = Ruleset({}, version)
    if isinstance(fields.table(firewall, "iptables", "firewall").get(f"ipv{version}"), str):
        saved = _saved(snapshot, version)
    tables = {key[:2] for key in saved.chains}
    native = read_nft(fields.rows(firewall, "nft", "firewall"), version)
    chains = {key: chain for key, chain in native.chains.items() if key[:2] not in tables}
    return [saved, Ruleset(chains, version)]


def _complete_or_raise(snapshot: Snapshot) -> None:
    """Raise an error if a part of the packet filter is unknown, since this part may refuse the packets."""
    firewall = snapshot.fact_or("firewall", {})
    errors = fields.table(firewall, "errors", "firewall")
    if errors:
        raise FactUnavailable("firewall", "; ".join(f"{name}: {error}" for name, error in errors.items()))
    firewalld = snapshot.fact_or("units", {}).get("firewalld.service") or {}
    if firewall.get("nft") is None and firewalld.get("ActiveState") == "active":
        raise FactUnavailable("firewall", "firewalld runs, and there is no nft to show its rules")
