from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import chains
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import (
    firewall as activation,
)
from ansible_collections.hardener.docker.plugins.module_utils.render.program import FILES

from hardener.model import Status
from hardener.snapshot import Snapshot
from tests.unit.checks.lib.packetfilter.asking import recorded as printed
from tests.unit.plugins.module_utils.render.rendering import documents_of, verdicts
from tests.unit.snapshots import absent, container, failed, make, merge, no_engine, only, recorded, unread

FIXTURES = Path(__file__).parents[4] / "fixtures"
FOLDER = "/etc/hardener/firewall"
SAVED = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:DOCKER - [0:0]\n:DOCKER-USER - [0:0]\n"
SAVED += "-A FORWARD -j DOCKER-USER\nCOMMIT\n*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\nCOMMIT\n"


def documents(snapshot: Snapshot, **variables: Any) -> dict[str, dict[str, Any]]:
    variables = {
        "inbound": True,
        "docker_user": True,
        "allow": [],
        "ssh_ports": [],
        "ssh_sources": [],
        "published": [],
        "published_others": "present",
        "forward": [],
        **variables,
    }
    return {each["name"]: each for each in documents_of("firewall")(snapshot.raw, **variables)}


def files(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The rules files by name."""
    return {
        resource["path"].removeprefix(f"{FOLDER}/"): resource["content"]
        for document in found.values()
        for resource in document.get("resources", ())
        if resource["path"].startswith(FOLDER) and resource["kind"] == "file"
    }


def rules(snapshot: Snapshot, file: str = "inbound.ipv4", **variables: Any) -> list[str]:
    """The rules of a file."""
    return [line for line in files(documents(snapshot, **variables))[file].splitlines() if line[:2] == "-A"]


def filtering(ipv4: Any = SAVED, ipv6: Any = "", **sources: Any) -> Snapshot:
    tables = None if ipv4 is None else {"variant": "nf_tables", "ipv4": ipv4, "ipv6": ipv6}
    found: dict[str, Any] = {"iptables": tables, "nft": None, "errors": {}, "flushing": []}
    return make(firewall=only(merge(found, sources.pop("firewall", {}))), **sources)


# --- golden files -------------------------------------------------------------------------------------------


GOLDEN = {
    "13-defaults": ("13", {}),
    "testing-site": (
        "testing",
        {
            "allow": [
                {"port": 443, "comment": "web (public)"},
                {"port": "60000-61000", "protocol": "udp", "sources": ["192.0.2.0/24", "2001:db8::/32"]},
                {"protocol": "vrrp", "sources": ["192.0.2.7"]},
            ],
            "ssh_ports": [2222],
            "ssh_sources": ["192.0.2.0/24"],
            "published": [{"port": 8080, "sources": ["198.51.100.0/24"]}, {"port": "9000-9010"}],
            "published_others": "drop",
            "forward": [{"from": "wg+", "to": "eth0", "sources": ["10.8.0.0/24"], "comment": "VPN"}],
        },
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_rules_match_the_golden_file(name: str, golden: Callable[[Path, str], None]) -> None:
    release, variables = GOLDEN[name]
    found = files(documents(recorded(f"debian-{release}"), **variables))
    text = "".join(f"== {file}\n{content}" for file, content in found.items())
    golden(FIXTURES / "firewall" / f"{name}.rules", text)


# --- the same for those who judge, load and boot ------------------------------------------------------------


def loaded(snapshot: Snapshot, **variables: Any) -> Snapshot:
    """The host after the activation, as far as its iptables-save goes."""
    saved = {}
    for family in activation.TOOLS:
        before = snapshot.fact("firewall")["iptables"][family]
        parts = [
            files(documents(snapshot, **variables)).get(f"{part}.{family}", "") for part in activation.PARTS
        ]
        text = chains.compose(chains.parse(before), chains.parse("".join(parts)))
        tables = {
            name: {chain: list(of) for chain, of in found.items()}
            for name, found in chains.parse(before).items()
        }
        table: dict[str, list[str]] = {}
        for line in text.splitlines():
            words = line.split()
            if line[0] == "*":
                table = tables.setdefault(line[1:], {"INPUT": [], "FORWARD": [], "PREROUTING": []})
            elif line[0] == ":":
                table[words[0][1:]] = []
            elif words[0] == "-I":
                table.setdefault(words[1], []).insert(0, f"-A {words[1]} {' '.join(words[3:])}")
            elif words[0] == "-A":
                table.setdefault(words[1], []).append(line)
        saved[family] = "".join(
            f"*{name}\n"
            + "".join(
                f":{chain} {'ACCEPT' if chain in ('INPUT', 'FORWARD') else '-'} [0:0]\n" for chain in found
            )
            + "".join(f"{rule}\n" for of in found.values() for rule in of)
            + "COMMIT\n"
            for name, found in tables.items()
        )
    return Snapshot(
        {
            **snapshot.raw,
            "sources": merge(snapshot.raw["sources"], {"firewall": {"data": {"iptables": saved}}}),
        }
    )


@pytest.mark.parametrize("release", ["12", "13", "testing"])
def test_rendered_rules_satisfy_every_firewall_control(release: str) -> None:
    before = recorded(f"debian-{release}")
    assert set(verdicts(before, "host-firewall-").values()) == {Status.FAIL}
    after = loaded(before)
    assert set(verdicts(after, "host-firewall-").values()) == {Status.PASS}
    assert files(documents(after)) == files(documents(before))


def test_the_loader_and_the_transaction_use_the_same_paths() -> None:
    found = documents(filtering())
    paths = [resource["path"] for document in found.values() for resource in document["resources"]]
    assert activation.FOLDER == FOLDER
    assert {path for path in paths if path.startswith(FOLDER)} <= {
        f"{FOLDER}/{part}.{family}" for part in activation.PARTS for family in activation.TOOLS
    }
    assert f"/etc/systemd/system/{activation.UNIT}" in paths
    loader = (FILES / "hardener-firewall").read_text()
    assert f"folder={FOLDER}\n" in loader
    for hook in chains.HOOKS:
        assert f"hook {hook.table} {hook.parent} {hook.child} {'last' if hook.last else 'first'}\n" in loader
    unit = (FILES / activation.UNIT).read_text()
    assert "ExecStart=/usr/local/sbin/hardener-firewall load\n" in unit
    assert "Before=network-pre.target docker.service" in unit


def test_both_documents_have_connectivity_impact_and_are_independent() -> None:
    found = documents(filtering())
    assert [document["impact"] for document in found.values()] == ["connectivity", "connectivity"]
    alone = documents(filtering(), docker_user=False)
    assert list(files(alone)) == ["inbound.ipv4", "inbound.ipv6"]
    kinds = {resource["path"]: resource["kind"] for each in alone.values() for resource in each["resources"]}
    assert kinds[f"{FOLDER}/forwarded.ipv4"] == "absent"
    assert kinds["/usr/local/sbin/hardener-firewall"] == "file"


def test_the_disabled_role_removes_all_rules() -> None:
    found = documents(filtering("-A INPUT -j ufw-before-input\n"), inbound=False, docker_user=False)
    kinds = [resource["kind"] for document in found.values() for resource in document["resources"]]
    assert set(kinds) == {"absent"}
    assert all(
        {each["name"] for each in document["activations"]} >= {"firewall"} for document in found.values()
    )


# --- ssh ----------------------------------------------------------------------------------------------------


def listens(*entries: tuple[str, str, int, str]) -> list[dict[str, Any]]:
    names = ("proto", "address", "port", "process")
    return [
        {**dict(zip(names, entry, strict=True)), "netns": "host", "uid": 0, "inode": 1} for entry in entries
    ]


SSHD = ("tcp", "0.0.0.0", 22, "sshd")


@pytest.mark.parametrize(
    ("connection", "inventory", "listening", "more", "ports"),
    [
        (None, 0, [SSHD], [], [22]),
        (
            2222,
            40022,
            [("tcp6", "::", 2222, "systemd")],
            [],
            [2222],
        ),  # translated on the way, activated by a socket
        (22, 22, [SSHD, ("tcp", "0.0.0.0", 2200, "sshd")], [], [22, 2200]),
        (22, 2022, [SSHD, ("tcp", "0.0.0.0", 2022, "dropbear")], [], [22, 2022]),
        (None, 2022, [], [], [2022]),
        (None, 0, [], [], [22]),
        (22, 0, [SSHD], [8022], [22, 8022]),
        (22, 0, [SSHD, ("tcp", "127.0.0.1", 6010, "sshd")], [], [22]),  # a forwarded display
    ],
)
def test_ssh_ports_are_found(
    connection: int | None,
    inventory: int,
    listening: list[tuple[str, str, int, str]],
    more: list[int],
    ports: list[int],
) -> None:
    snapshot = filtering(system={"ssh_port": connection}, listening=listens(*listening))
    found = documents(snapshot, ssh_ports=more, connection_port=inventory)
    (settings,) = [each for each in found["firewall_inbound"]["activations"] if each["name"] == "firewall"]
    assert settings["ssh_ports"] == ports
    for file in ("inbound.ipv4", "inbound.ipv6"):
        text = files(found)[file]
        assert all(f'--dport {port} -m comment --comment "ssh" -j RETURN' in text for port in ports)
        assert text.count('"ssh"') == len(ports)


@pytest.mark.parametrize("server", ["systemd", "dropbear"])
def test_an_ambiguous_ssh_port_must_be_named(server: str) -> None:
    """With ssh.socket it is systemd that listens, until somebody logs in."""
    snapshot = filtering(system={"ssh_port": None}, listening=listens(("tcp", "0.0.0.0", 2222, server)))
    refused = documents(snapshot)["firewall_inbound"]["refused"]
    assert refused == "the port of ssh is not known, and may be 2222: name it in firewall_ssh_ports"
    for named in ({"ssh_ports": [2222]}, {"ssh_ports": [22]}, {"allow": [{"port": 2222}]}):
        assert "refused" not in documents(snapshot, **named)["firewall_inbound"]


def test_ssh_can_be_limited_to_networks() -> None:
    found = documents(filtering(listening=listens(SSHD)), ssh_sources=["192.0.2.0/24"])
    assert (
        '-s 192.0.2.0/24 -p tcp -m tcp --dport 22 -m comment --comment "ssh"' in files(found)["inbound.ipv4"]
    )
    assert '"ssh"' not in files(found)["inbound.ipv6"]


# --- published ports ----------------------------------------------------------------------------------------


def publishing(**bindings: list[dict[str, str]]) -> list[dict[str, Any]]:
    ports = {name.replace("_", "/"): places for name, places in bindings.items()}
    return [container("web", HostConfig={"PortBindings": only(ports)})]


def test_a_port_served_only_by_docker_proxy_stays_open() -> None:
    containers = publishing(
        **{
            "80_tcp": [{"HostIp": "", "HostPort": "8080"}],
            "53_udp": [{"HostIp": "2001:db8::1", "HostPort": "53"}],
            "90_tcp": [{"HostIp": "127.0.0.1", "HostPort": "9090"}],
            "99_tcp": [{"HostIp": "", "HostPort": ""}],
        }
    )
    snapshot = filtering(**{"docker.containers": containers})
    ipv6 = rules(snapshot, "inbound.ipv6")
    assert "-A HARDENER-INPUT -p tcp -m tcp --dport 8080 -j RETURN" in ipv6
    assert "-A HARDENER-INPUT -p udp -m udp --dport 53 -j RETURN" in ipv6
    assert not any("9090" in rule for rule in ipv6)
    ipv4 = [rule for rule in rules(snapshot) if "8080" in rule]
    assert ipv4 == [
        f"-A HARDENER-INPUT -i {bridge} -p tcp -m tcp --dport 8080 -j RETURN"
        for bridge in ("docker+", "br-+")
    ]
    assert not any("--dport 53 " in rule for rule in rules(snapshot))
    narrowed = {"published": [{"port": 8080, "sources": ["2001:db8::/32"]}], "published_others": "drop"}
    ipv6 = rules(snapshot, "inbound.ipv6", **narrowed)
    assert "-A HARDENER-INPUT -s 2001:db8::/32 -p tcp -m tcp --dport 8080 -j RETURN" in ipv6
    assert not any("--dport 53 " in rule for rule in ipv6)


def test_ports_that_are_published_stay_open_and_others_are_dropped() -> None:
    containers = publishing(
        **{"80_tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "", "HostPort": ""}]}
    )
    snapshot = filtering(**{"docker.containers": containers})
    translated = "-m conntrack --ctstate DNAT"
    named = f"-A HARDENER-DOCKER -p tcp {translated} --ctorigdstport 8080 -j RETURN"
    dropped = f"-A HARDENER-DOCKER {translated} -j DROP"
    to_containers = "-A HARDENER-DOCKER ! -i docker+ -o docker+ -j DROP"
    found = rules(snapshot, "forwarded.ipv4")
    assert found.index(named) < found.index(to_containers)
    assert dropped not in found  # a site may forward ports elsewhere
    (note,) = documents(snapshot)["firewall_docker_user"]["notes"]
    assert note.endswith("stay open to all, and H.5 fails: the engine chooses the port of web 80/tcp")
    assert f"-A HARDENER-DOCKER -p tcp {translated} --ctorigdstport 32768:65535 -j RETURN" in found
    found = rules(snapshot, "forwarded.ipv4", published_others="drop")
    assert named not in found
    assert dropped in found
    everything = {"published_others": "accept"}
    assert dropped not in rules(snapshot, "forwarded.ipv4", **everything)
    (note,) = documents(snapshot, **everything)["firewall_docker_user"]["notes"]
    assert "stay open to all: H.5 fails" in note
    bare = filtering(**{"docker.containers": []})
    assert to_containers in rules(bare, "forwarded.ipv4")


@pytest.mark.parametrize("others", ["present", "drop", "accept"])
def test_a_container_at_a_port_that_the_site_names_changes_no_rule(others: str) -> None:
    def rendered(*containers: dict[str, Any]) -> dict[str, str]:
        snapshot = filtering(**{"docker.containers": list(containers)})  # IPv6 is not translated
        named = [{"port": 8080, "sources": ["192.0.2.0/24"]}, {"port": "9000:9010", "protocol": "udp"}]
        return files(documents(snapshot, published=named, published_others=others))

    def at(port: str) -> list[dict[str, str]]:
        return [{"HostIp": "", "HostPort": port}]

    assert rendered(*publishing(**{"80_tcp": at("8080"), "9_udp": at("9001")})) == rendered()
    assert rendered(*publishing(**{"80_tcp": at("8081")})) != rendered() or others == "drop"
    if others == "present":  # the site does not name all of its ports
        assert rendered(*publishing(**{"9_udp": at("9001-9020")})) != rendered()


def test_the_range_of_a_container_opens_no_port_that_the_site_limits_to_sources() -> None:
    binding = {"80_tcp": [{"HostIp": "", "HostPort": "8000-8010"}]}
    limited = [{"port": 8000, "sources": ["2001:db8::/32"]}]
    found = rules(
        filtering(**{"docker.containers": publishing(**binding)}), "inbound.ipv6", published=limited
    )
    ports = [rule.partition("-A HARDENER-INPUT ")[2] for rule in found if "--dport 80" in rule]
    assert ports == [
        "-s 2001:db8::/32 -p tcp -m tcp --dport 8000 -j RETURN",
        "-p tcp -m tcp --dport 8000 -j DROP",
        "-p tcp -m tcp --dport 8000:8010 -j RETURN",
    ]


def test_ports_of_a_rootless_engine_are_in_the_input_chain() -> None:
    containers = publishing(**{"80_tcp": [{"HostIp": "", "HostPort": "8080"}]})
    snapshot = filtering(engine={"rootless": True}, **{"docker.containers": containers})
    assert "-A HARDENER-INPUT -p tcp -m tcp --dport 8080 -j RETURN" in rules(snapshot)
    assert "rootless" in documents(snapshot)["firewall_docker_user"]["refused"]


def test_bridges_with_custom_names_get_the_rules_for_containers() -> None:
    networks = [
        {"Name": "app", "Driver": "bridge", "Options": {"com.docker.network.bridge.name": "app0"}},
        {"Name": "bad", "Driver": "bridge", "Options": {"com.docker.network.bridge.name": "x -j ACCEPT"}},
    ]
    found = rules(filtering(**{"docker.networks": networks}), "forwarded.ipv4")
    assert "-A HARDENER-DOCKER ! -i app0 -o app0 -j DROP" in found
    assert not any("ACCEPT -j" in rule or "-o x" in rule for rule in found)


def test_packets_to_loopback_are_dropped_if_the_engine_does_not_drop_them() -> None:
    assert "neighbours.ipv4" in files(documents(filtering(**{"docker.version": {"Version": "27.5.1"}})))
    assert "neighbours.ipv4" in files(documents(filtering(**{"docker.version": failed()})))
    newer = documents(filtering(**{"docker.version": {"Version": "28.0.0"}}))
    assert "neighbours.ipv4" not in files(newer)
    assert {"kind": "absent", "path": f"{FOLDER}/neighbours.ipv4"} in newer["firewall_docker_user"][
        "resources"
    ]


# --- what is told -------------------------------------------------------------------------------------------


def test_services_that_become_unreachable_are_named() -> None:
    snapshot = filtering(
        listening=listens(
            SSHD,
            ("tcp", "0.0.0.0", 2375, "dockerd"),
            ("tcp", "127.0.0.1", 631, "cupsd"),
            ("tcp6", "::", 9100, "node\x1b[31m exporter"),
            ("tcp", "0.0.0.0", 443, "nginx"),
            ("udp", "0.0.0.0", 4789, ""),
            ("udp", "0.0.0.0", 68, "dhclient"),
            ("udp", "0.0.0.0", 40000, "ntpd"),
            ("tcp", "0.0.0.0", 8080, "docker-proxy"),
        )
    )
    (note,) = documents(snapshot, allow=[{"port": 443}])["firewall_inbound"]["notes"]
    assert note == (
        "not reachable from other hosts and from containers, unless firewall_allow names them:"
        " tcp 2375 (dockerd), tcp 9100 (node??31m?exporter), udp 4789"
    )


def test_without_ipv6_support_no_ipv6_rules_are_written_with_a_note() -> None:
    for snapshot, note in (
        (filtering(ipv6=None), "no rules for IPv6 are loaded: there is no ip6tables"),
        (
            filtering(ipv6=None, firewall={"errors": {"ip6tables-save": "ip6tables-save: no such table"}}),
            "no rules for IPv6 are loaded: ip6tables-save: no such table",
        ),
        (
            filtering(sysctl={"net.ipv6.conf.all.disable_ipv6": None}),
            "this kernel has no IPv6: no rules for it",
        ),
    ):
        found = documents(snapshot)
        assert note in found["firewall_inbound"]["notes"]
        assert note in found["firewall_docker_user"]["notes"]
        assert not [file for file in files(found) if "ipv6" in file]


def test_unfiltered_ipv6_forwarding_is_kept() -> None:
    networks = [{"Name": "app", "Driver": "bridge", "EnableIPv6": True, "Options": {}}]
    found = documents(filtering(**{"docker.networks": networks}))
    assert "forwarded.ipv6" not in files(found)
    assert "app" in found["firewall_docker_user"]["notes"][0]
    filtered = documents(filtering(ipv6=SAVED, **{"docker.networks": networks}))
    assert "forwarded.ipv6" in files(filtered)


def test_a_note_names_firewall_forward_if_the_host_forwards_packets() -> None:
    accepting = SAVED.replace("FORWARD DROP", "FORWARD ACCEPT")
    found = documents(filtering(accepting, sysctl={"net.ipv4.ip_forward": "1"}))
    assert "firewall_forward" in found["firewall_docker_user"]["notes"][0]
    in_mangle = f"*mangle\n:FORWARD ACCEPT [0:0]\nCOMMIT\n{SAVED}"
    for dropping in (SAVED, in_mangle):
        found = documents(filtering(dropping, sysctl={"net.ipv4.ip_forward": "1"}))
        assert not found["firewall_docker_user"]["notes"]


def unit(name: str, **state: str) -> dict[str, Any]:
    return {
        "units": {
            name: {"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "disabled", **state}
        }
    }


REFUSALS = {
    "no iptables": (filtering(None, firewall={"nft": only([])}), "no usable iptables"),
    "unread": (make(firewall=failed("timed out")), "firewall could not be read: timed out"),
    "unread containers": (
        filtering(**{"docker.containers": failed("timed out")}),
        "docker.containers could not be read, so the published ports are unknown: timed out",
    ),
    "an unread container": (
        filtering(**{"docker.containers": [container(), unread()]}),
        "the published ports are not known, since dark could not be read: timed out",
    ),
    "nothing": (make(firewall=absent()), "install iptables"),
    "no systemd": (filtering(units=absent("systemd does not run on this host")), "systemd does not run"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_foreign_or_missing_packet_filters_are_refused(name: str) -> None:
    snapshot, reason = REFUSALS[name]
    found = documents(snapshot)
    for document in found.values():
        assert reason in document["refused"]
        assert "resources" not in document


REFUSING = [
    {"chain": {"family": "inet", "table": "site", "name": "in", "hook": "input", "policy": "drop"}},
    {"chain": {"family": "inet", "table": "site", "name": "out", "hook": "output", "policy": "accept"}},
]
ACCEPTING = [
    {"chain": {"family": "ip", "table": "filter", "name": "INPUT", "hook": "input", "policy": "drop"}},
    {"chain": {"family": "inet", "table": "filter", "name": "input", "hook": "input", "policy": "accept"}},
]
LAST_RULE = [{"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": [{"reject": None}]}}]
FLUSHING = {"flushing": ["/etc/nftables.conf"]}
UFW = "*filter\n:INPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n-A INPUT -j ufw-before-input\n"
OTHERS = {
    "ufw": (filtering(f"{UFW}-A ufw-before-input -i lo -j ACCEPT\nCOMMIT\n"), "ufw"),
    "ufw, disabled": (filtering(f"{UFW}COMMIT\n"), ""),
    "firewalld": (filtering(**unit("firewalld.service", ActiveState="active")), "firewalld"),
    "firewalld, stopped": (filtering(**unit("firewalld.service", UnitFileState="enabled")), ""),
    "nftables": (
        filtering(
            firewall={**FLUSHING, "nft": only(REFUSING)}, **unit("nftables.service", UnitFileState="enabled")
        ),
        "nftables.service",
    ),
    "nftables, last rule": (
        filtering(
            firewall={**FLUSHING, "nft": only(ACCEPTING + LAST_RULE)},
            **unit("nftables.service", UnitFileState="enabled"),
        ),
        "nftables.service",
    ),
    "nftables, accepting": (
        filtering(
            firewall={**FLUSHING, "nft": only(ACCEPTING)}, **unit("nftables.service", UnitFileState="enabled")
        ),
        "",
    ),
    "nftables, unused": (
        filtering(firewall={**FLUSHING, "nft": only(REFUSING)}, **unit("nftables.service")),
        "",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_inbound_packets_and_forwarding_are_left_to_another_firewall(name: str) -> None:
    snapshot, owner = OTHERS[name]
    found = files(documents(snapshot))
    assert any(file.startswith("inbound") for file in found) is not bool(owner)
    assert ":HARDENER-DOCKER " in found["forwarded.ipv4"]
    assert (":HARDENER-FORWARD " in found["forwarded.ipv4"]) is not bool(owner)
    for variables, document in (
        ({"allow": [{"port": 9100}]}, "inbound"),
        ({"ssh_sources": ["192.0.2.0/24"]}, "inbound"),
        ({"forward": [{"from": "wg0"}]}, "docker_user"),
    ):
        reason = documents(snapshot, **variables)[f"firewall_{document}"].get("refused", "")
        assert reason.startswith(f"{owner} filters ") if owner else not reason


@pytest.mark.parametrize("unit_name", ["nftables.service", "netfilter-persistent.service"])
def test_rules_are_loaded_again_after_a_unit_that_removes_all_rules(unit_name: str) -> None:
    path = f"/etc/systemd/system/{unit_name}.d/hardener-firewall.conf"

    def drop_in(**state: str) -> list[str | None]:
        snapshot = filtering(firewall=FLUSHING, **unit(unit_name, **state))
        return [
            resource.get("content")
            for document in documents(snapshot).values()
            for resource in document["resources"]
            if resource["path"] == path
        ]

    assert all(
        each and "ExecStartPost=-/usr/local/sbin/hardener-firewall load" in each
        for each in drop_in(UnitFileState="enabled")
    )
    assert set(drop_in()) == {None}


ENGINES = {
    "none": (no_engine(), "no Docker engine"),
    "nftables, unread": (
        filtering(**{"docker.info": {"FirewallBackend": {"Driver": "nftables"}}}),
        "install nft (package nftables)",
    ),
    "nftables, stopped and unread": (
        filtering(
            **{"docker.info": failed(), "daemon.config": {"parsed": {"firewall-backend": "nftables"}}},
        ),
        "install nft (package nftables)",
    ),
    "nftables, flushed": (
        filtering(
            "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n",
            firewall={"nft": []},
            **{"docker.info": {"FirewallBackend": {"Driver": "nftables"}}},
        ),
        "restart the engine first",
    ),
    "iptables false": (filtering(**{"daemon.config": {"parsed": {"iptables": False}}}), "iptables: false"),
    "flushed": (filtering("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"), "restart the engine first"),
}


@pytest.mark.parametrize("name", ENGINES)
def test_without_docker_user_only_inbound_rules_are_written(name: str) -> None:
    snapshot, reason = ENGINES[name]
    found = documents(snapshot)
    assert reason in found["firewall_docker_user"]["refused"]
    assert "refused" not in found["firewall_inbound"]


def test_published_ports_of_an_engine_with_nftables_satisfy_the_control() -> None:
    empty = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\nCOMMIT\n"
    snapshot = filtering(
        empty,
        empty,
        firewall={"nft": only(json.loads(printed("docker29.nft.json"))["nftables"])},
        **{
            "docker.info": {"FirewallBackend": {"Driver": "nftables"}},
            "docker.containers": publishing(**{"80_tcp": [{"HostIp": "", "HostPort": "8080"}]}),
        },
    )
    control = "host-firewall-docker-user"
    assert verdicts(snapshot, control) == {control: Status.FAIL}
    variables = {"published": [{"port": 8080, "sources": ["192.0.2.0/24"]}], "published_others": "drop"}
    assert verdicts(loaded(snapshot, **variables), control) == {control: Status.PASS}
    for family in ("ipv4", "ipv6"):
        forwarded = rules(snapshot, f"forwarded.{family}")
        assert forwarded[-2:] == ["-A HARDENER-FORWARD -o br-+ -j RETURN", "-A HARDENER-FORWARD -j DROP"]
    assert "-A HARDENER-INPUT -i docker+ -p tcp -m tcp --dport 8080 -j RETURN" in rules(snapshot)


@pytest.mark.parametrize(("proxy", "interface"), [(None, ""), (True, ""), (False, "-i docker+ ")])
def test_docker_proxy_serves_containers_without_ipv6_beside_dockers_rules(
    proxy: bool | None, interface: str
) -> None:
    settings = {} if proxy is None else {"userland-proxy": proxy}
    snapshot = filtering(
        ipv6=SAVED,
        **{
            "docker.containers": publishing(**{"80_tcp": [{"HostIp": "", "HostPort": "8080"}]}),
            "daemon.config": {"parsed": settings},
        },
    )
    rule = f"-A HARDENER-INPUT {interface}-p tcp -m tcp --dport 8080 -j RETURN"
    assert rule in rules(snapshot, "inbound.ipv6")
    assert "-A HARDENER-INPUT -p tcp -m tcp --dport 8080 -j RETURN" not in rules(snapshot)


def test_an_engine_that_is_not_running_is_accepted() -> None:
    snapshot = filtering(engine={"reachable": False}, **{"docker.containers": failed("refused")})
    assert not any("refused" in document for document in documents(snapshot).values())


@pytest.mark.parametrize(
    ("ports", "said"),
    [(["22 "], "firewall_ssh_ports: port is"), (["22-30"], "firewall_ssh_ports: '22-30' is a range")],
)
def test_an_invalid_ssh_port_or_a_range_of_ssh_ports_is_refused(ports: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        documents(filtering(), ssh_ports=ports)
