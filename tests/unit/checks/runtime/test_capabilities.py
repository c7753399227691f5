from __future__ import annotations

from typing import Any

import pytest

from hardener.checks.runtime.capabilities import CAPABILITIES, DEFAULT
from hardener.model import Status
from hardener.snapshot import FactUnavailable
from tests.unit.checks.conftest import Judge
from tests.unit.checks.runtime.cases import broken, held
from tests.unit.snapshots import hardened, with_containers

SLUG = "container-capabilities"
ALL = "000001ffffffffff"


def test_the_engine_gives_fourteen_capabilities_of_forty_one() -> None:
    assert len(CAPABILITIES) == 41
    assert len(DEFAULT) == 14
    assert {"NET_RAW", "MKNOD", "CHOWN"} < DEFAULT


@pytest.mark.parametrize(
    ("mask", "detail"),
    [
        (ALL, "has every capability (not declared: "),
        ("00000000a80425fb", "has NET_RAW (not declared: NET_RAW)"),
        ("0000000000200000", "has SYS_ADMIN (not declared: SYS_ADMIN)"),
        ("4000000000000000", "has 62 (not declared: 62)"),  # a kernel newer than the table
    ],
)
def test_a_running_container_is_judged_by_its_bounding_set(judge: Judge, mask: str, detail: str) -> None:
    assert broken(judge, SLUG, hardened("bad", proc={"cap_bnd": mask})).startswith(detail)


@pytest.mark.parametrize(
    ("config", "detail"),
    [
        ({"Privileged": True}, "has every capability"),
        ({"CapAdd": ["ALL"], "CapDrop": None}, "has every capability"),
        ({"CapAdd": ["all"], "CapDrop": ["CHOWN"]}, "has every capability"),
        ({"CapAdd": None, "CapDrop": None}, "has NET_RAW"),
        ({"CapAdd": ["NET_RAW"]}, "has NET_RAW"),
        ({"CapAdd": ["CAP_SYS_ADMIN", "net_admin"]}, "has NET_ADMIN, SYS_ADMIN"),
        ({"CapAdd": ["SYS_TIME"], "CapDrop": ["NET_RAW"]}, "has SYS_TIME"),
    ],
)
def test_a_stopped_container_is_judged_by_what_it_asks_for(
    judge: Judge, config: dict[str, Any], detail: str
) -> None:
    bad = hardened("bad", running=False, HostConfig=config)
    assert broken(judge, SLUG, bad) == f"{detail} (not running: judged by its configuration)"


@pytest.mark.parametrize(
    "config",
    [{"CapDrop": ["ALL"], "CapAdd": ["CHOWN"]}, {"CapDrop": ["CAP_NET_RAW"]}, {"CapDrop": ["net_raw"]}],
)
def test_the_default_set_without_raw_sockets_holds(judge: Judge, config: dict[str, Any]) -> None:
    held(judge, SLUG, hardened(running=False, HostConfig=config))


def test_db_38_a_privileged_container_has_every_capability_with_an_empty_capadd(judge: Judge) -> None:
    bad = hardened("bad", proc={"cap_bnd": ALL}, HostConfig={"Privileged": True, "CapAdd": []})
    assert broken(judge, SLUG, bad) == "has every capability"


@pytest.mark.parametrize("name", ["NET_RAW", "MKNOD"])
def test_db_38_capabilities_are_names_not_text(judge: Judge, name: str) -> None:
    mask = f"{1 << CAPABILITIES.index(name) | 1 << CAPABILITIES.index('SYS_TIME'):016x}"
    bad = hardened("bad", proc={"cap_bnd": mask}, HostConfig={"CapAdd": [name, "SYS_TIME"]})
    assert "SYS_TIME" in broken(judge, SLUG, bad)


class TestPolicy:
    def test_lets_the_containers_it_names_keep_what_it_names(self, judge: Judge) -> None:
        clock = hardened("ntp-1", proc={"cap_bnd": f"{1 << 25:016x}"}, HostConfig={"CapAdd": ["SYS_TIME"]})
        verdict = held(judge, SLUG, clock, policy={"capabilities": {"ntp-*": ["CAP_SYS_TIME"]}})
        assert "container ntp-1: policy lets it keep SYS_TIME" in verdict.evidence
        broken(
            judge,
            SLUG,
            hardened("bad", proc={"cap_bnd": f"{1 << 25:016x}"}),
            policy={"capabilities": {"ntp-*": ["SYS_TIME"]}},
        )

    def test_takes_the_place_of_the_default_set(self, judge: Judge) -> None:
        bad = hardened("bad", proc={"cap_bnd": "0000000000000001"}, HostConfig={"CapAdd": ["CHOWN"]})
        assert broken(judge, SLUG, bad, policy={"capabilities": {"bad": []}}) == "has CHOWN"

    @pytest.mark.parametrize(
        "policy",
        [["SYS_TIME"], {"*": "SYS_TIME"}, {"*": ["ALL"]}, {"*": ["SYS_TIEM"]}, {"*": [3]}, {"*": None}, 7],
    )
    def test_that_says_something_else_is_an_error(self, judge: Judge, policy: Any) -> None:
        with pytest.raises(FactUnavailable, match="hardener_policy: capabilities"):
            judge(SLUG, with_containers(hardened(), policy={"capabilities": policy}))


@pytest.mark.parametrize("mask", ["", "0x3", "-1", "f" * 1_000_000, None, 3.5, "٣"])
def test_a_mask_that_is_none_is_an_error(judge: Judge, mask: Any) -> None:
    with pytest.raises(FactUnavailable):
        judge(SLUG, with_containers(hardened(proc={"cap_bnd": mask})))


@pytest.mark.parametrize("names", ["ALL", {"ALL": 1}, [None]])
def test_a_list_that_is_none_is_an_error(judge: Judge, names: Any) -> None:
    with pytest.raises(FactUnavailable, match="CapAdd"):
        judge(SLUG, with_containers(hardened(HostConfig={"CapAdd": names})))


def test_facts_missing_of_one_container_do_not_hide_another(judge: Judge) -> None:
    unread = hardened("unread", proc={"cap_bnd": None})
    with pytest.raises(FactUnavailable, match="1 of 2 containers"):
        judge(SLUG, with_containers(hardened(), unread))
    verdict = judge(SLUG, with_containers(hardened("bad", proc={"cap_bnd": ALL}), unread))
    assert verdict.status is Status.FAIL
    assert any("container unread: could not be judged" in fact for fact in verdict.evidence)
