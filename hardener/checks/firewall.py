"""Check the packet filter: Docker's own rules, inbound connections, and published ports."""

from __future__ import annotations

from hardener.checks import check
from hardener.checks.daemon import runs_rootless
from hardener.checks.lib import fields
from hardener.checks.lib.hostnetwork import uplink_names
from hardener.checks.lib.packetfilter import (
    Chain,
    Rule,
    Ruleset,
    into_host,
    read_nft,
    read_save,
    with_lookups,
)
from hardener.checks.lib.ports import meant_ports, published
from hardener.checks.lib.publication import DOUBTFUL, NAMED, OPEN, Way, next_ports
from hardener.checks.lib.settings import Settings
from hardener.checks.lib.verdicts import failed, listed, manual, needs_engine, not_applicable, passed
from hardener.model import Offender, Status, Undecided, Verdict
from hardener.snapshot import FactUnavailable, Snapshot

_FAMILIES = {4: "ip", 6: "ip6"}
_TOOLS = {4: "iptables", 6: "ip6tables"}
# What rules may do that could not be read, and that others cannot make up for.
_UNTRACK = Rule("rules that could not be read", "", must=None, untracks=True)
_UNREAD = Chain(("inet", "unread", "raw"), "prerouting", "accept", [_UNTRACK], priority=-300)


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
    passage = into_host(rulesets(snapshot, version), version, interfaces=uplink_names(snapshot) or None)
    if not passage.open:
        actual = "refused: " + "; ".join(passage.refusals)
        return passed(expected, actual, evidence=passage.evidence, checked=len(passage.chains))
    _complete_or_raise(snapshot)
    if not passage.chains:
        actual = "no chain is loaded that sees inbound packets"
        return failed(expected, actual, offenders=[Offender("firewall", "input", actual)])
    if not passage.certain and passage.doubts:
        return manual(
            expected,
            f"check whether new {' and '.join(sorted(passage.open))} connections match these rules, whose"
            f" conditions are not understood: {listed(passage.doubts, glue='; ')}",
            offenders=[Offender("rule", text, "has an unknown condition") for text in passage.doubts],
            evidence=passage.evidence,
            checked=len(passage.chains),
        )
    offenders = [Offender("chain", str(chain), reason) for chain, reason in passage.chains]
    return failed(
        expected,
        f"{' and '.join(sorted(passage.certain or passage.open))} to ports that no rule names is accepted:"
        f" {offenders[0].detail}",
        offenders=offenders,
        evidence=passage.evidence,
        checked=len(passage.chains),
    )


@check("host-firewall-docker-user")
@needs_engine
def docker_user(snapshot: Snapshot) -> Verdict:
    """Check that the packet filter refuses what comes from outside to published ports that no rule names."""
    if runs_rootless(snapshot):
        return not_applicable("a rootless daemon forwards ports in its own network namespace")
    every = published(snapshot)
    ports = [port for port in every if not port.loopback]
    evidence = [f"published: {port}" for port in ports]
    if not ports and not Settings(snapshot).boolean("iptables").value:
        return not_applicable("no port is published, and the engine forwards none: iptables is off")
    upcoming = not ports
    if upcoming:
        ports = next_ports(snapshot)
        evidence = ["no port is published except on loopback addresses: the next one counts"]
    expected = "the packet filter refuses new connections from outside to published ports that no rule names"
    versions = [
        version
        for version in sorted({port.version for port in ports})
        if _forwards(snapshot, version) or (upcoming and version == 4)
    ]
    unread = {_UNREAD.key: _UNREAD} if _unread(snapshot) else {}
    sources = {version: [*rulesets(snapshot, version), Ruleset(unread, version)] for version in (4, 6)}
    way = Way(
        snapshot,
        every,
        sources,
        versions,
        iptables=not _backend(snapshot).startswith("nftables"),
        proxies=fields.number(snapshot.fact_or("engine", {}), "proxies", "engine") > 0
        or bool(Settings(snapshot).boolean("userland-proxy").value),
    )
    # Those on loopback addresses are open at the container's own address, up to engine 27.
    found = [(port, way.judge(port)) for port in (*ports, *(each for each in every if each.loopback))]
    evidence += [f"{port}: {each.detail}" for port, some in found for each in some if each.state == NAMED]
    accepted = meant_ports(snapshot) or ()
    unmeant = [(port, some) for port, some in found if not port.is_in(accepted)]
    offenders, doubts = (
        [
            Offender("port", str(port), listed([each.detail for each in some if each.state == state]))
            for port, some in unmeant
            if any(each.state == state for each in some)
        ]
        for state in (OPEN, DOUBTFUL)
    )
    if offenders or doubts:
        _complete_or_raise(snapshot)
    told = listed([f"{offender.name} {offender.detail}" for offender in offenders or doubts], glue="; ")
    if upcoming and (offenders or doubts)[:1] and (offenders or doubts)[0].name in map(str, ports):
        told = f"the next port that a container publishes {(offenders or doubts)[0].detail}"
    if offenders:
        question = f"check {listed([f'{doubt.name} {doubt.detail}' for doubt in doubts], glue='; ')}"
        undecided = Undecided(Status.MANUAL, question, tuple(doubts)) if doubts else None
        return failed(
            expected, told, offenders=offenders, evidence=evidence, checked=len(ports), undecided=undecided
        )
    if doubts:
        return manual(expected, f"check {told}", offenders=doubts, evidence=evidence, checked=len(ports))
    refusals = dict.fromkeys(reason for _, some in found for each in some for reason in each.refusals)
    actual = "every open port is named by the policy"
    if not any(each.state in (NAMED, OPEN, DOUBTFUL) for _, some in found for each in some):
        actual = "no packet from outside comes to a published port"
    actual = f"refused: {listed(list(refusals))}" if refusals else actual
    return passed(expected, actual, evidence=evidence, checked=len(ports))


def _forwards(snapshot: Snapshot, version: int) -> bool:
    """Return whether the kernel, not only docker-proxy, forwards published ports of an IP version."""
    if _backend(snapshot).startswith("nftables"):
        return version == 4 or any(network.get("EnableIPv6") for network in snapshot.fact("docker.networks"))
    return _has_dockers_chain(snapshot, version)


def _has_dockers_chain(snapshot: Snapshot, version: int) -> bool:
    """Return whether Docker's chain is loaded, in the tables of either variant of iptables.

    Raises:
        FactUnavailable: the tables could not be read.
    """
    key = (_FAMILIES[version], "filter", "DOCKER")
    return key in _saved(snapshot, version).chains or any(
        key in rules.chains for rules in rulesets(snapshot, version)
    )


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
    if not _has_dockers_chain(snapshot, 4):
        offenders.append(
            Offender("chain", "iptables DOCKER", "is not loaded: flushed since the daemon started")
        )
    if with_ipv6 and not _has_dockers_chain(snapshot, 6):
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
    return read_save(text, _FAMILIES[version], _ipsets(snapshot))


def _ipsets(snapshot: Snapshot) -> str:
    return fields.text(snapshot.fact_or("firewall", {}), "ipsets", "firewall")


def rulesets(snapshot: Snapshot, version: int) -> list[Ruleset]:
    """Return the rules of iptables and its legacy tables, and those of nft in other tables than these."""
    firewall = snapshot.fact_or("firewall", {})
    iptables = fields.table(firewall, "iptables", "firewall")
    saved = Ruleset({}, version)
    if isinstance(iptables.get(f"ipv{version}"), str):
        saved = _saved(snapshot, version)
    legacy = fields.text(fields.table(firewall, "legacy", "firewall"), f"ipv{version}", "firewall")
    native = read_nft(fields.rows(firewall, "nft", "firewall"), version)
    if iptables.get("variant") != "legacy":  # there nft may have another table of the same name
        tables = {key[:2] for key in saved.chains}
        saved = with_lookups(saved, native)
        native = Ruleset({k: each for k, each in native.chains.items() if k[:2] not in tables}, version)
    return [saved, read_save(legacy, _FAMILIES[version], _ipsets(snapshot)), native]


def _complete_or_raise(snapshot: Snapshot) -> None:
    """Raise an error if a part of the packet filter is unknown, since this part may refuse the packets."""
    if reason := _unread(snapshot):
        raise FactUnavailable("firewall", reason)


def _unread(snapshot: Snapshot) -> str:
    """Return why a part of the packet filter is unknown; nothing if none is."""
    firewall = snapshot.fact_or("firewall", {})
    if errors := fields.table(firewall, "errors", "firewall"):
        return "; ".join(f"{name}: {error}" for name, error in errors.items())
    firewalld = snapshot.fact_or("units", {}).get("firewalld.service") or {}
    unseen = firewall.get("nft") is None and firewalld.get("ActiveState") == "active"
    return "firewalld runs, and there is no nft to show its rules" if unseen else ""
