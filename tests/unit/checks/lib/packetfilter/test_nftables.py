from __future__ import annotations

import json
from typing import Any

import pytest

from hardener.checks.lib.packetfilter import Ruleset, read_nft
from hardener.snapshot import FactUnavailable
from tests.hanging import must_end
from tests.unit.checks.lib.packetfilter.asking import CLOSED, OPEN, certain, fate, recorded


def match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


CT = {"ct": {"key": "state"}}
PROTOCOL = {"meta": {"key": "l4proto"}}
DROP: dict[str, Any] = {"drop": None}
ACCEPT: dict[str, Any] = {"accept": None}


def native(
    *rules: list[Any], policy: str | None = "accept", family: str = "inet", version: int = 4, **table: Any
) -> Ruleset:
    base = {"family": family, "table": "host", "name": "input", "type": "filter", "hook": "input", "prio": 0}
    called = {"family": family, "table": "host", "name": "site"}
    return read_nft(
        [
            {"metainfo": {"json_schema_version": 1}},
            {"table": {"family": family, "name": "host", **table}},
            {"chain": {**base, **({} if policy is None else {"policy": policy})}},
            {"chain": called},
            *(
                {"rule": {"family": family, "table": "host", "chain": "input", "expr": expr}}
                for expr in rules
            ),
            {"rule": {"family": family, "table": "host", "chain": "site", "expr": [{"counter": {}}, DROP]}},
        ],
        version,
    )


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (native(), OPEN),
        (native(policy=None), OPEN),
        (native(policy="drop"), CLOSED),
        (native([{"counter": {"packets": 1}}, DROP]), CLOSED),
        (native([{"reject": {"type": "icmpx", "expr": "admin-prohibited"}}]), CLOSED),
        (native([ACCEPT], policy="drop"), OPEN),
        (native([match(CT, ["established", "related"], "in"), ACCEPT], policy="drop"), CLOSED),
        (native([match(CT, {"set": ["established", "new"]}), ACCEPT], policy="drop"), OPEN),
        (native([match(CT, "invalid", "!="), ACCEPT], policy="drop"), OPEN),
        (native([match(CT, "new", "in"), DROP]), CLOSED),
        (native([match(CT, ["new", "untracked"], "!="), ACCEPT], policy="drop"), OPEN),
        (native([match(CT, {"set": ["new", "untracked"]}, "!="), ACCEPT], policy="drop"), CLOSED),
        (native([match(PROTOCOL, {"set": ["tcp", "udp"]}), ACCEPT], policy="drop"), OPEN),
        (native([match(PROTOCOL, {"set": ["icmp", "ipv6-icmp"]}), ACCEPT], policy="drop"), CLOSED),
        (native([match(PROTOCOL, "icmp", "!="), ACCEPT], policy="drop"), OPEN),
        (native([match({"payload": {"protocol": "ip", "field": "protocol"}}, "tcp"), DROP]), CLOSED),
        (native([match({"payload": {"protocol": "ip6", "field": "nexthdr"}}, "tcp"), DROP]), OPEN),
        (
            native([match({"payload": {"protocol": "tcp", "field": "dport"}}, 22), ACCEPT], policy="drop"),
            CLOSED,
        ),
        (native([match({"meta": {"key": "iifname"}}, "lo"), ACCEPT], policy="drop"), CLOSED),
        (native([match({"meta": {"key": "iifname"}}, "lo", "!="), ACCEPT], policy="drop"), OPEN),
        (native([match({"meta": {"key": "iif"}}, "eth0", "!="), ACCEPT], policy="drop"), OPEN),
        (native([match({"meta": {"key": "nfproto"}}, "ipv6"), DROP]), OPEN),
        (native([match({"meta": {"key": "nfproto"}}, "ipv4"), DROP]), CLOSED),
        (native([{"limit": {"rate": 3}}, ACCEPT], policy="drop"), OPEN),
        (
            native([{"vmap": {"key": CT, "data": {"set": [["established", {"accept": None}]]}}}]),
            OPEN,
        ),
        (native([{"jump": {"target": "site"}}]), CLOSED),
        (native([{"goto": {"target": "site"}}]), CLOSED),
        (native([{"jump": {"target": "nowhere"}}], policy="drop"), CLOSED),
        (native([{"xt": {"type": "match", "name": "comment"}}, ACCEPT], policy="drop"), OPEN),
        (native([{"xt": {"type": "target", "name": "REJECT"}}]), CLOSED),
        (native([{"return": None}], [DROP]), OPEN),
        (native([], [{}], [{"match": None}], policy="drop"), CLOSED),
    ],
)
def test_nftables_rules_accept_or_refuse_a_new_tcp_connection_as_the_kernel_does(
    rules: Ruleset, expected: bool
) -> None:
    assert fate(rules) is expected


def test_a_chain_that_returns_packets_for_this_host_leaves_them_to_its_caller() -> None:
    local = match({"fib": {"result": "type", "flags": ["daddr"]}}, "local")
    rules = native([{"jump": {"target": "site"}}])
    site = rules.chains["inet", "host", "site"]
    site.rules.insert(
        0,
        read_nft(
            [{"rule": {"family": "inet", "table": "t", "chain": "c", "expr": [local, {"return": None}]}}],
            4,
        )
        .chains["inet", "t", "c"]
        .rules[0],
    )
    assert fate(rules) is OPEN


@pytest.mark.parametrize(("zone", "expected"), [("public", CLOSED), ("trusted", OPEN)])
def test_firewalld_refuses_inbound_packets_by_its_default_zone(zone: str, expected: bool) -> None:
    for version in (4, 6):
        rules = read_nft(json.loads(recorded(f"firewalld-{zone}.nft.json"))["nftables"], version)
        for protocol in ("tcp", "udp"):
            assert fate(rules, protocol) is expected


def test_chains_of_a_dormant_table_are_ignored() -> None:
    assert not native(policy="drop", flags=["dormant"]).chains
    assert not native(policy="drop", flags="dormant").chains


def test_a_rule_is_shown_in_the_syntax_of_nft() -> None:
    port = match({"payload": {"protocol": "tcp", "field": "dport"}}, {"set": [22, {"range": [80, 90]}]})
    rules = native([port, {"jump": {"target": "site"}}])
    (chain,) = rules.hooked("input")
    assert chain.rules[0].text == "tcp dport == { 22, 80-90 } jump site"


def test_an_extension_of_iptables_is_shown_by_its_name() -> None:
    rules = native([{"counter": {}}, {"xt": {"type": "target", "name": "REJECT"}}])
    (chain,) = rules.hooked("input")
    assert chain.rules[0].text == "counter xt REJECT"
    assert fate(rules) is CLOSED


@pytest.mark.parametrize(
    ("statement", "family", "expected"),
    [
        ({"notrack": None}, "inet", OPEN),
        ({"notrack": None}, "ip", OPEN),
        ({"notrack": None}, "ip6", CLOSED),
        ({"xt": {"type": "target", "name": "CT"}}, "ip", OPEN),
        ({"xt": {"type": "target", "name": "LOG"}}, "ip", CLOSED),
    ],
)
def test_packets_may_be_untracked_by_rules_for_their_version_of_ip(
    statement: dict[str, Any], family: str, expected: bool
) -> None:
    raw = {"family": family, "table": "raw", "name": "PREROUTING"}
    early = {**raw, "type": "filter", "hook": "prerouting", "prio": -300, "policy": "accept"}
    host = {"family": "inet", "table": "host", "name": "input", "type": "filter", "hook": "input", "prio": 0}
    rule = {"family": "inet", "table": "host", "chain": "input", "expr": [match(CT, "untracked"), ACCEPT]}
    untracking = {"family": family, "table": "raw", "chain": "PREROUTING", "expr": [statement]}
    rules = read_nft(
        [{"chain": early}, {"rule": untracking}, {"chain": {**host, "policy": "drop"}}, {"rule": rule}], 4
    )
    assert fate(rules) is expected


SADDR = {"payload": {"protocol": "ip", "field": "saddr"}}
DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
FLAGS = {"payload": {"protocol": "tcp", "field": "flags"}}
LOCAL = {"fib": {"result": "type", "flags": ["daddr"]}}


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ([match({"meta": {"key": "iifname"}}, "eth*")], OPEN),
        ([match({"meta": {"key": "iifname"}}, {"set": ["lo", "docker0"]})], CLOSED),
        ([match(SADDR, {"prefix": {"addr": "0.0.0.0", "len": 1}})], OPEN),
        ([match(SADDR, {"prefix": {"addr": "192.0.2.0", "len": 24}})], CLOSED),
        ([match(SADDR, {"prefix": {"addr": "192.0.2.0", "len": 24}}, "!=")], OPEN),
        ([match(SADDR, "@wide")], OPEN),
        ([match(SADDR, "@few")], CLOSED),
        ([match(SADDR, "@unheard-of")], OPEN),
        ([match({"payload": {"protocol": "ip", "field": "daddr"}}, "198.51.100.7")], OPEN),
        ([match(DPORT, {"range": [1, 65535]})], OPEN),
        ([match(DPORT, 22, "!=")], OPEN),
        ([match(DPORT, 1024, ">=")], OPEN),
        ([match(DPORT, 1024, "<")], CLOSED),
        ([match(DPORT, {"set": [22, {"range": [8000, 8100]}]})], CLOSED),
        ([match({"payload": {"protocol": "udp", "field": "sport"}}, 53)], CLOSED),  # TCP is asked
        ([match(FLAGS, "syn", "in")], OPEN),
        ([match(FLAGS, "ack", "in")], CLOSED),
        ([match({"&": [FLAGS, {"|": ["syn", "ack"]}]}, "syn")], OPEN),
        ([match({"&": [FLAGS, {"|": ["syn", "ack"]}]}, "ack")], CLOSED),
        ([match(FLAGS, ["syn", "ack"], "!")], CLOSED),
        ([match(FLAGS, ["fin", "ack"], "!")], OPEN),
        ([match(CT, ["new", "invalid"], "!")], CLOSED),
        ([match(CT, "invalid", "!")], OPEN),
        ([match({"ct": {"key": "status"}}, "dnat", "!")], OPEN),
        ([match(LOCAL, "local")], OPEN),
        ([match(LOCAL, "multicast")], CLOSED),
        ([match({"meta": {"key": "mark"}}, 1)], OPEN),
        ([match({"concat": [SADDR, DPORT]}, {"set": [{"concat": ["192.0.2.1", 22]}]})], CLOSED),
        ([match({"concat": [SADDR, DPORT]}, "@pairs")], OPEN),
        ([match({"payload": {"protocol": "icmp", "field": "type"}}, "echo-request")], CLOSED),
    ],
)
def test_an_accepting_rule_opens_its_ports(expr: list[Any], expected: bool) -> None:
    sets = {
        "wide": [{"prefix": {"addr": "0.0.0.0", "len": 2}}],
        "few": ["192.0.2.1", {"range": ["192.0.2.9", "192.0.3.0"]}],
    }
    named = [
        {"set": {"family": "inet", "table": "host", "name": name, "type": "ipv4_addr", "elem": elements}}
        for name, elements in sets.items()
    ]
    chain = {"family": "inet", "table": "host", "name": "input", "type": "filter", "hook": "input", "prio": 0}
    rule = {"family": "inet", "table": "host", "chain": "input", "expr": [*expr, ACCEPT]}
    rules = read_nft([*named, {"chain": {**chain, "policy": "drop"}}, {"rule": rule}], 4)
    assert fate(rules) is expected
    doubted = any("@unheard-of" in str(each) or "mark" in str(each) or "@pairs" in str(each) for each in expr)
    assert certain(rules) is (expected and not doubted)


@pytest.mark.parametrize("verdict", ["accept", "drop"])
def test_a_verdict_map_gives_new_connections_their_verdict(verdict: str) -> None:
    state = {
        "vmap": {"key": CT, "data": {"set": [["established", {"accept": None}], ["new", {verdict: None}]]}}
    }
    assert fate(native([state], policy="drop")) is (verdict == "accept")
    assert fate(native([state])) is (verdict == "accept")


def test_sets_with_too_many_elements_are_an_error() -> None:
    elements = [f"{n % 223 + 1}.{n // 250 % 250}.{n % 250}.9" for n in range(20_000)]
    named = {
        "set": {"family": "inet", "table": "host", "name": "many", "type": "ipv4_addr", "elem": elements}
    }
    chain = {"family": "inet", "table": "host", "name": "input", "type": "filter", "hook": "input", "prio": 0}
    drop = {"family": "inet", "table": "host", "chain": "input", "expr": [match(SADDR, "@many"), DROP]}
    entry = {"vmap": {"key": SADDR, "data": "@many"}}
    mapped = {"family": "inet", "table": "host", "chain": "input", "expr": [entry]}
    for rule in (drop, mapped):
        with must_end(), pytest.raises(FactUnavailable, match="too many rules"):
            fate(read_nft([named, {"chain": chain}, *[{"rule": rule}] * 2000], 4))
