"""Whether the packets of most sources reach published ports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import FactUnavailable, Snapshot
from tests.hanging import must_end
from tests.unit.checks.judging import Judge
from tests.unit.checks.packetfilters import MANAGED, UNKNOWN, filtered, inet, save
from tests.unit.snapshots import container, failed, make, only

USER = "host-firewall-docker-user"
DROP = "-A DOCKER-USER -i eth0 -j DROP"
# The chain FORWARD of engines 26 and 29, with the rules for one port that is published.
LAYOUTS = {
    "26": ":DOCKER - [0:0]\n:DOCKER-USER - [0:0]\n"
    "-A FORWARD -j DOCKER-USER\n-A FORWARD -o {bridge} -j DOCKER\n"
    "-A DOCKER -d {ip} ! -i {bridge} -o {bridge} -p tcp -m tcp --dport 80 -j ACCEPT\n",
    "29": ":DOCKER - [0:0]\n:DOCKER-FORWARD - [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n"
    "-A FORWARD -j DOCKER-FORWARD\n-A DOCKER-FORWARD -o {bridge} -j DOCKER\n"
    "-A DOCKER -d {ip} ! -i {bridge} -o {bridge} -p tcp -m tcp --dport 80 -j ACCEPT\n"
    "-A DOCKER ! -i {bridge} -o {bridge} -j DROP\n",
}
# A container: its bridge and its addresses; and another network of the host.
BRIDGED = {
    "docker0": ("docker0", {4: "172.17.0.2", 6: "fd00:17::2"}),
    "generated": ("br-0123456789ab", {4: "172.18.0.9", 6: "2001:db8:18::9"}),
    "named": ("shop0", {4: "10.77.0.5", 6: "fd00:77::5"}),
}
OTHER = {4: "172.30.0.0/16", 6: "fd00:30::/64"}
MOST = {4: "8.0.0.0/7", 6: "2600::/16"}  # few of the sources
FEW = {4: "192.0.2.0/24", 6: "2001:db8::/64"}


def uplinked(*names: str) -> Any:
    """The facts about a host with these uplinks, and about bridges and tunnels that it has beside them."""
    interfaces = [
        {"name": name, "up": up, "kind": kind, "master": "", "addresses": []}
        for name, up, kind in (
            *((name, True, "") for name in names),
            ("lo", True, ""),
            ("eth9", False, ""),
            ("wg0", True, "wireguard"),
            ("docker0", True, "bridge"),
        )
    ]
    slave = {"name": "eth8", "up": True, "kind": "", "master": "bond0", "addresses": []}
    routes = [{"to": "0.0.0.0/0", "interface": names[0], "gateway": "203.0.113.1"}]
    return only({"interfaces": [*interfaces, slave], "routes": routes, "cut": False})


def publishing(place: str, version: int = 4, **options: str) -> dict[str, Any]:
    """A container with port 80 that is published as 8080."""
    bridge, addresses = BRIDGED[place]
    options = {"com.docker.network.bridge.name": bridge, **options}
    network = {"Name": "site", "Id": "0123456789ab" * 5, "Driver": "bridge", "EnableIPv6": True}
    attached = {"NetworkID": network["Id"], "IPAddress": addresses[4], "GlobalIPv6Address": addresses[6]}
    bindings = [{"HostIp": "0.0.0.0" if version == 4 else "::", "HostPort": "8080"}]
    settings = {"Ports": {"80/tcp": bindings}, "Networks": only({"site": attached})}
    return {
        "docker.containers": [container(NetworkSettings=settings)],
        "docker.networks": [{**network, "Options": options}],
    }


def forwarded(place: str, layout: str, version: int, *rules: str, **sources: Any) -> Snapshot:
    """A host with these rules in DOCKER-USER."""
    return filtering(make(**sources), place, layout, version, *rules)


def filtering(
    host: Snapshot, place: str, layout: str, version: int, *rules: str, ahead: str = "", policy: str = ""
) -> Snapshot:
    """The host with these rules in DOCKER-USER, some ahead of it, and a port that its policy names."""
    bridge, addresses = BRIDGED[place]
    words = {"bridge": bridge, "ip": addresses[version], "other": OTHER[version], "most": MOST[version]}
    lines = [f"-A DOCKER-USER {rule}".format(**words, few=FEW[version]) for rule in rules]
    text = save(*lines, docker=ahead + LAYOUTS[layout].format(**words))
    tables = {"ipv4": save(docker=""), "ipv6": save(docker=""), "variant": "nf_tables"}
    to = f"[{addresses[6]}]" if version == 6 else addresses[4]
    text = text.replace("172.17.0.2", to).replace("! -i docker0", f"! -i {bridge}")
    tables[f"ipv{version}"] = text.replace("FORWARD DROP", "FORWARD ACCEPT")
    facts = {"state": "ok", "ms": 1, "data": {"iptables": tables, "nft": [], "errors": {}}}
    sources = {**host.raw["sources"], "firewall": facts}
    named = {"published_ports": [policy]} if policy else {}
    return Snapshot({**host.raw, "policy": named, "sources": sources})


# What refuses packets to the container's port 80, published as 8080, by the uplinks ens1 and ens2.
ORIGINAL = "-p tcp -m conntrack --ctorigdstport"
REFUSING = [
    ["-j DROP"],
    ["-m conntrack --ctstate NEW -j REJECT"],
    ["-i ens1 -j DROP", "-i ens2 -j DROP"],
    ["! -i {bridge} -o {bridge} -j DROP"],
    ["-d {ip} -j DROP"],
    ["-p tcp -m tcp --dport 80 -j DROP"],
    ["-p tcp -m multiport --dports 22,80 -j DROP"],
    ["-m conntrack ! --ctorigsrc {few} -j DROP"],
    ["-m conntrack --ctproto 6 -j DROP"],
    [f"{ORIGINAL} 8080 -j DROP", f"{ORIGINAL} 80 -j DROP"],
    ["-s {few} -j RETURN", "-j DROP"],
    ["! -s {few} -j DROP"],
    [f"{ORIGINAL} 443 -j RETURN", "-j DROP"],
    # A rule of the site names the port.
    [f"{ORIGINAL} 8080 -j RETURN", "-j DROP"],
    ["-p tcp -m tcp --dport 80 -j RETURN", "-j DROP"],
    ["-d {ip} -p tcp -m tcp --dport 80 -j ACCEPT", "-i ens1 -j DROP", "-i ens2 -j DROP"],
]
LEAVING_OPEN = [
    [],
    ["-j RETURN"],
    ["-j RETURN", "-j DROP"],
    ["-i ens1 -j DROP"],
    ["-i eth0 -j DROP"],
    ["-i wg0 -j DROP"],
    ["-i lo -j DROP"],
    ["-p tcp -m tcp --dport 8080 -j DROP"],
    ["-p tcp -m tcp --dport 9999 -j DROP"],
    ["-p udp -j DROP"],
    ["-p icmp -j DROP"],
    ["-m conntrack --ctorigsrc {few} -j DROP"],
    ["-m conntrack --ctproto 17 -j DROP"],
    [f"{ORIGINAL} 22 -j DROP"],
    ["-d {other} -j DROP"],
    ["-o br-other -j DROP"],
    ["-o eth9 -j DROP"],
    ["-s {most} -j DROP"],
    ["-s {few} -j DROP"],
    ["-m conntrack --ctstate INVALID -j DROP"],
    ["-m conntrack --ctstate RELATED,ESTABLISHED -j DROP"],
    ["-m addrtype --dst-type LOCAL -j DROP"],
    ["-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j DROP"],
    [f"{ORIGINAL} 8080 -j RETURN"],
    [f"{ORIGINAL} 8080 -j RETURN", "-i ens1 -j DROP"],
    [f"{ORIGINAL} 1:65535 -j RETURN", "-j DROP"],
]
EVERYWHERE = pytest.mark.parametrize(
    ("place", "layout", "version"),
    [*product(BRIDGED, LAYOUTS, (4,)), ("docker0", "29", 6), ("named", "26", 6)],
)


@EVERYWHERE
def test_published_ports_pass_where_every_uplink_is_refused(
    judge: Judge, place: str, layout: str, version: int
) -> None:
    host = make(**publishing(place, version), network=uplinked("ens1", "ens2"))
    for rules in REFUSING:
        verdict = judge(USER, filtering(host, place, layout, version, *rules))
        assert verdict.status is Status.PASS, (rules, verdict)
        jump = "-A FORWARD -j ACCEPT\n"
        verdict = judge(USER, filtering(host, place, layout, version, *rules, ahead=jump))
        assert verdict.status is Status.FAIL, (rules, verdict)


@EVERYWHERE
def test_published_ports_fail_where_packets_of_an_uplink_reach_the_container(
    judge: Judge, place: str, layout: str, version: int
) -> None:
    host = make(**publishing(place, version), network=uplinked("ens1", "ens2"))
    ahead = "-A FORWARD -m conntrack --ctstate NEW -j DROP\n"
    for rules in LEAVING_OPEN:
        verdict = judge(USER, filtering(host, place, layout, version, *rules))
        assert verdict.status is Status.FAIL, (rules, verdict)
        assert "8080/tcp is open on ens" in verdict.actual
        assert BRIDGED[place][1][version] in verdict.actual
    for changes, status in (
        ({"ahead": ahead}, Status.PASS),
        ({"policy": "8080/tcp"}, Status.PASS),
        ({"policy": "8081/tcp"}, Status.FAIL),
    ):
        verdict = judge(USER, filtering(host, place, layout, version, **changes))
        assert verdict.status is status, verdict


@pytest.mark.parametrize("condition", [each for each in UNKNOWN if "LOCAL" not in each])
@pytest.mark.parametrize(
    "rules", [("{} -j DROP",), ("{} -j RETURN", "-j DROP"), ("{} -j NFQUEUE", "-j DROP")]
)
def test_rules_with_unknown_conditions_for_published_ports_are_for_a_person(
    judge: Judge, rules: Sequence[str], condition: str
) -> None:
    found = [rule.format(condition).replace("22,80", "22,443") for rule in rules]
    host = make(**publishing("named"), network=uplinked("ens1"))
    verdict = judge(USER, filtering(host, "named", "29", 4, *found))
    assert verdict.status is Status.MANUAL, verdict
    assert found[0].split(" -j")[0] in verdict.actual
    assert judge(USER, filtering(host, "named", "29", 4, "-j DROP", *found)).status is Status.PASS


RAW = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING {} -j DROP\nCOMMIT\n"


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ("-i ens1 -p tcp -m tcp --dport 8080", Status.FAIL),  # the container's own address stays open
        ("-i ens1 -p tcp -m multiport --dports 80,8080", Status.PASS),
        ("-i ens1 -m addrtype --dst-type LOCAL", Status.FAIL),
        ("! -i lo", Status.PASS),
        ("-i ens2", Status.FAIL),
        ("-i ens1 -m conntrack --ctstate NEW", Status.FAIL),
        ("-d 10.77.0.5", Status.FAIL),
    ],
)
def test_packets_to_published_ports_may_be_dropped_before_their_translation(
    judge: Judge, rule: str, status: Status
) -> None:
    sources = {**publishing("named"), "network": uplinked("ens1")}
    snapshot = forwarded("named", "29", 4, **sources)
    tables = snapshot.raw["sources"]["firewall"]["data"]["iptables"]
    tables["ipv4"] = RAW.format(rule) + tables["ipv4"]
    assert judge(USER, snapshot).status is status


@pytest.mark.parametrize("variant", ["nf_tables", "legacy"])
def test_a_table_of_nft_with_the_name_of_one_of_iptables_refuses_beside_legacy_tables(
    judge: Judge, variant: str
) -> None:
    snapshot = forwarded("named", "29", 4, **publishing("named"), network=uplinked("ens1"))
    facts = snapshot.raw["sources"]["firewall"]["data"]
    facts["iptables"]["variant"] = variant
    facts["nft"] = [
        {kind: {**each, "name" if kind == "table" else "table": "filter"}}
        for entry in forward([matched(IIF, "ens1"), {"drop": None}], family="ip")
        for kind, each in entry.items()
    ]
    assert judge(USER, snapshot).status is (Status.PASS if variant == "legacy" else Status.FAIL)


@pytest.mark.parametrize(
    ("statements", "status"),
    [
        ([("SOURCE", "@banned")], Status.FAIL),
        ([("SOURCE", {"set": ["192.0.2.7"]})], Status.FAIL),
        ([("IIF", {"set": ["ens1", "ens2"]})], Status.PASS),
        ([("IIF", {"set": ["ens1"]})], Status.FAIL),
    ],
)
def test_a_rule_of_nft_in_a_chain_of_iptables_keeps_its_sets(
    judge: Judge, statements: list[tuple[str, Any]], status: Status
) -> None:
    """Where iptables-save prints ``-A DOCKER-USER -j DROP``, without the set."""
    host = {**publishing("named"), "network": uplinked("ens1", "ens2")}
    snapshot = forwarded("named", "29", 4, "-p icmp -j RETURN", "-j DROP", **host)
    place = {"family": "ip", "table": "filter", "chain": "DOCKER-USER"}
    fields = {"SOURCE": SOURCE_OF, "IIF": IIF}
    conditions = [matched(fields[name], right) for name, right in statements]
    rules = [[{"xt": {"type": "match", "name": "icmp"}}, {"return": None}], [*conditions, {"drop": None}]]
    snapshot.raw["sources"]["firewall"]["data"]["nft"] = [
        {"set": {"family": "ip", "table": "filter", "name": "banned", "elem": ["192.0.2.7"]}},
        *({"rule": {**place, "expr": each}} for each in rules),
    ]
    verdict = judge(USER, snapshot)
    assert verdict.status is status, verdict
    if status is Status.PASS:
        assert "iifname == { ens1, ens2 } drop" in verdict.actual


def test_a_port_on_a_loopback_address_is_judged_at_the_containers_own_address(judge: Judge) -> None:
    """Up to engine 27; since then Docker's rules in the table raw refuse what comes to that address."""
    sources = {**publishing("named"), "network": uplinked("ens1")}
    ports = sources["docker.containers"][0]["inspect"]["NetworkSettings"]["Ports"]
    ports["80/tcp"] = [{"HostIp": "127.0.0.1", "HostPort": "5432"}]
    snapshot = forwarded("named", "26", 4, "-m conntrack --ctstate DNAT -j DROP", **sources)
    verdict = judge(USER, snapshot)
    assert [offender.name for offender in verdict.offenders] == ["web 127.0.0.1:5432/tcp"]
    assert verdict.actual.startswith("web 127.0.0.1:5432/tcp is open on ens1 to the container's own address")
    tables = snapshot.raw["sources"]["firewall"]["data"]["iptables"]
    tables["ipv4"] = RAW.format("-d 10.77.0.5/32 ! -i shop0 -j DROP") + tables["ipv4"]
    assert judge(USER, snapshot).status is Status.PASS


@pytest.mark.parametrize(
    ("rule", "policy", "status"),
    [
        ("", "ACCEPT", Status.FAIL),
        ("", "DROP", Status.PASS),
        ("-A INPUT -i ens1 -j DROP", "ACCEPT", Status.PASS),
        ("-A INPUT -p tcp -m tcp --dport 22 -j DROP", "ACCEPT", Status.FAIL),
        ("-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT", "DROP", Status.PASS),
    ],
)
@pytest.mark.parametrize("version", [4, 6])
def test_ports_that_only_docker_proxy_serves_are_judged_by_the_input_filter(
    judge: Judge, version: int, rule: str, policy: str, status: Status
) -> None:
    """Docker's own rules are for IPv4 alone up to engine 26, and none where iptables is off."""
    host = {**publishing("named", version), "network": uplinked("ens1")}
    networks = host["docker.containers"][0]["inspect"]["NetworkSettings"]["Networks"]
    networks["site"] |= {"IPAddress": "", "GlobalIPv6Address": ""}
    snapshot = forwarded("named", "29", 4, "-j DROP", **host)
    tables = snapshot.raw["sources"]["firewall"]["data"]["iptables"]
    tables[f"ipv{version}"] = save(rule, policy=policy, docker="")  # FORWARD has the policy DROP
    verdict = judge(USER, snapshot)
    assert verdict.status is status, verdict
    assert ("to docker-proxy on the host" in verdict.actual) == (status is Status.FAIL)


def test_a_host_without_an_address_of_a_version_of_ip_is_not_reached_by_it(judge: Judge) -> None:
    host = {**publishing("named", 6), "network": uplinked("ens1")}
    networks = host["docker.containers"][0]["inspect"]["NetworkSettings"]["Networks"]
    networks["site"]["GlobalIPv6Address"] = ""
    host["network"].value["interfaces"][0]["addresses"] = ["198.51.100.7/24", "fe80::7/64"]
    snapshot = forwarded("named", "29", 4, **host)
    verdict = judge(USER, snapshot)
    assert verdict.status is Status.PASS
    assert verdict.actual == "no packet from outside comes to a published port"
    facts = snapshot.raw["sources"]["network"]["data"]["interfaces"][0]["addresses"]
    facts.append("2001:db8::7/64")
    assert judge(USER, snapshot).status is Status.FAIL


def test_dockers_rules_are_found_in_the_tables_of_the_other_variant(judge: Judge) -> None:
    host = {**publishing("named", 6), "network": uplinked("ens1")}
    snapshot = forwarded("named", "29", 6, **host)
    facts = snapshot.raw["sources"]["firewall"]["data"]
    docker = facts["iptables"]["ipv6"]
    facts["iptables"] |= {"ipv4": save(docker=""), "ipv6": save(docker="").replace("DROP", "ACCEPT")}
    facts["legacy"] = {"ipv4": save(), "ipv6": docker}
    verdict = judge(USER, snapshot)
    assert [offender.name for offender in verdict.offenders] == ["web [::]:8080/tcp"]
    assert judge(MANAGED, snapshot).status is Status.PASS
    facts["legacy"]["ipv4"] = None
    assert judge(MANAGED, snapshot).status is Status.FAIL


def test_a_drop_in_another_table_of_the_forward_hook_refuses(judge: Judge) -> None:
    sources = {**publishing("named"), "network": uplinked("ens1")}
    snapshot = forwarded("named", "29", 4, **sources)
    snapshot.raw["sources"]["firewall"]["data"]["nft"] = forward([matched(IIF, "ens1"), {"drop": None}])
    assert judge(USER, snapshot).status is Status.PASS
    snapshot.raw["sources"]["firewall"]["data"]["nft"] = forward([matched(IIF, "ens2"), {"drop": None}])
    assert judge(USER, snapshot).status is Status.FAIL


def test_the_address_to_which_docker_translates_counts(judge: Judge) -> None:
    """A container in two networks: the port leads to its address in one of them."""
    sources = {**publishing("named"), "network": uplinked("ens1")}
    second = {"Name": "db", "Id": "b" * 64, "Driver": "bridge", "Options": {}}
    sources["docker.networks"].append(second)
    settings = sources["docker.containers"][0]["inspect"]["NetworkSettings"]
    settings["Networks"]["db"] = {"NetworkID": "b" * 64, "IPAddress": "172.19.0.2"}
    rules = ("-o shop0 -j DROP", "-m conntrack ! --ctstate DNAT -j DROP")
    snapshot = forwarded("named", "29", 4, *rules, **sources)
    tables = snapshot.raw["sources"]["firewall"]["data"]["iptables"]
    assert judge(USER, snapshot).status is Status.PASS
    first, other = "--to-destination 10.77.0.5", "--to-destination 172.19.0.2"
    for to, status in (
        (f"{first}:80", Status.PASS),
        (f"{other}:80", Status.FAIL),
        (f"{first}:81", Status.PASS),  # another port of the container
        (f"{other}:80-90", Status.FAIL),  # not understood
    ):
        ipv4 = tables["ipv4"]
        tables["ipv4"] = ipv4.replace(first, to)
        assert judge(USER, snapshot).status is status, to
        tables["ipv4"] = ipv4


def test_rules_for_interfaces_are_for_a_person_where_the_interfaces_are_not_known(judge: Judge) -> None:
    known = publishing("docker0")
    verdict = judge(USER, forwarded("docker0", "26", 4, "-i eth0 -j DROP", **known, without=("network",)))
    assert verdict.status is Status.MANUAL
    assert "collect it again" in verdict.actual
    for rule, status in (("-j DROP", Status.PASS), ("-j RETURN", Status.FAIL)):
        snapshot = forwarded("docker0", "26", 4, rule, **known, without=("network",))
        assert judge(USER, snapshot).status is status


@pytest.mark.parametrize(
    ("interface", "status"),
    [
        ({"name": "tun0", "kind": "tun"}, Status.PASS),
        ({"name": "br-lan", "kind": "bridge"}, Status.FAIL),
        ({"name": "docker-lan"}, Status.FAIL),
        ({"name": "eth1", "master": "br0"}, Status.PASS),
        ({"name": "eth1", "master": "vrf-blue"}, Status.FAIL),
        ({"name": "eth1", "up": False}, Status.PASS),
        ({"name": "br-fedcba987654", "kind": "bridge"}, Status.PASS),
        ({"name": "veth1", "kind": "veth"}, Status.PASS),
    ],
)
def test_uplinks_are_told_from_bridges_and_tunnels(
    judge: Judge, interface: dict[str, Any], status: Status
) -> None:
    facts = uplinked("eth0").value
    vrf = {"name": "vrf-blue", "up": False, "kind": "vrf", "master": "", "addresses": []}
    facts["interfaces"] += [{"up": True, "kind": "", "master": "", "addresses": [], **interface}, vrf]
    host = {**publishing("docker0"), "network": only(facts)}
    assert judge(USER, forwarded("docker0", "26", 4, "-i eth0 -j DROP", **host)).status is status
    facts["routes"] = [{"to": "::/0", "interface": interface["name"], "gateway": ""}]
    if interface["name"] == "tun0":
        assert judge(USER, forwarded("docker0", "26", 4, "-i eth0 -j DROP", **host)).status is Status.FAIL


def test_thousands_of_published_ports_are_judged(judge: Judge) -> None:
    host = publishing("docker0")
    bindings = {f"{port}/udp": [{"HostIp": "", "HostPort": str(port)}] for port in range(10000, 14000)}
    host["docker.containers"][0]["inspect"]["NetworkSettings"]["Ports"] = bindings
    with must_end():
        assert judge(USER, forwarded("docker0", "26", 4, "-j DROP", **host)).status is Status.PASS
        assert judge(USER, forwarded("docker0", "26", 4, **host)).status is Status.FAIL
    scattered = [f"{port}/{name}" for port in range(1024, 9000, 4) for name in ("tcp", "udp")]
    bindings = {each: [{"HostIp": "", "HostPort": each.partition("/")[0]}] for each in scattered}
    host["docker.containers"][0]["inspect"]["NetworkSettings"]["Ports"] = bindings
    snapshot = forwarded("docker0", "29", 4, "-j DROP", network=uplinked("ens1", "ens2"), **host)
    tables = snapshot.raw["sources"]["firewall"]["data"]["iptables"]
    match = "-A DOCKER ! -i docker0 -p {1} -m {1} --dport {0} -j DNAT --to-destination 172.17.0.2:{0}\n"
    rules = "".join(match.format(*each.split("/")) for each in scattered)
    lines = [line for line in tables["ipv4"].splitlines(keepends=True) if "--to-destination" not in line]
    tables["ipv4"] = (
        "".join(lines).replace("COMMIT", f"{rules}COMMIT", 1).replace("INPUT ACCEPT", "INPUT DROP")
    )
    with must_end():
        assert judge(USER, snapshot).status is Status.PASS


def test_a_port_of_sctp_is_for_a_person(judge: Judge) -> None:
    host = publishing("docker0")
    ports = host["docker.containers"][0]["inspect"]["NetworkSettings"]["Ports"]
    ports["99/sctp"] = [{"HostIp": "", "HostPort": "99"}]
    verdict = judge(USER, forwarded("docker0", "26", 4, "-j DROP", **host))
    assert verdict.status is Status.MANUAL
    open_too = judge(USER, forwarded("docker0", "26", 4, **host))
    assert open_too.undecided is not None
    assert "sctp" in open_too.undecided.actual


def ports(*addresses: str, ipv6: str = "") -> dict[str, Any]:
    """A container with a port that is published on these addresses, and its own IPv6 address."""
    bindings = [{"HostIp": address, "HostPort": "8080"} for address in addresses]
    settings = {
        "Ports": {"80/tcp": bindings, "81/tcp": None},
        "Networks": {"bridge": {"GlobalIPv6Address": ipv6}},
    }
    return {"docker.containers": [container(NetworkSettings=settings)]}


RENDERED = Path(__file__).parents[2] / "fixtures" / "firewall"


@pytest.mark.parametrize("name", ["13-defaults", "testing-site"])
@pytest.mark.parametrize("version", ["ipv4", "ipv6"])
def test_the_rules_of_the_firewall_role_pass(judge: Judge, name: str, version: str) -> None:
    text = (RENDERED / f"{name}.rules").read_text(encoding="utf-8")
    sections = dict(part.split("\n", 1) for part in text.split("== ")[1:])
    hooks = [
        "-A INPUT -j HARDENER-INPUT",
        "-A DOCKER-USER -j HARDENER-DOCKER",
        "-A FORWARD -j HARDENER-FORWARD",
    ]
    chains = sections[f"inbound.{version}"] + sections[f"forwarded.{version}"]
    published = ports("0.0.0.0") if version == "ipv4" else ports("::", ipv6="fd00::2")
    loaded = filtered(**{version: chains + save(*hooks)}, **published)
    for slug in (USER, f"host-firewall-input-{version}"):
        verdict = judge(slug, loaded)
        assert verdict.status is Status.PASS, verdict
    later = container("later", NetworkSettings={"Ports": {"80/tcp": [{"HostIp": "", "HostPort": "9090"}]}})
    containers: list[dict[str, Any]]
    for containers in ([later], []):
        sources: dict[str, Any] = {"docker.containers": containers}
        host = filtered(ipv4=sections["forwarded.ipv4"] + save(*hooks), **sources)
        assert judge(USER, host).status is Status.PASS


def test_a_new_docker_installation_fails(judge: Judge) -> None:
    verdict = judge(USER, make())
    assert verdict.status is Status.FAIL
    assert "published: web 0.0.0.0:8080/tcp" in verdict.evidence


def test_published_ipv6_ports_need_their_own_refusal(judge: Judge) -> None:
    both = ports("0.0.0.0", "::")
    assert judge(USER, filtered(save(DROP), save(), **both)).status is Status.PASS
    both = ports("0.0.0.0", "::", ipv6="fd00::2")
    verdict = judge(USER, filtered(save(DROP), save(), **both))
    assert verdict.status is Status.FAIL
    assert {offender.name for offender in verdict.offenders} == {"web [::]:8080/tcp"}
    assert judge(USER, filtered(save(DROP), save(DROP), **both)).status is Status.PASS
    verdict = judge(USER, filtered(save(DROP), save(docker=""), **ports("::")))
    assert "to docker-proxy on the host" in verdict.actual


def without_proxy(
    ahead: str = "", *others: dict[str, Any], prio: int = -100, kind: str = "filter"
) -> Snapshot:
    """A host whose engine runs no docker-proxy and refuses packets to containers' own addresses."""
    host = {**publishing("named"), "network": uplinked("ens1"), "engine": {"proxies": 0}}
    host["daemon.config"] = {"parsed": {"userland-proxy": False}}
    snapshot = forwarded("named", "29", 4, **host)
    facts = snapshot.raw["sources"]["firewall"]["data"]
    rules = facts["iptables"]["ipv4"].replace("-A PREROUTING", f"{ahead}\n-A PREROUTING", 1)
    facts["iptables"]["ipv4"] = RAW.format("-d 10.77.0.5/32 ! -i shop0") + rules
    chain = {"family": "ip", "table": "site", "name": "in", "type": kind, "hook": "prerouting", "prio": prio}
    facts["nft"] = [{"chain": chain}, {"rule": {**chain, "chain": "in", "expr": list(others)}}]
    return snapshot


SITES = "-A PREROUTING -i ens1 -p tcp -m tcp --dport"


@pytest.mark.parametrize(
    ("ahead", "status"),
    [
        ("", Status.FAIL),
        (f"{SITES} 8080 -j RETURN", Status.PASS),
        (f"{SITES} 8080 -j ACCEPT", Status.PASS),
        (f"{SITES} 8080 -j REDIRECT --to-ports 22", Status.PASS),
        (f"{SITES} 8080 -j DNAT --to-destination 192.0.2.9:80", Status.PASS),
        (f"{SITES} 8080 -j DNAT --to-destination 10.77.0.5:80", Status.FAIL),  # the container
        (f"{SITES} 8080 -j DROP", Status.PASS),
        (f"{SITES} 8080 -m mark --mark 0x1 -j RETURN", Status.MANUAL),
        (f"{SITES} 8081 -j RETURN", Status.FAIL),
        (f"{SITES} 80 -j RETURN", Status.FAIL),  # packets have the port of the host
        ("-A PREROUTING -i ens1 ! -s 192.0.2.0/24 -j RETURN", Status.PASS),
        ("-A PREROUTING -i ens1 -s 192.0.2.0/24 -j RETURN", Status.FAIL),
        ("-A PREROUTING -i ens1 -p tcp -m multiport ! --dports 443,8080 -j RETURN", Status.PASS),  # named
    ],
)
def test_ports_from_which_rules_keep_dockers_translation_are_closed_without_docker_proxy(
    judge: Judge, ahead: str, status: Status
) -> None:
    verdict = judge(USER, without_proxy(ahead))
    assert verdict.status is status, verdict


def test_a_port_that_no_rule_translates_is_closed_without_docker_proxy(judge: Judge) -> None:
    snapshot = without_proxy()
    tables = snapshot.raw["sources"]["firewall"]["data"]["iptables"]
    first, *others = (line for line in tables["ipv4"].splitlines() if "--to-destination" in line)
    tables["ipv4"] = tables["ipv4"].replace(f"{first}\n", "")  # that of TCP
    assert judge(USER, snapshot).status is Status.PASS
    tables["ipv4"] = tables["ipv4"].replace(others[0], first.replace("-j", "--dport 8000:8100 -j"))
    assert judge(USER, snapshot).status is Status.FAIL


@pytest.mark.parametrize(
    ("prio", "kind", "port", "status"),
    [
        (-101, "filter", 8080, Status.PASS),
        (-101, "filter", 80, Status.FAIL),
        (-99, "filter", 8080, Status.FAIL),
        (-99, "filter", 80, Status.PASS),
        # The kernel asks the chain first that was loaded last.
        (-100, "filter", 8080, Status.MANUAL),
        (-100, "filter", 80, Status.MANUAL),
        (-100, "filter", 9999, Status.FAIL),
        (-101, "nat", 8080, Status.PASS),
        (-101, "nat", 80, Status.FAIL),
        (-99, "nat", 80, Status.FAIL),
    ],
)
def test_a_chain_sees_the_port_of_the_host_before_the_translation_and_that_of_the_container_after_it(
    judge: Judge, prio: int, kind: str, port: int, status: Status
) -> None:
    drop = [matched(IIF, "ens1"), matched({"payload": {"protocol": "tcp", "field": "dport"}}, port)]
    verdict = judge(USER, without_proxy("", *drop, {"drop": None}, prio=prio, kind=kind))
    assert verdict.status is status, verdict
    assert ("whether ip site in is before the translation" in verdict.actual) == (status is Status.MANUAL)


REFUSED = "-A DOCKER-USER -j DROP"
RETURNING = ("-A PREROUTING -i eth0 -j RETURN", "-A PREROUTING -p tcp -j ACCEPT")
NOTRACK = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -j CT --notrack\nCOMMIT\n"
REDIRECT = "-A PREROUTING -p tcp -m tcp --dport 9090 -j {}"


def ahead_of_docker(rule: str, **options: str) -> str:
    """Rules that refuse all packets to containers, with one of the site ahead of Docker's translation."""
    return save(REFUSED, **options).replace("-A PREROUTING", f"{rule}\n-A PREROUTING", 1)


def without_translation(**options: str) -> str:
    """Rules that refuse all packets to containers, without Docker's translation of their ports."""
    return "\n".join(line for line in save(REFUSED, **options).splitlines() if "DNAT" not in line) + "\n"


@pytest.mark.parametrize(
    "rules",
    [
        *(partial(ahead_of_docker, rule) for rule in RETURNING),
        without_translation,
        lambda **options: NOTRACK + save(REFUSED, **options),
        lambda **options: save(REFUSED, **options).replace(
            "-A PREROUTING -m addrtype --dst-type LOCAL", "-A OUTPUT"
        ),
    ],
)
@pytest.mark.parametrize(("version", "address"), [(4, "0.0.0.0"), (6, "::")])
def test_packets_that_are_not_translated_reach_docker_proxy(
    judge: Judge, rules: Callable[..., str], version: int, address: str
) -> None:
    host = ports(address, ipv6="fd00:17::2")
    off: dict[str, Any] = {"daemon.config": {"parsed": {"userland-proxy": False}}, "engine": {"proxies": 0}}
    loaded = {"ipv4": save(REFUSED), "ipv6": save(REFUSED)}
    verdict = judge(USER, filtered(**{**loaded, f"ipv{version}": rules()}, **host))
    assert verdict.status is Status.FAIL
    assert "to docker-proxy on the host" in verdict.actual
    refused = rules(policy="DROP")
    assert judge(USER, filtered(**{**loaded, f"ipv{version}": refused}, **host)).status is Status.PASS
    named = f"{refused}*filter\n-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT\nCOMMIT\n"
    assert judge(USER, filtered(**{**loaded, f"ipv{version}": named}, **host)).status is Status.PASS
    assert judge(USER, filtered(**{**loaded, f"ipv{version}": rules()}, **host, **off)).status is Status.PASS
    off["engine"] = {"proxies": 1}  # from before the change of daemon.json
    verdict = judge(USER, filtered(**{**loaded, f"ipv{version}": rules()}, **host, **off))
    assert verdict.status is Status.FAIL


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("REDIRECT --to-ports 8080", Status.MANUAL),
        ("REDIRECT --to-ports 8081", Status.PASS),
        ("REDIRECT --to-ports 8000-9000", Status.MANUAL),
        ("REDIRECT", Status.MANUAL),
        ("NETMAP --to 198.51.100.0/24", Status.MANUAL),
        ("DNAT --to-destination 127.0.0.1:8080", Status.MANUAL),
        ("DNAT --to-destination 198.51.100.7:8080", Status.MANUAL),
        ("DNAT --to-destination 198.51.100.7:8081", Status.PASS),
        ("DNAT --to-destination 198.51.100.1-198.51.100.9:8080", Status.MANUAL),
        ("DNAT --to-destination 192.0.2.1:8080", Status.PASS),
    ],
)
def test_ports_that_may_be_redirected_to_docker_proxy_are_for_a_person(
    judge: Judge, target: str, status: Status
) -> None:
    network = uplinked("eth0")
    network.value["interfaces"][0]["addresses"] = ["198.51.100.7/24"]
    text = ahead_of_docker(REDIRECT.format(target))
    verdict = judge(USER, filtered(text, network=network, **ports("0.0.0.0")))
    assert verdict.status is status, verdict
    if status is Status.MANUAL:
        assert target in verdict.actual
    refused = ahead_of_docker(REDIRECT.format(target), policy="DROP")
    assert judge(USER, filtered(refused, network=network, **ports("0.0.0.0"))).status is Status.PASS


@pytest.mark.parametrize(
    ("statements", "status"),
    [
        ([{"redirect": {"port": 8080}}], Status.MANUAL),
        ([{"redirect": {"port": 8081}}], Status.PASS),
        ([{"redirect": None}], Status.MANUAL),
        ([{"dnat": {"addr": "192.0.2.1", "port": 8080}}], Status.PASS),
        ([{"dnat": {"addr": {"map": {"key": {}, "data": {}}}}}], Status.MANUAL),
        ([{"accept": None}], Status.PASS),  # the next chain of type nat translates
    ],
)
def test_chains_of_nftables_may_redirect_to_docker_proxy(
    judge: Judge, statements: Any, status: Status
) -> None:
    place = {"family": "ip", "table": "site"}
    chain = {**place, "name": "in", "type": "nat", "hook": "prerouting", "prio": -110, "policy": "accept"}
    tables = [{"chain": chain}, {"rule": {**place, "chain": "in", "expr": statements}}]
    verdict = judge(USER, filtered(save(REFUSED), nft=tables, **ports("0.0.0.0")))
    assert verdict.status is status, verdict


def matched(left: dict[str, Any], right: Any) -> dict[str, Any]:
    return {"match": {"op": "==", "left": left, "right": right}}


STATE = {"ct": {"key": "state"}}


@pytest.mark.parametrize(
    ("statement", "rule", "status"),
    [
        (matched(STATE, "new"), "", Status.PASS),
        (matched({"concat": [{"meta": {"key": "mark"}}, STATE]}, {"concat": [1, "new"]}), "", Status.PASS),
        ({"vmap": {"key": STATE, "data": {"set": [["new", {"continue": None}]]}}}, "", Status.PASS),
        ({"xt": {"type": "match", "name": "conntrack"}}, "", Status.PASS),
        ({"masquerade": None}, "", Status.PASS),
        (matched({"meta": {"key": "mark"}}, 1), "", Status.FAIL),
        ({"accept": None}, "-A INPUT -m conntrack --ctstate NEW -j ACCEPT", Status.PASS),
        ({"accept": None}, "-A INPUT -m state --state NEW -j ACCEPT", Status.PASS),
        ({"accept": None}, '-A INPUT -m comment --comment "-m conntrack" -j ACCEPT', Status.FAIL),
    ],
)
def test_chains_of_type_nat_refuse_packets_only_where_connections_are_tracked(
    judge: Judge, statement: Any, rule: str, status: Status
) -> None:
    """The kernel tracks connections once a rule needs it, and asks no chain of type nat before."""
    place = {"family": "ip", "table": "site"}
    hook = {**place, "hook": "prerouting", "policy": "accept"}
    tables = [
        {"chain": {**hook, "name": "in", "type": "nat", "prio": -110}},
        {"rule": {**place, "chain": "in", "expr": [{"drop": None}]}},
        {"chain": {**place, "name": "unused"}},
        {"rule": {**place, "chain": "unused", "expr": [statement]}},
    ]
    rules = f"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n{rule}\nCOMMIT\n"
    verdict = judge(USER, filtered(rules, nft=tables, **ports("0.0.0.0")))
    assert verdict.status is status, verdict


@pytest.mark.parametrize(
    ("prio", "status"), [(-99, Status.PASS), (-100, Status.MANUAL), (-101, Status.MANUAL)]
)
def test_a_chain_sees_the_port_that_a_rule_redirects_only_after_the_translation(
    judge: Judge, prio: int, status: Status
) -> None:
    network = uplinked("eth0")
    network.value["interfaces"][0]["addresses"] = ["198.51.100.7/24"]
    place = {"family": "ip", "table": "site"}
    chain = {**place, "name": "in", "type": "filter", "hook": "prerouting", "prio": prio, "policy": "accept"}
    drop = [matched({"payload": {"protocol": "tcp", "field": "dport"}}, 8080), {"drop": None}]
    tables = [{"chain": chain}, {"rule": {**place, "chain": "in", "expr": drop}}]
    text = ahead_of_docker(REDIRECT.format("REDIRECT --to-ports 8080"))
    verdict = judge(USER, filtered(text, nft=tables, network=network, **ports("0.0.0.0")))
    assert verdict.status is status, verdict
    assert ("whether ip site in is before the translation" in verdict.actual) == (prio == -100)


def test_rules_that_could_not_be_read_may_lead_to_docker_proxy(judge: Judge) -> None:
    for policy in ("ACCEPT", "DROP"):
        snapshot = filtered(save(REFUSED, policy=policy), **ports("0.0.0.0"))
        snapshot.raw["sources"]["firewall"]["data"]["errors"] = {"nft": "timed out"}
        if policy == "DROP":
            assert judge(USER, snapshot).status is Status.PASS
        else:
            with pytest.raises(FactUnavailable, match="timed out"):
                judge(USER, snapshot)


def test_docker_proxy_serves_ipv6_also_if_the_container_has_no_address_of_it(judge: Judge) -> None:
    def status(**facts: Any) -> Status:
        snapshot = filtered(save(REFUSED), without_translation(**facts.pop("rules", {})), **facts)
        return judge(USER, snapshot).status

    assert status(**ports("0.0.0.0", "::")) is Status.FAIL
    assert status(**ports("0.0.0.0", "::"), rules={"policy": "DROP"}) is Status.PASS
    network = uplinked("eth0")
    network.value["interfaces"][0]["addresses"] = ["198.51.100.7/24"]
    assert status(**ports("0.0.0.0", "::"), network=network) is Status.PASS  # IPv6 is off on the host


def test_published_ports_of_a_swarm_service_fail_without_a_refusing_rule(judge: Judge) -> None:
    service = {
        "ID": "s",
        "Spec": {"Name": "api"},
        "Endpoint": {"Ports": [{"PublishedPort": 443, "Protocol": "tcp"}]},
    }
    swarm = {"docker.swarm": {"services": [service]}, "docker.containers": []}
    verdict = judge(USER, filtered(save(), save(docker=""), **swarm))
    assert verdict.status is Status.FAIL
    assert "published: api 0.0.0.0:443/tcp" in verdict.evidence


def test_docker_user_is_not_applicable_to_a_rootless_engine(judge: Judge) -> None:
    assert judge(USER, make(engine={"rootless": True})).status is Status.NOT_APPLICABLE


NOTHING_PUBLISHED = pytest.mark.parametrize("known", [{"docker.containers": []}, ports("127.0.0.1", "::1")])
WITH_IPV6 = {"docker.networks": [{"Name": "site", "Driver": "bridge", "EnableIPv6": True}]}


@NOTHING_PUBLISHED
@pytest.mark.parametrize(
    ("rules", "status"),
    [
        ((), Status.FAIL),
        ((DROP,), Status.PASS),
        (("-A DOCKER-USER -i eth0 -p tcp -j DROP",), Status.FAIL),
        (("-A DOCKER-USER -i eth0 -p udp -j DROP",), Status.FAIL),
        (("-A DOCKER-USER -i eth0 -o docker0 -j DROP",), Status.FAIL),
        (("-A DOCKER-USER -o docker0 -j DROP", "-A DOCKER-USER -o br-+ -j DROP"), Status.FAIL),
        (("-A DOCKER-USER -o docker+ -j DROP", "-A DOCKER-USER -o br-+ -j DROP"), Status.PASS),
        (("-A DOCKER-USER -p tcp -m multiport --dports 80,443 -j RETURN", DROP), Status.PASS),
        (("-A DOCKER-USER -p tcp -m tcp --dport 1024:65535 -j RETURN", DROP), Status.FAIL),
        (("-A DOCKER-USER -i eth0 -p sctp -j DROP",), Status.FAIL),
    ],
)
def test_docker_user_is_judged_before_a_port_is_published(
    judge: Judge, known: dict[str, Any], rules: tuple[str, ...], status: Status
) -> None:
    verdict = judge(USER, filtered(save(*rules), save(docker=""), **known))
    assert verdict.status is status, verdict
    assert "no port is published except on loopback addresses: the next one counts" in verdict.evidence


def test_a_drop_of_all_translated_packets_refuses_the_next_port(judge: Judge) -> None:
    rule = "-A DOCKER-USER -m conntrack --ctstate DNAT -j DROP"
    assert judge(USER, filtered(save(rule), save(), **{"docker.containers": []})).status is Status.PASS


@NOTHING_PUBLISHED
def test_docker_user_is_not_applicable_if_nothing_is_published_and_iptables_is_off(
    judge: Judge, known: dict[str, Any]
) -> None:
    off: dict[str, Any] = {"daemon.config": {"exists": True, "parsed": {"iptables": False}}}
    assert judge(USER, filtered(save(), **off, **known)).status is Status.NOT_APPLICABLE
    assert judge(USER, filtered(save(), **off, **ports("0.0.0.0"))).status is Status.FAIL


@NOTHING_PUBLISHED
@pytest.mark.parametrize(
    "networks",
    [
        [{"Name": "site", "Driver": "macvlan", "EnableIPv6": True}],
        [{"Name": "site", "Driver": "bridge", "EnableIPv6": True, "Internal": True}],
        failed(),
    ],
)
def test_ip6tables_does_not_count_if_no_network_can_publish_ports_with_ipv6(
    judge: Judge, known: dict[str, Any], networks: Any
) -> None:
    verdict = judge(USER, filtered(save(DROP), save(), **{**known, "docker.networks": networks}))
    assert verdict.status is Status.PASS


@NOTHING_PUBLISHED
def test_ip6tables_counts_before_a_port_is_published_if_a_network_has_ipv6(
    judge: Judge, known: dict[str, Any]
) -> None:
    assert judge(USER, filtered(save(DROP), save(), **known)).status is Status.PASS
    verdict = judge(USER, filtered(save(DROP), save(), **known, **WITH_IPV6))
    assert {offender.name for offender in verdict.offenders} == {
        f"any container [::]:any/{protocol}" for protocol in ("tcp", "udp")
    }
    assert judge(USER, filtered(save(DROP), save(DROP), **known, **WITH_IPV6)).status is Status.PASS


@pytest.mark.parametrize(
    "snapshot",
    [
        make(firewall=failed()),
        make(firewall={"iptables": {"ipv4": None}}),
        make(**ports("nowhere")),
    ],
)
def test_missing_facts_of_docker_user_or_of_published_ports_are_an_error(
    judge: Judge, snapshot: Snapshot
) -> None:
    with pytest.raises(FactUnavailable):
        judge(USER, snapshot)


def engines(policy: str = "accept") -> list[dict[str, Any]]:
    """The engine's own table of its nftables backend, as far as it matters here."""
    chain = {"family": "ip", "table": "docker-bridges", "name": "filter-FORWARD", "type": "filter"}
    table = {"table": {"family": "ip", "name": "docker-bridges"}}
    return [table, {"chain": {**chain, "hook": "forward", "prio": 0, "policy": policy}}]


def forward(*rules: list[Any], policy: str = "accept", family: str = "inet") -> list[dict[str, Any]]:
    """A table of the site with one chain on the forward hook."""
    place = {"family": family, "table": "host", "chain": "in"}
    listed = [{"rule": {**place, "expr": expressions}} for expressions in rules]
    return [*inet(policy=policy, family=family, hook="forward"), *listed]


NFTABLES = {"docker.info": {"FirewallBackend": {"Driver": "nftables"}}}
IIF = {"meta": {"key": "iifname"}}
SOURCE_OF = {"payload": {"protocol": "ip", "field": "saddr"}}
DESTINATION_OF = {"payload": {"protocol": "ip", "field": "daddr"}}
PORT_OF = {"payload": {"protocol": "tcp", "field": "dport"}}
ORIGINAL_OF = {"ct": {"key": "proto-dst", "dir": "original"}}
ORIGIN_OF = {"ct": {"key": "ip saddr", "dir": "original"}}
PAIR = {"concat": [IIF, PORT_OF]}


def pair(name: str, port: int) -> dict[str, Any]:
    return {"concat": [name, port]}


REPLIES = [matched({"ct": {"key": "state"}}, ["established", "related"]), {"accept": None}]


@pytest.mark.parametrize(
    ("tables", "status"),
    [
        ([], Status.FAIL),
        (engines(), Status.FAIL),
        (engines("drop"), Status.FAIL),
        (inet(policy="drop"), Status.FAIL),
        (forward(), Status.FAIL),
        (forward(policy="drop"), Status.PASS),
        ([*engines(), *forward(REPLIES, policy="drop")], Status.PASS),
        (forward(policy="drop", family="ip"), Status.PASS),
        (forward(policy="drop", family="ip6"), Status.FAIL),
        (forward([matched(IIF, "eth1"), {"drop": None}]), Status.FAIL),
        (forward([matched(PORT_OF, 8080), {"drop": None}]), Status.FAIL),
        (forward([matched(PORT_OF, 80), {"drop": None}]), Status.PASS),
        (forward([matched(ORIGINAL_OF, 8080), {"drop": None}]), Status.FAIL),  # it has an address of its own
        (forward([matched(ORIGINAL_OF, {"set": [80, 8080]}), {"drop": None}]), Status.PASS),
        (forward([matched(ORIGINAL_OF, 8080), {"accept": None}], policy="drop"), Status.PASS),
        (forward([matched(DESTINATION_OF, "172.17.0.2"), {"drop": None}]), Status.PASS),
        (forward([matched(DESTINATION_OF, "172.18.0.2"), {"drop": None}]), Status.FAIL),
        (forward([matched(IIF, "eth0"), {"drop": None}]), Status.PASS),
        (forward([matched(IIF, "lo"), {"drop": None}]), Status.FAIL),
        (forward(["jump {\n\t\taccept\n}"], policy="drop"), Status.MANUAL),
        (forward([matched(IIF, "eth0"), "goto {\n\t\tdrop\n}"]), Status.MANUAL),
        (forward([matched(ORIGIN_OF, "192.0.2.7"), {"drop": None}]), Status.FAIL),
        (
            forward([matched(ORIGIN_OF, {"prefix": {"addr": "0.0.0.0", "len": 0}}), {"drop": None}]),
            Status.PASS,
        ),
        (
            forward([matched(PAIR, {"set": [pair("eth0", 443), pair("eth0", 80)]}), {"drop": None}]),
            Status.PASS,
        ),
        (
            forward([matched(PAIR, {"set": [pair("eth0", 443), pair("eth1", 80)]}), {"drop": None}]),
            Status.FAIL,
        ),
        (
            forward([{"vmap": {"key": PAIR, "data": {"set": [[pair("eth0", 80), {"drop": None}]]}}}]),
            Status.PASS,
        ),
        (forward([matched(SOURCE_OF, "192.0.2.7"), {"drop": None}]), Status.FAIL),
        (forward([{"limit": {"rate": 1, "per": "second"}}, {"drop": None}]), Status.MANUAL),
        (forward([{"accept": None}], [{"drop": None}]), Status.FAIL),
        (forward([matched({"meta": {"key": "mark"}}, 0), {"accept": None}], policy="drop"), Status.MANUAL),
        (forward([REPLIES[0], {"drop": None}]), Status.FAIL),
    ],
)
def test_ports_published_by_nftables_need_a_refusal(judge: Judge, tables: Any, status: Status) -> None:
    snapshot = filtered(save().replace("FORWARD DROP", "FORWARD ACCEPT"), save(), tables, **NFTABLES)
    verdict = judge(USER, snapshot)
    assert verdict.status is status, verdict
    if status is Status.FAIL:
        assert [offender.name for offender in verdict.offenders] == ["web 0.0.0.0:8080/tcp"]


def test_refusing_iptables_rules_pass_under_the_nftables_backend(judge: Judge) -> None:
    assert judge(USER, filtered(save(), save(), engines(), **NFTABLES)).status is Status.PASS


def test_ipv6_networks_need_their_own_refusal(judge: Judge) -> None:
    network = {"Name": "v6", "Id": "v6", "Driver": "bridge", "EnableIPv6": True}
    addresses = {"NetworkID": "v6", "GlobalIPv6Address": "fd00::2"}
    both = {**NFTABLES, **ports("0.0.0.0", "::"), "docker.networks": [network]}
    settings = both["docker.containers"][0]["inspect"]["NetworkSettings"]
    settings["Networks"] = {"v6": {**settings["Networks"]["bridge"], **addresses}}
    none = save().replace("FORWARD DROP", "FORWARD ACCEPT")
    verdict = judge(USER, filtered(none, none, forward(policy="drop", family="ip"), **both))
    assert [offender.name for offender in verdict.offenders] == ["web [::]:8080/tcp"]
    assert judge(USER, filtered(none, none, forward(policy="drop"), **both)).status is Status.PASS
    only_v6 = {**NFTABLES, **ports("::")}
    verdict = judge(USER, filtered(none, none, (), **only_v6))  # this host has no address of IPv6
    assert verdict.actual == "no packet from outside comes to a published port"


def test_unreadable_nftables_rules_are_an_error(judge: Judge) -> None:
    with pytest.raises(FactUnavailable):
        judge(USER, make(firewall=failed(), **NFTABLES))
