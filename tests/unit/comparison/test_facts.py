from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings

from hardener.checks import all_checks
from hardener.comparison import ContainerChange, Drift, changed_facts, container_changes
from hardener.snapshot import Snapshot
from tests.unit.reports.assessments import assessment, hostile_text
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


OWN = {"SecurityOpt": ['seccomp={"defaultAction":"SCMP_ACT_ERRNO"}']}
NEXT = "sha256:" + "b" * 64
ISSUED = "sha256:67df816ec08690cb06221295509f57ccea25847d47111c187afa8f946c13e439"
LABELS = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}


def changes_told(before: Snapshot, after: Snapshot) -> list[str]:
    return [
        f"{each.container or '*'} {axis.name}: {axis.texts[0]} → {axis.texts[1]}"
        for each in container_changes(before, after)
        for axis in each.axes
    ]


def test_another_image_under_the_same_profile_is_reported() -> None:
    before = with_containers(container("web", HostConfig=OWN), container("db"))
    after = with_containers(container("web", Id="9" * 64, HostConfig=OWN, Image=NEXT), container("db"))
    (found,) = container_changes(before, after)
    assert changes_told(before, after) == [f"web image digest: {ISSUED} → {NEXT}"]
    assert found.profiled == ("web",)


def test_a_container_with_another_profile_is_not_reported_as_one_under_its_former_profile() -> None:
    before = with_containers(container("web", HostConfig=OWN))
    after = with_containers(container("web", HostConfig={"SecurityOpt": ["seccomp={}"]}, Image=NEXT))
    (found,) = container_changes(before, after)
    assert [axis.name for axis in found.axes] == ["image digest", "security options"]
    assert found.profiled == ()


def test_a_renamed_container_of_the_same_service_is_compared() -> None:
    before = with_containers(container("shop_web_1", Config={"Labels": LABELS}))
    after = with_containers(container("shop-web-1", Config={"Labels": LABELS, "User": "33"}))
    assert changes_told(before, after) == ["shop-web-1 user: nothing → 33"]


def test_several_containers_of_one_service_are_matched_by_name() -> None:
    def both(user: str) -> Snapshot:
        config = {"Labels": LABELS, "User": user}
        return with_containers(container("a", Config=config), container("b", Config={"Labels": LABELS}))

    assert changes_told(both(""), both("33")) == ["a user: nothing → 33"]


def test_a_change_of_all_containers_of_a_host_is_reported_once() -> None:
    def host(kernel: str, runtime: str = "runc") -> Snapshot:
        return with_containers(
            container("a", HostConfig=OWN),
            container("b"),
            container("c", HostConfig={"Runtime": runtime}),
            system={"kernel": kernel},
        )

    assert changes_told(host("6.12.5"), host("6.18.5")) == ["* kernel series: 6.12 → 6.18"]
    (found,) = container_changes(host("6.12.5"), host("6.18.5"))
    assert found.profiled == ("a",)
    assert changes_told(host("6.12.5"), host("6.12.9", "runsc")) == ["c runtime: runc 1.1.15+ds1 → runsc"]


def test_containers_in_only_one_of_two_runs_are_not_compared() -> None:
    assert changes_told(with_containers(container("a")), with_containers(container("b", Image=NEXT))) == []


@pytest.mark.parametrize(
    "other",
    [
        make(**{"docker.containers": failed()}),
        make(**{"docker.containers": [{"inspect": None, "proc": None}]}),
        with_containers(container("web", Config=None)),
        with_containers(container("web", HostConfig={"Sysctls": ["a"], "Devices": 7})),
        with_containers(container("web", Config={"Env": {"A": "1"}})),
    ],
)
def test_malformed_containers_are_not_compared(other: Snapshot) -> None:
    good = with_containers(container("web"))
    assert container_changes(good, other) == container_changes(other, good) == ()


@given(hostile_text, hostile_text)
@settings(max_examples=30)
def test_only_names_of_environment_variables_are_shown(name: str, value: str) -> None:
    variable = f"N{name.replace('=', '')}"
    before, after = (
        with_containers(container()),
        with_containers(container(Config={"Env": [f"{variable}=planted{value}"]})),
    )
    (found,) = container_changes(before, after)
    assert "planted" not in repr(found).replace(variable, "")
    assert found.axes[0].texts == ("nothing", variable)


def drift(*hosts: tuple[str, tuple[ContainerChange, ...]]) -> Drift:
    found = Drift()
    for host, each in hosts:
        found.add(assessment(host), assessment(host), containers=each)
    return found


def test_equal_changes_of_containers_are_grouped_and_are_not_drift() -> None:
    one = container_changes(with_containers(container("web")), with_containers(container("web", Image=NEXT)))
    own = container_changes(
        with_containers(container("zoo", HostConfig=OWN)),
        with_containers(container("zoo", HostConfig=OWN, Image=NEXT)),
    )
    found = drift(("a", one), ("b", (*one, *own)))
    assert [(each.change.container, each.hosts) for each in found.container_changes()] == [
        ("zoo", ["b"]),  # whose own profile was made for another image
        ("web", ["a", "b"]),
    ]
    assert (found.is_drift, found.is_complete) == (False, True)


@pytest.mark.parametrize("seed", range(12))
def test_only_differences_of_common_containers_are_reported(seed: int) -> None:
    random = Random(seed)
    names = {"Image": "image digest", "Config": "user", "HostConfig": "read only"}

    def side() -> dict[str, dict[str, Any]]:
        return {
            name: {
                "Image": random.choice((NEXT, ISSUED)),
                "Config": {"User": random.choice(("", "33"))},
                "HostConfig": {"ReadonlyRootfs": random.random() < 0.5},
            }
            for name in "abc"
            if random.random() < 0.8
        }

    old, new = side(), side()
    before, after = (
        with_containers(*(container(name, **each) for name, each in found.items())) for found in (old, new)
    )
    expected = [
        (name, axis)
        for name in sorted(old.keys() & new.keys())
        for key, axis in names.items()
        if old[name][key] != new[name][key]
    ]
    assert [
        (each.container, axis.name) for each in container_changes(before, after) for axis in each.axes
    ] == expected
