"""The filter of incoming packets, and the rules that the engine manages."""

from __future__ import annotations

from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import FactUnavailable, Snapshot
from tests.hanging import must_end
from tests.unit.checks.judging import Judge
from tests.unit.checks.packetfilters import MANAGED, UNKNOWN, filtered, inet, save
from tests.unit.snapshots import absent, failed, make, only

INPUTS = [("host-firewall-input-ipv4", "ipv4"), ("host-firewall-input-ipv6", "ipv6")]


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
create ports bitmap:port range 0-65535
add ports 22
add ports 8000-8100
create services hash:ip,port family inet
add services 203.0.113.7,tcp:443
add services 203.0.113.8,udp:53
create all list:set size 8
add all friends
add all empty
create odd list:set size 8
add odd friends
add odd nearly
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
        ("--match-set pairs src,dst", Status.PASS),
        ("--match-set pairs src", Status.MANUAL),
        ("! --match-set pairs src,dst", Status.MANUAL),
        ("--match-set services dst,dst", Status.PASS),
        ("--match-set ports dst", Status.PASS),
        ("! --match-set ports dst", Status.FAIL),
        ("--match-set all src", Status.PASS),
        ("! --match-set all src", Status.FAIL),
        ("--match-set odd src", Status.MANUAL),
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
