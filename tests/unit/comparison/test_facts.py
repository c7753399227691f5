from __future__ import annotations

from typing import Any

import pytest

from hardener.checks import all_checks
from hardener.comparison import changed_facts
from hardener.snapshot import Snapshot
from tests.unit.scans import IMAGE, OPENSSL, record, result
from tests.unit.snapshots import GONE, absent, container, failed, hardened, image, make, only, with_containers

DAEMON_JSON = {"type": "file", "mode": "0644", "uid": 0, "gid": 0, "owner": "root", "group": "root"}


def told(slug: str, before: Snapshot, after: Snapshot) -> list[str]:
    return [f"{fact.name}: {fact.before} → {fact.after}" for fact in changed_facts(slug, before, after)]


def with_file(**record: object) -> Snapshot:
    return make(files={"/etc/docker/daemon.json": {**DAEMON_JSON, **record}})


def test_equal_snapshots_have_no_changed_facts() -> None:
    for slug in all_checks():
        assert told(slug, make(), make()) == []


def test_a_changed_file_mode_is_reported() -> None:
    assert told("file-daemon-json-mode", with_file(), with_file(mode="0666")) == [
        "files /etc/docker/daemon.json mode: 0644 → 0666"
    ]


def test_facts_that_the_check_does_not_read_are_not_reported() -> None:
    assert told("file-daemon-json-mode", with_file(), with_file(size=17)) == []


def test_changed_scan_results_are_reported_without_their_times() -> None:
    def scanned(found: dict[str, Any], day: int) -> Snapshot:
        last = record({IMAGE: {**found, "scanned_at": f"2026-11-{day}T00:00:00Z"}})
        return make(
            **{
                "docker.images": [image(Id=IMAGE)],
                "docker.containers": [],
                "hardener.scan": {"record": last, "packages_changed": False},
            }
        )

    where = f"hardener.scan record images {IMAGE}"
    assert told("image-vulnerability-scan", scanned(result(), 24), scanned(result(OPENSSL), 25)) == [
        f"{where} state: clean → outdated",
        f"{where} packages: - → openssl",
    ]


def test_a_new_file_is_reported_once() -> None:
    before = make(files={"/etc/docker/daemon.json": None})
    assert told("file-daemon-json-mode", before, with_file()) == [
        "files /etc/docker/daemon.json: absent → present"
    ]


def test_a_changed_value_of_the_engine_is_reported() -> None:
    on, off = (make(**{"docker.info": {"LiveRestoreEnabled": value}}) for value in (True, False))
    assert "docker.info LiveRestoreEnabled: true → false" in told("daemon-live-restore", on, off)


def test_a_new_container_is_reported_by_its_name() -> None:
    before = with_containers(hardened("web"))
    after = with_containers(hardened("evil", HostConfig={"Privileged": True}), hardened("web"))
    assert told("container-not-privileged", before, after) == ["docker.containers: - → evil"]


def test_containers_are_matched_in_any_order() -> None:
    one = with_containers(hardened("web"), hardened("db"))
    other = with_containers(hardened("db"), hardened("web", HostConfig={"Privileged": True}))
    assert told("container-not-privileged", one, other) == [
        "docker.containers web inspect HostConfig Privileged: false → true"
    ]


def test_only_differing_elements_of_a_list_are_reported() -> None:
    before = make(lsm={"active": ["capability", "apparmor", "yama"]})
    after = make(lsm={"active": ["capability", "yama", "landlock"]})
    assert "lsm active: apparmor → landlock" in told("host-lsm-enforcing", before, after)


def packet_filter(*rules: str, packets: int) -> Snapshot:
    saved = [
        "# Generated at some time",
        "*filter",
        f":INPUT ACCEPT [{packets}:{packets}]",
        *rules,
        "COMMIT",
        "",
    ]
    counter = {"counter": {"packets": packets, "bytes": packets}}
    nft = [
        {"rule": {"chain": "INPUT", "handle": place, "expr": [counter, rule]}}
        for place, rule in enumerate(rules, packets)
    ]
    return make(firewall={"iptables": {"ipv4": "\n".join(saved)}, "nft": nft, "errors": {}, "flushing": []})


def test_changed_firewall_rules_are_reported_without_counters() -> None:
    slug, rule = "host-firewall-input-ipv4", "-A INPUT -j DROP"
    assert told(slug, packet_filter(rule, packets=1), packet_filter(rule, packets=7)) == []
    assert told(slug, packet_filter(rule, packets=1), packet_filter(packets=7)) == [
        f"firewall iptables ipv4: {rule} → -",
        'firewall nft: {"rule": {"chain": "INPUT", "expr": [{"counter": {}}, "-A INPUT -j DROP"]}} → -',
    ]


def test_a_failed_or_absent_source_is_reported() -> None:
    before, after = make(), make(**{"docker.info": failed("connection refused")})
    assert told("daemon-live-restore", before, after) == [
        "docker.info: present → not readable: connection refused"
    ]
    assert told("daemon-live-restore", before, make(**{"docker.info": absent("no engine")})) == [
        "docker.info: present → absent"
    ]


def test_a_fact_that_is_equal_in_both_snapshots_is_never_reported_as_changed() -> None:
    before = with_containers()
    after = with_containers(container("web", HostConfig={"Privileged": True}))
    for slug in all_checks():
        for fact in changed_facts(slug, before, after):
            assert fact.before != fact.after


@pytest.mark.parametrize("junk", [only(None), only([]), only([None, 3, {}]), only("text"), only({"a": GONE})])
def test_snapshots_of_any_type_do_not_crash(junk: object) -> None:
    strange = make(**{"docker.containers": junk, "docker.info": junk, "files": junk, "audit.loaded": junk})
    usual = make()
    for slug in all_checks():
        changed_facts(slug, usual, strange)
        changed_facts(slug, strange, usual)
