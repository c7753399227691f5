from __future__ import annotations

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
    "-m addrtype --dst-type LOCAL --limit-iface-in",
    "-m addrtype ! --dst-type MULTICAST",
    "-m addrtype ! --src-type LOCAL",
    "-p tcp -m tcp --dport 1:65535",
    "-p udp -m udp --dport 1024:65535",
    "-p tcp -m tcp ! --dport 22",
    "-p tcp -m multiport ! --dports 23",
    "-p tcp -m multiport --dports 1:30000,40000",
    "-p udp -m udp --sport 53",
    "-p tcp -m multiport --ports 22,80",
    "-s {half}",
    "! -s {few}",
    "! -d {few}",
    "-m limit --limit 3/min",
    "-m hashlimit --hashlimit-upto 5/sec --hashlimit-mode srcip --hashlimit-name x",
    "-m mark --mark 0x1",
    "-m mark ! --mark 0x1",
    "-m pkttype --pkt-type unicast",
    "-m set --match-set friends src",
    "-m recent --rcheck --name KNOCK --rsource",
    "-m conntrack --ctstate NEW",
    "-m conntrack ! --ctstate INVALID,ESTABLISHED",
    "-m conntrack --ctdir ORIGINAL",
    "-m u32 --u32 0x0=0x0",
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
        "-m limit --limit 3/min",
        "-m mark --mark 0x1",
        "-m set --match-set bad src",
        "-i eth0",
        "-s {half}",
        "-p tcp -m tcp --dport 1:1023",
        "-m time --timestart 08:00",
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
    doubted = judge(INPUTS[0][0], filtered(save("-A INPUT -m mark --mark 0x1 -j ACCEPT", policy="DROP")))
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


def test_acceptance_of_untracked_packets_fails_only_if_rules_exempt_packets_from_tracking(
    judge: Judge,
) -> None:
    rule = "-A INPUT -m conntrack --ctstate UNTRACKED -j ACCEPT"
    assert judge(INPUTS[0][0], filtered(save(rule, policy="DROP"))).status is Status.PASS
    raw = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p udp -j CT --notrack\nCOMMIT\n"
    assert judge(INPUTS[0][0], filtered(raw + save(rule, policy="DROP"))).status is Status.FAIL
    unseen = "-A INPUT -m conntrack --ctdir ORIGINAL -j DROP"  # by which none of them is taken
    assert judge(INPUTS[0][0], filtered(save(unseen))).status is Status.PASS
    assert judge(INPUTS[0][0], filtered(raw + save(unseen))).status is Status.FAIL


def test_packets_accepted_only_if_untracked_are_reported_as_not_understood(judge: Judge) -> None:
    """Which packets are untracked is not known: here none that comes in."""
    raw = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth1 -j CT --notrack\nCOMMIT\n"
    untracked = "-A INPUT -m conntrack --ctstate UNTRACKED -j ACCEPT"
    either = judge(INPUTS[0][0], filtered(raw + save(untracked, policy="DROP")))
    assert "unknown condition" in either.offenders[0].detail
    both = judge(INPUTS[0][0], filtered(raw + save("-A INPUT -j ACCEPT", policy="DROP")))
    assert "unknown condition" not in both.offenders[0].detail


def test_packets_that_a_conditional_chain_may_refuse_are_reported_as_not_understood(judge: Judge) -> None:
    """The chain is called by a condition that may hold, from one that every packet passes."""
    rules = ("-A INPUT -j C0", "-A C0 -m mark --mark 0x1 -j C1", "-A C1 -j DROP")
    chains = ":C0 - [0:0]\n:C1 - [0:0]\n"
    verdict = judge(INPUTS[0][0], filtered(save(*rules, docker=chains)))
    assert "unknown condition" in verdict.offenders[0].detail
    through = judge(INPUTS[0][0], filtered(save(rules[0], "-A C0 -i eth0 -j C1", docker=chains)))
    assert "unknown condition" not in through.offenders[0].detail


def test_packets_dropped_before_routing_are_refused(judge: Judge) -> None:
    raw = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING ! -i lo -m conntrack --ctstate NEW -j DROP\nCOMMIT\n"
    assert judge(INPUTS[0][0], filtered(raw + save())).status is Status.PASS


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
    snapshot = filtered(save(*rules, docker=chains))
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


def ports(*addresses: str) -> dict[str, Any]:
    bindings = [{"HostIp": address, "HostPort": "8080"} for address in addresses]
    return {"docker.containers": [container(NetworkSettings={"Ports": {"80/tcp": bindings, "81/tcp": None}})]}


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (save(DROP), Status.PASS, "DROP"),
        (save("-A DOCKER-USER -j RETURN"), Status.FAIL, "no rule that refuses"),
        (save("-A DOCKER-USER -j RETURN", DROP), Status.FAIL, "no rule that refuses"),
        (
            save("-A DOCKER-USER -j SITE", "-A SITE -j REJECT", docker=f":SITE - [0:0]\n{DOCKER}"),
            Status.PASS,
            "REJECT",
        ),
        *(
            (save(f"-A DOCKER-USER {condition} -j DROP"), Status.FAIL, "no rule that refuses")
            for condition in (
                "-m conntrack --ctstate INVALID",
                "-m conntrack --ctstate RELATED,ESTABLISHED",
                "-o eth9",
                "! -o docker0 ! -i docker0 -o eth0",
                "-i docker0",
                "-i lo",
                "-p udp",
                "-p icmp",
                "-s 203.0.113.7/32",
                "-m limit --limit 3/min",
                "-m set --match-set bad src",
                "-m mark --mark 0x1",
                "-m addrtype --dst-type LOCAL",
                "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN",
            )
        ),
        *(
            (save(f"-A DOCKER-USER {condition} -j DROP"), Status.PASS, "DROP")
            for condition in (
                "-i eth0 -o docker0",
                "! -i docker+ -o docker+",
                "-i eth0 -p tcp -m conntrack --ctorigdstport 8080",
                "! -s 192.0.2.0/24 -i eth0",
                "-m conntrack --ctstate NEW",
                "-m conntrack --ctstate DNAT",
            )
        ),
        *(
            (save(f"-A DOCKER-USER {condition}", DROP), Status.FAIL, "no rule that refuses")
            for condition in ("-m mark --mark 0x0 -j RETURN", "-m limit --limit 1000/sec -j ACCEPT")
        ),
        *(
            (save(f"-A DOCKER-USER {condition} -j RETURN", DROP), Status.PASS, "DROP")
            for condition in ("-m conntrack --ctstate RELATED", "-s 192.0.2.7/32 -m mark --mark 0x1")
        ),
        (
            save(
                "-A DOCKER-USER -j SITE",
                "-A SITE -m mark --mark 0x1 -j RETURN",
                "-A SITE -j DROP",
                "-A DOCKER-USER -j DROP",
                docker=f":SITE - [0:0]\n{DOCKER}",
            ),
            Status.PASS,
            "DROP",
        ),
        (save(DROP, docker="-A FORWARD -m mark --mark 0x1 -j ACCEPT\n" + DOCKER), Status.FAIL, "not reached"),
        (
            save(DROP, docker=DOCKER.replace("-j DOCKER-USER", "-i wg0 -j DOCKER-USER")),
            Status.FAIL,
            "not reached",
        ),
        (save(docker=""), Status.FAIL, "not loaded"),
        (save(docker=":DOCKER-USER - [0:0]\n" + DROP + "\n"), Status.FAIL, "does not jump"),
        (save(DROP, docker="-A FORWARD -j ACCEPT\n" + DOCKER), Status.FAIL, "not reached"),
        (save(DROP, docker="-A FORWARD -i lo -j ACCEPT\n" + DOCKER), Status.PASS, "DROP"),
    ],
)
def test_published_ports_need_a_refusal_in_docker_user(
    judge: Judge, text: str, status: Status, words: str
) -> None:
    verdict = judge(USER, filtered(text, save(docker=""), **ports("0.0.0.0")))
    assert verdict.status is status, verdict
    assert words in verdict.actual


def test_a_refusing_rule_for_a_bridge_with_a_custom_name_passes(judge: Judge) -> None:
    networks = [{"Name": "site", "Driver": "bridge", "Options": {"com.docker.network.bridge.name": "site0"}}]
    text = save("-A DOCKER-USER -i eth0 -o site0 -j DROP")
    known = filtered(text, save(docker=""), **{"docker.networks": networks}, **ports("0.0.0.0"))
    assert judge(USER, known).status is Status.PASS
    assert judge(USER, filtered(text, save(docker=""), **ports("0.0.0.0"))).status is Status.FAIL


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
    loaded = filtered(**{version: chains + save(*hooks)}, **ports("0.0.0.0" if version == "ipv4" else "::"))
    for slug in (USER, f"host-firewall-input-{version}"):
        verdict = judge(slug, loaded)
        assert verdict.status is Status.PASS, verdict


def test_a_new_docker_installation_fails(judge: Judge) -> None:
    verdict = judge(USER, make())
    assert verdict.status is Status.FAIL
    assert "published: web 0.0.0.0:8080/tcp" in verdict.evidence


def test_published_ipv6_ports_fail_only_where_docker_forwards_ipv6(judge: Judge) -> None:
    both = ports("0.0.0.0", "::")
    assert judge(USER, filtered(save(DROP), save(docker=""), **both)).status is Status.PASS
    verdict = judge(USER, filtered(save(DROP), save(), **both))
    assert verdict.status is Status.FAIL
    assert {offender.name for offender in verdict.offenders} == {"ip6tables DOCKER-USER"}
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
        (("-A DOCKER-USER -i eth0 -p tcp -j DROP",), Status.PASS),
        (("-A DOCKER-USER -i eth0 -p udp -j DROP",), Status.PASS),
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
    assert [offender.name for offender in verdict.offenders] == ["ip6tables DOCKER-USER"]
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
        (forward([matched(IIF, "eth0"), {"drop": None}]), Status.PASS),
        (forward([matched(IIF, "lo"), {"drop": None}]), Status.FAIL),
        (forward([matched(SOURCE_OF, "192.0.2.7"), {"drop": None}]), Status.FAIL),
        (forward([{"limit": {"rate": 1, "per": "second"}}, {"drop": None}]), Status.FAIL),
        (forward([{"accept": None}], [{"drop": None}]), Status.FAIL),
        (forward([matched({"meta": {"key": "mark"}}, 0), {"accept": None}], policy="drop"), Status.FAIL),
        (forward([REPLIES[0], {"drop": None}]), Status.FAIL),
    ],
)
def test_ports_published_by_nftables_need_a_refusal(judge: Judge, tables: Any, status: Status) -> None:
    snapshot = filtered(save().replace("FORWARD DROP", "FORWARD ACCEPT"), save(), tables, **NFTABLES)
    verdict = judge(USER, snapshot)
    assert verdict.status is status, verdict
    if status is Status.FAIL:
        assert [offender.name for offender in verdict.offenders] == ["IPv4 forward"]


def test_refusing_iptables_rules_pass_under_the_nftables_backend(judge: Judge) -> None:
    assert judge(USER, filtered(save(), save(), engines(), **NFTABLES)).status is Status.PASS


def test_ipv6_networks_need_their_own_refusal(judge: Judge) -> None:
    network = {"Name": "v6", "Driver": "bridge", "EnableIPv6": True}
    both = {**NFTABLES, **ports("0.0.0.0", "::"), "docker.networks": [network]}
    none = save().replace("FORWARD DROP", "FORWARD ACCEPT")
    verdict = judge(USER, filtered(none, none, forward(policy="drop", family="ip"), **both))
    assert [offender.name for offender in verdict.offenders] == ["IPv6 forward"]
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
