"""The variables of the role firewall: hostile and mistaken values are refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.render import firewall_site

NOTHING: dict[str, Any] = {
    "allow": [],
    "ssh_ports": [],
    "ssh_sources": [],
    "published": [],
    "published_others": "present",
    "forward": [],
}


def rules(service: firewall_site.Service, family: str) -> list[str]:
    return list(service.rules(family, "--dport"))


def test_a_service_has_a_rule_for_each_source_of_its_family() -> None:
    allow = [{"port": "8000-8010", "sources": ["10.0.0.0/8", "2001:db8::1"], "comment": "x"}]
    (service,) = firewall_site.parse_site({**NOTHING, "allow": allow}, [22]).allow
    words = '-p tcp -m tcp --dport 8000:8010 -m comment --comment "x" -j RETURN'
    assert rules(service, "ipv4") == [f"-s 10.0.0.0/8 {words}"]
    assert rules(service, "ipv6") == [f"-s 2001:db8::1/128 {words}"]
    assert [service.covers("tcp", port) for port in (7999, 8000, 8010, 8011)] == [False, True, True, False]
    assert not service.covers("udp", 8000)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"allow": [{"port": 80, "comment": 'a" -j ACCEPT'}]}, r"firewall_allow\[0\]: comment .* is refused"),
        ({"allow": [{"port": 80, "comment": "a\n-A INPUT -j ACCEPT"}]}, "comment"),
        ({"allow": [{"port": 80, "comment": "x" * 201}]}, "at most 200"),
        ({"allow": [{"port": 80, "sources": ["10.0.0.1/8"]}]}, r"firewall_allow\[0\]: sources: .*host bits"),
        ({"allow": [{"port": 80, "sources": ["-j ACCEPT"]}]}, "does not appear to be"),
        ({"allow": [{"port": 80, "sources": "10.0.0.0/8"}]}, "a list of addresses or networks is needed"),
        ({"allow": [{"port": 80, "sources": []}]}, r"firewall_allow\[0\]: sources is empty; leave it out"),
        ({"published": [{"port": 80, "sources": None}]}, r"firewall_published\[0\]: sources is empty"),
        ({"forward": [{"from": "wg0", "sources": []}]}, r"firewall_forward\[0\]: sources is empty"),
        ({"ssh_sources": ["fe80::1%eth0"]}, "has a zone"),
        ({"allow": [{"port": 80, "sources": ["fe80::1%a -j ACCEPT\n-A X"]}]}, r"%a -j ACCEPT\\n-A X"),
        ({"allow": [{"port": "80 -j ACCEPT"}]}, "a number or a range such as 8000-8010 is needed"),
        ({"allow": [{"port": 0}]}, "not within 1-65535"),
        ({"allow": [{"port": "90-80"}]}, "not within 1-65535"),
        ({"allow": [{"port": 70000}]}, "not within 1-65535"),
        ({"allow": [{"port": True}]}, "port is True"),
        ({"allow": [{"sources": []}]}, "port is None"),
        ({"allow": [{"port": 80, "protocol": "icmp; reboot"}]}, "protocol is"),
        ({"allow": [{"port": 80, "protocol": "esp"}]}, "esp has no ports"),
        ({"allow": [{"prot": "tcp", "port": 80}]}, "unknown prot"),
        ({"allow": [80]}, "is not an object"),
        ({"ssh_sources": ["everywhere"]}, "firewall_ssh_sources: .*everywhere"),
        ({"published": [{"protocol": "esp"}]}, r"firewall_published\[0\]: protocol"),
        ({"forward": [{"from": "eth0 -j ACCEPT"}]}, "is not the name of an interface"),
        ({"forward": [{"sources": ["10.0.0.0/8"]}]}, "neither from nor to"),
    ],
)
def test_values_that_could_inject_rules_are_refused(variables: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        firewall_site.parse_site({**NOTHING, **variables}, [22])
