from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.checks.packetfilter import Fate, Ruleset, read_nft, read_save
from hardener.snapshot import FactUnavailable


def saved(*lines: str, policy: str = "ACCEPT", chains: str = "") -> Ruleset:
    head = ["*filter", f":INPUT {policy} [0:0]", *(f":{name} - [0:0]" for name in chains.split())]
    return read_save("\n".join([*head, *lines, "COMMIT"]), "ip")


def fate(rules: Ruleset, packet: str = "tcp4") -> Fate:
    (chain,) = rules.hooked("input", {"ip", "ip6", "inet"})
    return rules.follow(chain, packet).fate


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (saved(), Fate.ACCEPTED),
        (saved(policy="DROP"), Fate.REFUSED),
        (saved("-A INPUT -j DROP"), Fate.REFUSED),
        (saved("-A INPUT -j REJECT --reject-with icmp-port-unreachable"), Fate.REFUSED),
        (saved('-A INPUT -m comment --comment "drop -j ACCEPT" -j DROP'), Fate.REFUSED),
        (saved("-A INPUT -m comment --comment a\u00a0-j\u00a0ACCEPT -j DROP"), Fate.REFUSED),
        (saved("-A INPUT -j ACCEPT", policy="DROP"), Fate.ACCEPTED),
        (saved("-A INPUT -p tcp -j ACCEPT", policy="DROP"), Fate.ACCEPTED),
        (saved("-A INPUT ! -p icmp -j ACCEPT", policy="DROP"), Fate.ACCEPTED),
        (saved("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", policy="DROP"), Fate.REFUSED),
        (saved("-A INPUT ! -i lo -j ACCEPT", policy="DROP"), Fate.ACCEPTED),
        (saved("-A INPUT -i lo -j ACCEPT", policy="DROP"), Fate.REFUSED),
        (saved("-A INPUT -i eth0 -j ACCEPT", policy="DROP"), Fate.REFUSED),
        (saved("-A INPUT -s 192.0.2.0/24 -j ACCEPT", policy="DROP"), Fate.REFUSED),
        (saved("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", policy="DROP"), Fate.REFUSED),
        (saved("-A INPUT -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT", policy="DROP"), Fate.ACCEPTED),
        (saved("-A INPUT -m state --state NEW -j DROP"), Fate.REFUSED),
        (saved("-A INPUT -m conntrack ! --ctstate INVALID -j ACCEPT", policy="DROP"), Fate.ACCEPTED),
        (saved("-A INPUT -m limit --limit 3/min -j ACCEPT", policy="DROP"), Fate.REFUSED),
        (saved("-A INPUT -m limit --limit 3/min -j DROP"), Fate.ACCEPTED),
        (saved("-A INPUT -p udp -j DROP"), Fate.ACCEPTED),
        (saved("-A INPUT -p tcp -j DROP"), Fate.REFUSED),
        (saved("-A INPUT -j LOG --log-prefix x", "-A INPUT -j DROP"), Fate.REFUSED),
        (saved("-A INPUT -j RETURN", "-A INPUT -j DROP"), Fate.ACCEPTED),
        (saved("-A INPUT -j SITE", "-A SITE -j DROP", chains="SITE"), Fate.REFUSED),
        (saved("-A INPUT -j SITE", "-A SITE -j ACCEPT", chains="SITE", policy="DROP"), Fate.ACCEPTED),
        (saved("-A INPUT -j SITE", "-A SITE -j RETURN", "-A SITE -j DROP", chains="SITE"), Fate.ACCEPTED),
        (saved("-A INPUT -i eth0 -j SITE", "-A SITE -j ACCEPT", chains="SITE", policy="DROP"), Fate.REFUSED),
        (
            saved("-A INPUT -j SITE", "-A SITE -i eth0 -j RETURN", "-A SITE -j DROP", chains="SITE"),
            Fate.ACCEPTED,
        ),
        (
            saved("-A INPUT -j SITE", "-A SITE -s 192.0.2.1 -j RETURN", "-A SITE -j DROP", chains="SITE"),
            Fate.REFUSED,
        ),
        (saved("-A INPUT -g SITE", "-A INPUT -j DROP", chains="SITE"), Fate.ACCEPTED),
        (saved("-A INPUT -j A", "-A A -j B", "-A B -j A", chains="A B", policy="DROP"), Fate.REFUSED),
        (saved("-A INPUT -j NOWHERE", policy="DROP"), Fate.REFUSED),
        (saved("-A INPUT", "-A"), Fate.ACCEPTED),
        (
            saved('-A INPUT -m comment --comment "say \\"no\\" -j DROP" -j ACCEPT', policy="DROP"),
            Fate.ACCEPTED,
        ),
    ],
)
def test_what_iptables_does_with_a_new_tcp_connection(rules: Ruleset, expected: Fate) -> None:
    assert fate(rules) is expected


def test_a_line_that_iptables_save_does_not_print_is_no_verdict() -> None:
    with pytest.raises(FactUnavailable, match="unbalanced"):
        saved('-A INPUT -m comment --comment "unbalanced -j DROP')


def test_each_protocol_is_followed() -> None:
    rules = saved("-A INPUT -p tcp -j REJECT --reject-with tcp-reset")
    assert fate(rules, "tcp4") is Fate.REFUSED
    assert fate(rules, "udp4") is Fate.ACCEPTED


def test_tables_that_filter_nothing_have_no_hook() -> None:
    rules = read_save("*nat\n:INPUT DROP [0:0]\nCOMMIT\n*mangle\n:INPUT ACCEPT [0:0]\nCOMMIT", "ip")
    assert [chain.key[1] for chain in rules.hooked("input", {"ip"})] == ["mangle"]


def match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


CT = {"ct": {"key": "state"}}
PROTOCOL = {"meta": {"key": "l4proto"}}
DROP: dict[str, Any] = {"drop": None}
ACCEPT: dict[str, Any] = {"accept": None}


def native(*rules: list[Any], policy: str | None = "accept", family: str = "inet", **table: Any) -> Ruleset:
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
        ]
    )


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (native(), Fate.ACCEPTED),
        (native(policy=None), Fate.ACCEPTED),
        (native(policy="drop"), Fate.REFUSED),
        (native([{"counter": {"packets": 1}}, DROP]), Fate.REFUSED),
        (native([{"reject": {"type": "icmpx", "expr": "admin-prohibited"}}]), Fate.REFUSED),
        (native([ACCEPT], policy="drop"), Fate.ACCEPTED),
        (native([match(CT, ["established", "related"], "in"), ACCEPT], policy="drop"), Fate.REFUSED),
        (native([match(CT, {"set": ["established", "new"]}), ACCEPT], policy="drop"), Fate.ACCEPTED),
        (native([match(CT, "invalid", "!="), ACCEPT], policy="drop"), Fate.ACCEPTED),
        (native([match(CT, "new", "in"), DROP]), Fate.REFUSED),
        (native([match(PROTOCOL, {"set": ["tcp", "udp"]}), ACCEPT], policy="drop"), Fate.ACCEPTED),
        (native([match(PROTOCOL, {"set": ["icmp", "ipv6-icmp"]}), ACCEPT], policy="drop"), Fate.REFUSED),
        (native([match(PROTOCOL, "icmp", "!="), ACCEPT], policy="drop"), Fate.ACCEPTED),
        (native([match({"payload": {"protocol": "ip", "field": "protocol"}}, "tcp"), DROP]), Fate.REFUSED),
        (native([match({"payload": {"protocol": "ip6", "field": "nexthdr"}}, "tcp"), DROP]), Fate.ACCEPTED),
        (
            native([match({"payload": {"protocol": "tcp", "field": "dport"}}, 22), ACCEPT], policy="drop"),
            Fate.REFUSED,
        ),
        (native([match({"meta": {"key": "iifname"}}, "lo"), ACCEPT], policy="drop"), Fate.REFUSED),
        (native([match({"meta": {"key": "iifname"}}, "lo", "!="), ACCEPT], policy="drop"), Fate.ACCEPTED),
        (native([match({"meta": {"key": "iif"}}, "eth0", "!="), ACCEPT], policy="drop"), Fate.REFUSED),
        (native([match({"meta": {"key": "nfproto"}}, "ipv6"), DROP]), Fate.ACCEPTED),
        (native([match({"meta": {"key": "nfproto"}}, "ipv4"), DROP]), Fate.REFUSED),
        (native([{"limit": {"rate": 3}}, ACCEPT], policy="drop"), Fate.REFUSED),
        (
            native([{"vmap": {"key": CT, "data": {"set": [["established", {"accept": None}]]}}}]),
            Fate.ACCEPTED,
        ),
        (native([{"jump": {"target": "site"}}]), Fate.REFUSED),
        (native([{"goto": {"target": "site"}}]), Fate.REFUSED),
        (native([{"jump": {"target": "nowhere"}}], policy="drop"), Fate.REFUSED),
        (native([{"xt": {"type": "match", "name": "comment"}}, ACCEPT], policy="drop"), Fate.REFUSED),
        (native([{"xt": {"type": "target", "name": "REJECT"}}]), Fate.REFUSED),
        (native([{"return": None}], [DROP]), Fate.ACCEPTED),
        (native([], [{}], [{"match": None}], policy="drop"), Fate.REFUSED),
    ],
)
def test_what_nftables_does_with_a_new_tcp_connection(rules: Ruleset, expected: Fate) -> None:
    assert fate(rules) is expected


def test_a_chain_that_hands_back_what_is_for_this_host_leaves_it_to_its_caller() -> None:
    local = match({"fib": {"result": "type", "flags": ["daddr"]}}, "local")
    rules = native([{"jump": {"target": "site"}}])
    site = rules.chains["inet", "host", "site"]
    site.rules.insert(
        0,
        read_nft(
            [{"rule": {"family": "inet", "table": "t", "chain": "c", "expr": [local, {"return": None}]}}]
        )
        .chains["inet", "t", "c"]
        .rules[0],
    )
    assert fate(rules) is Fate.ACCEPTED


def recorded(name: str) -> str:
    """As a Debian 13 guest with Docker printed it."""
    return (Path(__file__).parent.parent / "data" / name).read_text(encoding="utf-8")


def test_ufw_is_as_closed_as_its_default() -> None:
    text = recorded("ufw.iptables-save")
    for packet in ("tcp4", "udp4"):
        assert fate(read_save(text, "ip"), packet) is Fate.REFUSED
        opened = text.replace(":INPUT DROP", ":INPUT ACCEPT")  # what `ufw default allow incoming` does
        assert fate(read_save(opened, "ip"), packet) is Fate.ACCEPTED
        everything = text + "*filter\n-A ufw-user-input -j ACCEPT\nCOMMIT\n"  # `ufw allow from any`
        assert fate(read_save(everything, "ip"), packet) is Fate.ACCEPTED


@pytest.mark.parametrize(("zone", "expected"), [("public", Fate.REFUSED), ("trusted", Fate.ACCEPTED)])
def test_firewalld_is_as_closed_as_its_default_zone(zone: str, expected: Fate) -> None:
    rules = read_nft(json.loads(recorded(f"firewalld-{zone}.nft.json"))["nftables"])
    for packet in ("tcp4", "udp4", "tcp6", "udp6"):
        assert fate(rules, packet) is expected


def test_a_table_that_is_switched_off_filters_nothing() -> None:
    assert not native(policy="drop", flags=["dormant"]).chains
    assert not native(policy="drop", flags="dormant").chains


def test_a_rule_is_shown_so_that_a_person_knows_it() -> None:
    port = match({"payload": {"protocol": "tcp", "field": "dport"}}, {"set": [22, {"range": [80, 90]}]})
    rules = native([port, {"jump": {"target": "site"}}])
    (chain,) = rules.hooked("input", {"inet"})
    assert chain.rules[0].text == "tcp dport == { 22, 80-90 } jump site"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ((), False),
        (("-A INPUT -j RETURN",), False),
        (("-A INPUT -i eth0 -j DROP",), True),
        (("-A INPUT -s 192.0.2.1 -j RETURN", "-A INPUT -i eth0 -j DROP", "-A INPUT -j RETURN"), True),
        (("-A INPUT -j RETURN", "-A INPUT -i eth0 -j DROP"), False),
        (("-A INPUT -j ACCEPT", "-A INPUT -j DROP"), False),
        (("-A INPUT -j SITE", "-A SITE -p tcp -j REJECT"), True),
        (("-A INPUT -j SITE", "-A SITE -j INPUT"), False),
    ],
)
def test_a_chain_can_refuse_something(lines: tuple[str, ...], found: bool) -> None:
    rules = saved(*lines, chains="SITE")
    assert bool(rules.can_refuse(rules.chains["ip", "filter", "INPUT"])) is found


@given(st.text(alphabet=st.sampled_from("*:-A INPUTjDROP\n\"'[]0! "), max_size=200))
def test_any_text_is_read(text: str) -> None:
    try:
        rules = read_save("*filter\n:INPUT ACCEPT [0:0]\n" + text, "ip")
    except FactUnavailable:
        return
    for chain in rules.chains.values():
        rules.follow(chain, "tcp4")
        rules.can_refuse(chain)
