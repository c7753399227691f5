from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import FactUnavailable, Snapshot
from tests.hanging import must_end
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import absent, container, failed, make, only

INPUTS = [("host-firewall-input-ipv4", "ipv4"), ("host-firewall-input-ipv6", "ipv6")]
DOCKER = ":DOCKER - [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A FORWARD -o docker0 -j DOCKER\n"


def save(*rules: str, policy: str = "ACCEPT", docker: str = DOCKER) -> str:
    body = "".join(f"{rule}\n" for rule in rules)
    return f"*filter\n:INPUT {policy} [0:0]\n:FORWARD DROP [0:0]\n{docker}{body}COMMIT\n"


def inet(*, policy: str = "accept", family: str = "inet", hook: str = "input") -> list[dict[str, Any]]:
    chain = {"family": family, "table": "host", "name": "in", "type": "filter", "hook": hook, "prio": 0}
    return [{"table": {"family": family, "name": "host"}}, {"chain": {**chain, "policy": policy}}]


def filtered(ipv4: str | None = None, ipv6: str | None = None, nft: Any = (), **sources: Any) -> Snapshot:
    tables = {"variant": "nf_tables", "ipv4": ipv4, "ipv6": ipv6}
    objects = None if nft is None else list(nft)
    return make(firewall=only({"iptables": tables, "nft": objects, "errors": {}}), **sources)


@pytest.mark.parametrize(("slug", "version"), INPUTS)
def test_a_new_debian_installation_fails(judge: Judge, slug: str, version: str) -> None:
    verdict = judge(slug, make())
    assert verdict.status is Status.FAIL
    assert verdict.offenders


@pytest.mark.parametrize(("slug", "version"), INPUTS)
@pytest.mark.parametrize(
    "text", [save(policy="DROP"), save("-A INPUT -p tcp --dport 22 -j ACCEPT", "-A INPUT -j DROP")]
)
def test_an_iptables_drop_policy_passes(judge: Judge, slug: str, version: str, text: str) -> None:
    verdict = judge(slug, filtered(**{"ipv4": save(), "ipv6": save(), version: text}))
    assert verdict.status is Status.PASS, verdict
    other = next(each for each, _ in INPUTS if each != slug)
    assert judge(other, filtered(**{"ipv4": save(), "ipv6": save(), version: text})).status is Status.FAIL


@pytest.mark.parametrize(
    ("family", "passing"),
    [
        ("inet", {"host-firewall-input-ipv4", "host-firewall-input-ipv6"}),
        ("ip", {"host-firewall-input-ipv4"}),
        ("ip6", {"host-firewall-input-ipv6"}),
        ("bridge", set()),
    ],
)
def test_an_nftables_drop_policy_passes_only_the_controls_of_its_address_family(
    judge: Judge, family: str, passing: set[str]
) -> None:
    snapshot = filtered(save(), save(), inet(policy="drop", family=family))
    assert {slug for slug, _ in INPUTS if judge(slug, snapshot).status is Status.PASS} == passing


@pytest.mark.parametrize(("slug", "version"), INPUTS)
@pytest.mark.parametrize(
    "nft", [inet(), inet(policy="drop", hook="output"), inet(policy="drop", hook="forward"), []]
)
def test_a_drop_policy_of_another_hook_does_not_pass_the_input_control(
    judge: Judge, slug: str, version: str, nft: Any
) -> None:
    assert judge(slug, filtered(None, None, nft)).status is Status.FAIL


def test_refusing_only_tcp_fails(judge: Judge) -> None:
    verdict = judge("host-firewall-input-ipv4", filtered(save("-A INPUT -p tcp -j DROP")))
    assert verdict.status is Status.FAIL


def test_tcp_and_udp_may_be_refused_by_different_chains(judge: Judge) -> None:
    udp = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "udp"}}
    rule = {"rule": {"family": "inet", "table": "host", "chain": "in", "expr": [udp, {"drop": None}]}}
    snapshot = filtered(save("-A INPUT -p tcp -j DROP"), None, [*inet(), rule])
    assert judge("host-firewall-input-ipv4", snapshot).status is Status.PASS


# Each accepts new connections from outside to ports that it does not name.
OPENING = [
    "-i eth0",
    "! -i docker0",
    "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN",
    "-d {own}",
    "-m addrtype --dst-type LOCAL",
    "-m addrtype ! --dst-type MULTICAST",
    "-m addrtype ! --src-type LOCAL",
    "-p tcp -m tcp --dport 1:65535",
    "-p udp -m udp --dport 1024:65535",
    "-p tcp -m tcp ! --dport 22",
    "-p tcp -m multiport ! --dports 23",
    "-p tcp -m multiport --dports 1:30000,40000",
    "-p udp -m udp --sport 53",
    "-s {half}",
    "! -s {few}",
    "! -d {few}",
    "-m pkttype --pkt-type unicast",
    "-m conntrack --ctstate NEW",
    "-m conntrack ! --ctstate INVALID,ESTABLISHED",
    "-m conntrack --ctdir ORIGINAL",
    '-m comment --comment "for all"',
]
# Of these it cannot be said what they match.
UNKNOWN = [
    "-m addrtype --dst-type LOCAL --limit-iface-in",
    "-p tcp -m multiport --ports 22,80",
    "-m limit --limit 3/min",
    "-m hashlimit --hashlimit-upto 5/sec --hashlimit-mode srcip --hashlimit-name x",
    "-m mark --mark 0x1",
    "-m mark ! --mark 0x1",
    "-m mac --mac-source 02:42:ac:11:00:02",
    "-m policy --dir in --pol ipsec",
    "-m set --match-set friends src",
    "-m recent --rcheck --name KNOCK --rsource",
    "-m socket --transparent",
    '-m string --algo bm --string "knock"',
    "-m u32 --u32 0x0=0x0",
]
# None of these does, and none of them refuses all new connections.
NAMING = [
    "-i lo",
    "-i docker0",
    "-i br-+",
    "-p icmp",
    "-p tcp -m tcp --dport 22",
    "-p tcp -m multiport --dports 80,443,8000:8100",
    "-p tcp -m tcp --dport 30000:32767",
    "-s {few}",
    "-m conntrack --ctstate RELATED,ESTABLISHED",
    "-m conntrack --ctstate INVALID",
    "-m addrtype --dst-type BROADCAST",
    "-d {many} -p udp -m udp --dport 5353",
    "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN",
    "-p udp -m udp --sport 67 --dport 68",
]
PLACES = {
    "ipv4": {"own": "198.51.100.7/32", "half": "0.0.0.0/1", "few": "192.0.2.0/24", "many": "224.0.0.251/32"},
    "ipv6": {"own": "2001:db8::7/128", "half": "2000::/4", "few": "2001:db8::/32", "many": "ff02::fb/128"},
}


@pytest.mark.parametrize("condition", OPENING)
@pytest.mark.parametrize(("slug", "version"), INPUTS)
def test_an_accepting_rule_without_ports_fails(judge: Judge, slug: str, version: str, condition: str) -> None:
    rule = f"-A INPUT {condition.format(**PLACES[version])} -j ACCEPT"
    reply = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    verdict = judge(slug, filtered(**{version: save(reply, rule, policy="DROP")}))
    assert verdict.status is Status.FAIL, verdict
    assert rule in verdict.offenders[0].detail


@pytest.mark.parametrize("condition", UNKNOWN)
@pytest.mark.parametrize(("slug", "version"), INPUTS)
def test_an_accepting_rule_with_an_unknown_condition_is_for_a_person(
    judge: Judge, slug: str, version: str, condition: str
) -> None:
    rule = f"-A INPUT {condition} -j ACCEPT"
    verdict = judge(slug, filtered(**{version: save(rule, policy="DROP")}))
    assert verdict.status is Status.MANUAL, verdict
    assert rule in verdict.actual
    named = f"-A INPUT -s 192.0.2.0/24 {condition} -j ACCEPT"
    if version == "ipv4":
        assert judge(slug, filtered(ipv4=save(named, policy="DROP"))).status is Status.PASS


def test_a_queue_without_bypass_is_for_a_person(judge: Judge) -> None:
    verdict = judge(INPUTS[0][0], filtered(save("-A INPUT -j NFQUEUE --queue-num 0")))
    assert verdict.status is Status.MANUAL
    assert "NFQUEUE" in verdict.actual


@pytest.mark.parametrize("condition", NAMING)
@pytest.mark.parametrize(("slug", "version"), INPUTS)
def test_an_accepting_rule_with_ports_passes(judge: Judge, slug: str, version: str, condition: str) -> None:
    if version == "ipv6":
        condition = condition.replace("icmp", "ipv6-icmp")
    rule = f"-A INPUT {condition.format(**PLACES[version])}"
    closed = filtered(**{version: save(f"{rule} -j ACCEPT", policy="DROP")})
    assert judge(slug, closed).status is Status.PASS, judge(slug, closed)
    assert judge(slug, filtered(**{version: save(f"{rule} -j DROP")})).status is Status.FAIL


@pytest.mark.parametrize(
    "condition",
    [
        "-i eth1",
        "-s {half}",
        "-p tcp -m tcp --dport 1:1023",
        "-m pkttype --pkt-type broadcast",
    ],
)
def test_refusing_some_sources_does_not_pass(judge: Judge, condition: str) -> None:
    rule = f"-A INPUT {condition.format(**PLACES['ipv4'])} -j DROP"
    assert judge(INPUTS[0][0], filtered(save(rule))).status is Status.FAIL


def test_partial_refusals_that_together_cover_all_packets_pass(judge: Judge) -> None:
    rules = ["-s 0.0.0.0/1 -j DROP", "-s 128.0.0.0/1 -p tcp -j DROP", "-p udp -j REJECT"]
    verdict = judge(INPUTS[0][0], filtered(save(*(f"-A INPUT {rule}" for rule in rules))))
    assert verdict.status is Status.PASS, verdict


def test_small_accepted_port_ranges_fail_if_together_they_cover_most_ports(judge: Judge) -> None:
    rules = [
        f"-A INPUT -p tcp -m tcp --dport {port}:{port + 4095} -j ACCEPT" for port in range(4096, 65000, 4096)
    ]
    assert judge(INPUTS[0][0], filtered(save(*rules, policy="DROP"))).status is Status.FAIL
    assert judge(INPUTS[0][0], filtered(save(*rules[:4], policy="DROP"))).status is Status.PASS


def test_a_condition_that_is_not_understood_is_reported(judge: Judge) -> None:
    for rule in ("-A INPUT -m limit --limit 3/min -j DROP", "-A INPUT -m time --timestart 08:00 -j DROP"):
        doubted = judge(INPUTS[0][0], filtered(save(rule)))
        assert doubted.status is Status.MANUAL
        assert "unknown condition" in doubted.offenders[0].detail
    sure = judge(INPUTS[0][0], filtered(save("-A INPUT -i eth0 -j ACCEPT", policy="DROP")))
    assert "unknown condition" not in sure.offenders[0].detail


def test_addresses_that_are_accepted_everywhere_are_evidence(judge: Judge) -> None:
    text = save("-A INPUT -i lo -j ACCEPT", "-A INPUT -s 10.0.0.0/8 -j ACCEPT", policy="DROP")
    verdict = judge("host-firewall-input-ipv4", filtered(text))
    assert verdict.status is Status.PASS
    told = [fact for fact in verdict.evidence if "a few addresses" in fact]
    assert len(told) == 1
    assert "-s 10.0.0.0/8" in told[0]


@pytest.mark.parametrize(
    ("untracked", "status"),
    [
        ("", Status.FAIL),
        ("-p udp ", Status.FAIL),
        ("-i eth0 ", Status.FAIL),
        ("-i eth1 ", Status.PASS),
        ("-p udp -m udp --dport 53 ", Status.PASS),
        ("-m mark --mark 0x1 ", Status.MANUAL),
    ],
)
def test_packets_are_untracked_where_a_rule_exempts_them_from_tracking(
    judge: Judge, untracked: str, status: Status
) -> None:
    raw = f"*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING {untracked}-j CT --notrack\nCOMMIT\n"
    rule = "-A INPUT -m conntrack --ctstate UNTRACKED -j ACCEPT"
    assert judge(INPUTS[0][0], filtered(save(rule, policy="DROP"))).status is Status.PASS
    assert judge(INPUTS[0][0], filtered(raw + save(rule, policy="DROP"))).status is status
    unseen = "-A INPUT -m conntrack --ctdir ORIGINAL -j DROP"  # by which none of them is taken
    assert judge(INPUTS[0][0], filtered(save(unseen))).status is Status.PASS
    assert judge(INPUTS[0][0], filtered(raw + save(unseen))).status is status
    either = judge(INPUTS[0][0], filtered(raw + save("-A INPUT -j ACCEPT")))
    assert either.status is (status if status is Status.MANUAL else Status.FAIL)


def test_packets_that_a_conditional_chain_may_refuse_are_reported_as_not_understood(judge: Judge) -> None:
    """The chain is called by a condition that may hold, from one that every packet passes."""
    rules = ("-A INPUT -j C0", "-A C0 -m mark --mark 0x1 -j C1", "-A C1 -j DROP")
    chains = ":C0 - [0:0]\n:C1 - [0:0]\n"
    verdict = judge(INPUTS[0][0], filtered(save(*rules, docker=chains)))
    assert "unknown condition" in verdict.offenders[0].detail
    through = judge(INPUTS[0][0], filtered(save(rules[0], "-A C0 -i eth0 -j C1", docker=chains)))
    assert "unknown condition" not in through.offenders[0].detail


def test_packets_dropped_before_routing_are_refused(judge: Judge) -> None:
    table = "*{}\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING ! -i lo {} -j DROP\nCOMMIT\n"
    new = "-m conntrack --ctstate NEW"
    for raw, status in (
        (table.format("raw", ""), Status.PASS),
        (table.format("mangle", new), Status.PASS),
        (table.format("raw", new), Status.FAIL),  # connections are not tracked there yet
        (table.format("raw", "-m conntrack --ctstate INVALID"), Status.PASS),
    ):
        assert judge(INPUTS[0][0], filtered(raw + save())).status is status


@pytest.mark.parametrize(("device", "status"), [("eth0", Status.PASS), ("eth1", Status.FAIL)])
@pytest.mark.parametrize("slug", [slug for slug, _ in INPUTS])
def test_packets_dropped_where_they_arrive_are_refused(
    judge: Judge, slug: str, device: str, status: Status
) -> None:
    objects = inet(policy="drop", family="netdev", hook="ingress")
    objects[1]["chain"]["dev"] = device
    assert judge(slug, filtered(save(), save(), objects)).status is status


@pytest.mark.parametrize(("slug", "version"), INPUTS)
def test_legacy_tables_beside_those_of_nftables_refuse_too(judge: Judge, slug: str, version: str) -> None:
    legacy = {"ipv4": None, "ipv6": None, version: save(policy="DROP", docker="")}
    tables = {"variant": "nf_tables", "ipv4": save(), "ipv6": save()}
    facts = {"iptables": tables, "nft": [], "errors": {}, "legacy": legacy}
    assert judge(slug, make(firewall=only(facts))).status is Status.PASS


IPSETS = """create friends hash:net family inet hashsize 1024 maxelem 65536
add friends 192.0.2.0/24
add friends 198.51.100.0/24 timeout 300
create half hash:net family inet
add half 0.0.0.0/1
create nearly hash:net family inet
add nearly 192.0.2.0/24
add nearly 192.0.2.128/25 nomatch
create six hash:ip family inet6
create pairs hash:ip,port family inet
add pairs 192.0.2.1,tcp:80
create empty hash:ip family inet
"""


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("--match-set friends src", Status.PASS),
        ("--match-set empty src", Status.PASS),
        ("! --match-set empty src", Status.FAIL),
        ("! --match-set friends src", Status.FAIL),
        ("--match-set half src", Status.FAIL),
        ("--match-set nearly src", Status.MANUAL),
        ("--match-set six src", Status.MANUAL),
        ("--match-set pairs src,dst", Status.MANUAL),
        ("--match-set friends src,src", Status.MANUAL),
        ("--match-set half src --packets-gt 5", Status.MANUAL),
        ("--match-set other src", Status.MANUAL),
    ],
)
def test_members_of_ipsets_are_read(judge: Judge, condition: str, status: Status) -> None:
    tables = {"variant": "nf_tables", "ipv6": None}
    tables["ipv4"] = save(f"-A INPUT -m set {condition} -j ACCEPT", policy="DROP")
    facts = {"iptables": tables, "nft": [], "errors": {}, "ipsets": IPSETS}
    assert judge(INPUTS[0][0], make(firewall=only(facts))).status is status


@pytest.mark.parametrize(
    "rules",
    [
        [f"-A INPUT -s 10.{n % 256}.{n // 256}.0/24 -p tcp --dport {n} -j DROP" for n in range(1, 15000)],
        [f"-A INPUT -i eth{n} -s {n % 223 + 1}.0.0.0/8 -p tcp --dport {n} -j DROP" for n in range(1, 15000)],
        [f"-A C{n} -p tcp -j C{n + 1}" for n in range(40) for _ in range(2)] + ["-A INPUT -j C0"],
    ],
)
def test_thousands_of_rules_are_an_error(judge: Judge, rules: list[str]) -> None:
    chains = "".join(f":C{n} - [0:0]\n" for n in range(42))
    snapshot = filtered(save(*rules, docker=chains), without=("network",))
    with must_end(), pytest.raises(FactUnavailable, match="too many rules"):
        judge(INPUTS[0][0], snapshot)


def test_thousands_of_banned_addresses_are_evaluated(judge: Judge) -> None:
    bans = [f"-A f2b -s {n % 223 + 1}.{n // 223}.7.9/32 -j REJECT" for n in range(5000)]
    rules = [
        "-A INPUT -p tcp -m multiport --dports 22 -j f2b",
        *bans,
        "-A f2b -j RETURN",
        "-A INPUT -i lo -j ACCEPT",
    ]
    snapshot = filtered(save(*rules, docker=":f2b - [0:0]\n", policy="DROP"))
    assert judge(INPUTS[0][0], snapshot).status is Status.PASS


def test_rules_made_by_iptables_are_read_from_iptables_and_not_from_nft(judge: Judge) -> None:
    """iptables accepts everything by a match that nft cannot show: there the rule looks like a condition."""
    opaque = [
        {"table": {"family": "ip", "name": "filter"}},
        {
            "chain": {
                "family": "ip",
                "table": "filter",
                "name": "INPUT",
                "type": "filter",
                "hook": "input",
                "policy": "drop",
            }
        },
        {
            "rule": {
                "family": "ip",
                "table": "filter",
                "chain": "INPUT",
                "expr": [{"xt": {"type": "match", "name": "comment"}}, {"accept": None}],
            }
        },
    ]
    snapshot = filtered(save("-A INPUT -m comment --comment all -j ACCEPT", policy="DROP"), None, opaque)
    assert judge("host-firewall-input-ipv4", snapshot).status is Status.FAIL


@pytest.mark.parametrize(("slug", "version"), INPUTS)
def test_an_unreadable_ruleset_is_an_error_unless_others_refuse_all_packets(
    judge: Judge, slug: str, version: str
) -> None:
    with pytest.raises(FactUnavailable):
        judge(slug, make(firewall=failed("Operation not permitted")))
    with pytest.raises(FactUnavailable, match="not permitted"):
        judge(slug, make(firewall={"nft": None, "errors": {"nft": "Operation not permitted"}}))
    active = {"firewalld.service": {"ActiveState": "active"}}
    with pytest.raises(FactUnavailable, match="firewalld"):
        judge(slug, filtered(save(), save(), None, units=active))
    closed = filtered(save(policy="DROP"), save(policy="DROP"), None, units=active)
    assert judge(slug, closed).status is Status.PASS


@pytest.mark.parametrize("value", ["1", None])
def test_the_ipv6_filter_is_not_applicable_without_ipv6(judge: Judge, value: str | None) -> None:
    off = make(sysctl={"net.ipv6.conf.all.disable_ipv6": value})
    assert judge("host-firewall-input-ipv6", off).status is Status.NOT_APPLICABLE
    on = make(sysctl={"net.ipv6.conf.all.disable_ipv6": "0"})
    assert judge("host-firewall-input-ipv6", on).status is Status.FAIL


@pytest.mark.parametrize(("slug", "version"), INPUTS)
def test_a_host_without_iptables_and_nft_fails(judge: Judge, slug: str, version: str) -> None:
    bare = absent("there is no iptables and no nft")
    verdict = judge(slug, make(firewall=bare))
    assert verdict.status is Status.FAIL
    assert "no chain" in verdict.actual
    with pytest.raises(FactUnavailable, match="firewalld"):
        judge(slug, make(firewall=bare, units={"firewalld.service": {"ActiveState": "active"}}))


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
    assert judge(USER, snapshot).status is Status.FAIL
    rule = "-A DOCKER -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.77.0.5:80"
    nat = f"*nat\n:DOCKER - [0:0]\n{rule}\nCOMMIT\n"
    snapshot.raw["sources"]["firewall"]["data"]["iptables"]["ipv4"] += nat
    assert judge(USER, snapshot).status is Status.PASS


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


def test_published_ipv6_ports_fail_only_where_docker_forwards_ipv6(judge: Judge) -> None:
    both = ports("0.0.0.0", "::")
    assert judge(USER, filtered(save(DROP), save(), **both)).status is Status.PASS
    both = ports("0.0.0.0", "::", ipv6="fd00::2")
    verdict = judge(USER, filtered(save(DROP), save(), **both))
    assert verdict.status is Status.FAIL
    assert {offender.name for offender in verdict.offenders} == {"web [::]:8080/tcp"}
    assert judge(USER, filtered(save(DROP), save(DROP), **both)).status is Status.PASS
    assert judge(USER, filtered(save(DROP), save(docker=""), **ports("::"))).status is Status.NOT_APPLICABLE


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
        (("-A DOCKER-USER -m conntrack --ctstate DNAT -j DROP",), Status.PASS),
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


def forward(
    *rules: list[dict[str, Any]], policy: str = "accept", family: str = "inet"
) -> list[dict[str, Any]]:
    """A table of the site with one chain on the forward hook."""
    place = {"family": family, "table": "host", "chain": "in"}
    listed = [{"rule": {**place, "expr": expressions}} for expressions in rules]
    return [*inet(policy=policy, family=family, hook="forward"), *listed]


def matched(left: dict[str, Any], right: Any) -> dict[str, Any]:
    return {"match": {"op": "==", "left": left, "right": right}}


NFTABLES = {"docker.info": {"FirewallBackend": {"Driver": "nftables"}}}
IIF = {"meta": {"key": "iifname"}}
SOURCE_OF = {"payload": {"protocol": "ip", "field": "saddr"}}
DESTINATION_OF = {"payload": {"protocol": "ip", "field": "daddr"}}
PORT_OF = {"payload": {"protocol": "tcp", "field": "dport"}}
ORIGINAL_OF = {"ct": {"key": "proto-dst", "dir": "original"}}
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
    assert judge(USER, filtered(none, none, (), **only_v6)).status is Status.NOT_APPLICABLE


def test_unreadable_nftables_rules_are_an_error(judge: Judge) -> None:
    with pytest.raises(FactUnavailable):
        judge(USER, make(firewall=failed(), **NFTABLES))


MANAGED = "daemon-iptables-managed"


def test_a_packet_filter_that_docker_manages_passes(judge: Judge) -> None:
    assert judge(MANAGED, make()).status is Status.PASS


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ({"daemon.config": {"flags": {"iptables": ["false"]}}}, "false (--iptables)"),
        (
            {"daemon.config": {"exists": True, "parsed": {"iptables": False}}},
            "false (/etc/docker/daemon.json)",
        ),
        ({"firewall": {"iptables": {"ipv4": save(docker="")}}}, "flushed"),
        ({"docker.networks": [{"Name": "v6", "Driver": "bridge", "EnableIPv6": True}]}, "IPv6 is on in v6"),
    ],
)
def test_a_disabled_or_flushed_filter_fails(judge: Judge, sources: Any, words: str) -> None:
    verdict = judge(MANAGED, make(**sources))
    assert verdict.status is Status.FAIL
    assert words in verdict.actual


def test_a_stopped_engine_whose_flags_disable_iptables_fails(judge: Judge) -> None:
    stopped = {"docker.info": failed("connection refused"), "docker.networks": failed("connection refused")}
    off = make(**{"daemon.config": {"flags": {"iptables": ["false"]}}}, **stopped)
    assert judge(MANAGED, off).status is Status.FAIL
    with pytest.raises(FactUnavailable):
        judge(MANAGED, make(**stopped))


@pytest.mark.parametrize(
    "snapshot",
    [
        make(engine={"rootless": True}),
        make(**{"docker.info": {"FirewallBackend": {"Driver": "nftables"}}}),
        make(**{"daemon.config": {"exists": True, "parsed": {"firewall-backend": "nftables"}}}),
    ],
)
def test_the_control_is_not_applicable_to_a_rootless_engine_or_the_nftables_backend(
    judge: Judge, snapshot: Snapshot
) -> None:
    assert judge(MANAGED, snapshot).status is Status.NOT_APPLICABLE


def test_an_absent_firewall_source_is_an_error(judge: Judge) -> None:
    with pytest.raises(FactUnavailable):
        judge(MANAGED, make(firewall=absent("no netfilter")))
