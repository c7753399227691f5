from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.checks.lib.packetfilter import Ruleset, into_host, read_save
from hardener.snapshot import FactUnavailable
from tests.unit.checks.lib.packetfilter.asking import CLOSED, OPEN, fate, recorded, saved


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (saved(), OPEN),
        (saved(policy="DROP"), CLOSED),
        (saved("-A INPUT -j DROP"), CLOSED),
        (saved("-A INPUT -j REJECT --reject-with icmp-port-unreachable"), CLOSED),
        (saved('-A INPUT -m comment --comment "drop -j ACCEPT" -j DROP'), CLOSED),
        (saved("-A INPUT -m comment --comment a\u00a0-j\u00a0ACCEPT -j DROP"), CLOSED),
        (saved("-A INPUT -j ACCEPT", policy="DROP"), OPEN),
        (saved("-A INPUT -p tcp -j ACCEPT", policy="DROP"), OPEN),
        (saved("-A INPUT ! -p icmp -j ACCEPT", policy="DROP"), OPEN),
        (saved("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", policy="DROP"), CLOSED),
        (saved("-A INPUT ! -i lo -j ACCEPT", policy="DROP"), OPEN),
        (saved("-A INPUT -i lo -j ACCEPT", policy="DROP"), CLOSED),
        (saved("-A INPUT -i eth0 -j ACCEPT", policy="DROP"), OPEN),
        (saved("-A INPUT -s 192.0.2.0/24 -j ACCEPT", policy="DROP"), CLOSED),
        (saved("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", policy="DROP"), CLOSED),
        (saved("-A INPUT -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT", policy="DROP"), OPEN),
        (saved("-A INPUT -m state --state NEW -j DROP"), CLOSED),
        (saved("-A INPUT -m conntrack ! --ctstate INVALID -j ACCEPT", policy="DROP"), OPEN),
        (saved("-A INPUT -m limit --limit 3/min -j ACCEPT", policy="DROP"), OPEN),
        (saved("-A INPUT -m limit --limit 3/min -j DROP"), OPEN),
        (saved("-A INPUT -p udp -j DROP"), OPEN),
        (saved("-A INPUT -p tcp -j DROP"), CLOSED),
        (saved("-A INPUT -j LOG --log-prefix x", "-A INPUT -j DROP"), CLOSED),
        (saved("-A INPUT -j RETURN", "-A INPUT -j DROP"), OPEN),
        (saved("-A INPUT -j SITE", "-A SITE -j DROP", chains="SITE"), CLOSED),
        (saved("-A INPUT -j SITE", "-A SITE -j ACCEPT", chains="SITE", policy="DROP"), OPEN),
        (saved("-A INPUT -j SITE", "-A SITE -j RETURN", "-A SITE -j DROP", chains="SITE"), OPEN),
        (saved("-A INPUT -i eth0 -j SITE", "-A SITE -j ACCEPT", chains="SITE", policy="DROP"), OPEN),
        (
            saved("-A INPUT -j SITE", "-A SITE -i eth0 -j RETURN", "-A SITE -j DROP", chains="SITE"),
            OPEN,
        ),
        (
            saved("-A INPUT -j SITE", "-A SITE -s 192.0.2.1 -j RETURN", "-A SITE -j DROP", chains="SITE"),
            CLOSED,
        ),
        (saved("-A INPUT -g SITE", "-A INPUT -j DROP", chains="SITE"), OPEN),
        (saved("-A INPUT -j A", "-A A -j B", "-A B -j A", chains="A B", policy="DROP"), CLOSED),
        (saved("-A INPUT -j NOWHERE", policy="DROP"), OPEN),
        (saved("-A INPUT", "-A"), OPEN),
        (
            saved('-A INPUT -m comment --comment "say \\"no\\" -j DROP" -j ACCEPT', policy="DROP"),
            OPEN,
        ),
    ],
)
def test_iptables_rules_accept_or_refuse_a_new_tcp_connection_as_the_kernel_does(
    rules: Ruleset, expected: bool
) -> None:
    assert fate(rules) is expected


@pytest.mark.parametrize("line", ['-A INPUT -m comment --comment "unbalanced -j DROP', "-A "])
def test_a_line_that_iptables_save_never_prints_is_an_error(line: str) -> None:
    with pytest.raises(FactUnavailable, match="a rule cannot be read"):
        saved(line)


def test_a_rule_for_one_protocol_does_not_refuse_another() -> None:
    rules = saved("-A INPUT -p tcp -j REJECT --reject-with tcp-reset")
    assert fate(rules, "tcp") is CLOSED
    assert fate(rules, "udp") is OPEN


def test_chains_of_the_nat_table_are_not_input_filters() -> None:
    """They drop packets only while something else has the kernel track connections."""
    for chain in ("INPUT", "PREROUTING"):
        rules = read_save(f"*nat\n:{chain} DROP [0:0]\nCOMMIT\n*mangle\n:INPUT ACCEPT [0:0]\nCOMMIT", "ip")
        assert fate(rules) is OPEN
        assert fate(rules, "udp") is OPEN


def test_ufw_refuses_inbound_packets_by_its_default_policy() -> None:
    text = recorded("ufw.iptables-save")
    for packet in ("tcp", "udp"):
        assert fate(read_save(text, "ip"), packet) is CLOSED
        opened = text.replace(":INPUT DROP", ":INPUT ACCEPT")  # what `ufw default allow incoming` does
        assert fate(read_save(opened, "ip"), packet) is OPEN
        everything = text + "*filter\n-A ufw-user-input -j ACCEPT\nCOMMIT\n"  # `ufw allow from any`
        assert fate(read_save(everything, "ip"), packet) is OPEN


@given(st.text(alphabet=st.sampled_from("*:-A INPUTjDROP\n\"'[]0! "), max_size=200))
def test_parsing_arbitrary_text_does_not_crash(text: str) -> None:
    try:
        rules = read_save("*filter\n:INPUT ACCEPT [0:0]\n" + text, "ip")
    except FactUnavailable:
        return
    into_host([rules], 4)
