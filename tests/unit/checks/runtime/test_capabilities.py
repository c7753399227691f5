from __future__ import annotations

from typing import Any

import pytest

from hardener.checks.lib.capability_sets import CAPABILITIES, DEFAULT
from hardener.model import Status
from hardener.snapshot import FactUnavailable
from tests.unit.checks.judging import Judge
from tests.unit.checks.runtime.cases import broken, held
from tests.unit.snapshots import hardened, with_containers

SLUG = "container-capabilities"
ALL = "000001ffffffffff"


def test_the_default_set_has_14_of_the_41_capabilities() -> None:
    assert len(CAPABILITIES) == 41
    assert len(DEFAULT) == 14
    assert {"NET_RAW", "MKNOD", "CHOWN"} < DEFAULT


@pytest.mark.parametrize(
    ("mask", "detail"),
    [
        (ALL, "has every capability (not declared: "),
        ("0000000000200000", "has SYS_ADMIN (not declared: SYS_ADMIN)"),
        ("4000000000000000", "has 62 (not declared: 62)"),  # a kernel newer than the table
    ],
)
def test_a_running_container_with_undeclared_capabilities_in_its_bounding_set_fails(
    judge: Judge, mask: str, detail: str
) -> None:
    assert broken(judge, SLUG, hardened("bad", proc={"cap_bnd": mask})).startswith(detail)


def test_the_engines_default_set_fails_because_of_raw_sockets(judge: Judge) -> None:
    bad = hardened("bad", proc={"cap_bnd": "00000000a80425fb"}, HostConfig={"CapDrop": None})
    assert broken(judge, SLUG, bad) == "has NET_RAW"


@pytest.mark.parametrize(
    ("config", "detail"),
    [
        ({"Privileged": True}, "has every capability"),
        ({"CapAdd": ["ALL"], "CapDrop": None}, "has every capability"),
        ({"CapAdd": ["all"], "CapDrop": ["CHOWN"]}, "has every capability"),
        ({"CapAdd": None, "CapDrop": None}, "has NET_RAW"),
        ({"CapAdd": ["NET_RAW"], "CapDrop": ["CHOWN"]}, "has NET_RAW"),
        ({"CapAdd": ["CAP_SYS_ADMIN", "net_admin"]}, "has NET_ADMIN, SYS_ADMIN"),
        ({"CapAdd": ["SYS_TIME"], "CapDrop": ["NET_RAW"]}, "has SYS_TIME"),
    ],
)
def test_a_stopped_container_fails_by_its_declared_capabilities(
    judge: Judge, config: dict[str, Any], detail: str
) -> None:
    bad = hardened("bad", running=False, HostConfig=config)
    assert broken(judge, SLUG, bad) == f"{detail} (not running: judged by its configuration)"


@pytest.mark.parametrize(
    "config",
    [{"CapDrop": ["ALL"], "CapAdd": ["CHOWN"]}, {"CapDrop": ["CAP_NET_RAW"]}, {"CapDrop": ["net_raw"]}],
)
def test_the_default_set_without_raw_sockets_passes(judge: Judge, config: dict[str, Any]) -> None:
    held(judge, SLUG, hardened(running=False, HostConfig=config))


def test_a_privileged_container_without_added_capabilities_fails(judge: Judge) -> None:
    bad = hardened("bad", proc={"cap_bnd": ALL}, HostConfig={"Privileged": True, "CapAdd": []})
    assert broken(judge, SLUG, bad) == "has every capability"


@pytest.mark.parametrize("name", ["NET_RAW", "MKNOD"])
def test_a_capability_added_beside_one_of_the_default_set_fails(judge: Judge, name: str) -> None:
    mask = f"{1 << CAPABILITIES.index(name) | 1 << CAPABILITIES.index('SYS_TIME'):016x}"
    bad = hardened("bad", proc={"cap_bnd": mask}, HostConfig={"CapAdd": [name, "SYS_TIME"]})
    assert "SYS_TIME" in broken(judge, SLUG, bad)


class TestCustomSet:
    """All are dropped, and single ones asked for."""

    @pytest.mark.parametrize(
        ("asked", "mask", "said"),
        [
            ([], 0, "keeps 0 of the 14 default capabilities: none"),
            (["CHOWN", "cap_setuid"], 1 | 1 << 7, "keeps 2 of the 14 default capabilities: CHOWN, SETUID"),
            (["NET_RAW"], 1 << 13, "keeps 1 of the 14 default capabilities: NET_RAW"),
        ],
    )
    @pytest.mark.parametrize("running", [True, False])
    def test_a_custom_set_within_the_default_passes(
        self, judge: Judge, asked: list[str], mask: int, said: str, running: bool
    ) -> None:
        config = {"CapDrop": ["ALL"], "CapAdd": asked}
        proc = {"cap_bnd": f"{mask:016x}"} if running else None
        verdict = held(judge, SLUG, hardened("own", running=running, proc=proc, HostConfig=config))
        assert f"container own: {said}" in verdict.evidence

    def test_capabilities_that_were_not_declared_are_reported(self, judge: Judge) -> None:
        config = {"CapDrop": ["ALL"], "CapAdd": ["CHOWN"]}
        bad = hardened("bad", proc={"cap_bnd": f"{1 | 1 << 5:016x}"}, HostConfig=config)
        assert broken(judge, SLUG, bad) == "has KILL (not declared: KILL)"

    def test_a_later_process_with_more_capabilities_is_reported(self, judge: Judge) -> None:
        shell = {"pid": 9, "comm": "sh", "exe": "/bin/sh", "uid": 0, "cap_bnd": ALL, "cap_eff": ALL}
        bad = hardened("bad", proc={"processes": [shell]}, HostConfig={"CapAdd": []})
        assert broken(judge, SLUG, bad).startswith("has every capability (not declared: ")

    def test_capabilities_beyond_the_default_set_pass_only_if_the_policy_allows_them(
        self, judge: Judge
    ) -> None:
        config = {"CapDrop": ["ALL"], "CapAdd": ["CHOWN", "SYS_TIME"]}
        mask = f"{1 | 1 << 25:016x}"
        assert (
            broken(judge, SLUG, hardened("bad", proc={"cap_bnd": mask}, HostConfig=config)) == "has SYS_TIME"
        )
        verdict = held(
            judge,
            SLUG,
            hardened("ntp", proc={"cap_bnd": mask}, HostConfig=config),
            policy={"capabilities": {"ntp": ["CHOWN", "SYS_TIME"]}},
        )
        assert "container ntp: policy lets it keep SYS_TIME" in verdict.evidence

    @pytest.mark.parametrize(
        "config",
        [{"CapDrop": ["ALL"], "CapAdd": ["ALL"]}, {"CapDrop": ["ALL"], "Privileged": True}],
    )
    def test_added_or_privileged_capabilities_override_drop_all(
        self, judge: Judge, config: dict[str, Any]
    ) -> None:
        bad = hardened("bad", proc={"cap_bnd": ALL}, HostConfig=config)
        assert broken(judge, SLUG, bad) == "has every capability"


class TestPolicy:
    def test_the_policy_allows_named_containers_to_keep_named_capabilities(self, judge: Judge) -> None:
        clock = hardened("ntp-1", proc={"cap_bnd": f"{1 << 25:016x}"}, HostConfig={"CapAdd": ["SYS_TIME"]})
        verdict = held(judge, SLUG, clock, policy={"capabilities": {"ntp-*": ["CAP_SYS_TIME"]}})
        assert "container ntp-1: policy lets it keep SYS_TIME" in verdict.evidence
        broken(
            judge,
            SLUG,
            hardened("bad", proc={"cap_bnd": f"{1 << 25:016x}"}),
            policy={"capabilities": {"ntp-*": ["SYS_TIME"]}},
        )

    def test_the_policy_replaces_the_default_set(self, judge: Judge) -> None:
        bad = hardened("bad", proc={"cap_bnd": "0000000000000001"}, HostConfig={"CapAdd": ["CHOWN"]})
        assert broken(judge, SLUG, bad, policy={"capabilities": {"bad": []}}) == "has CHOWN"

    @pytest.mark.parametrize(
        "policy",
        [["SYS_TIME"], {"*": "SYS_TIME"}, {"*": ["ALL"]}, {"*": ["SYS_TIEM"]}, {"*": [3]}, {"*": None}, 7],
    )
    def test_a_policy_of_the_wrong_type_is_an_error(self, judge: Judge, policy: Any) -> None:
        with pytest.raises(FactUnavailable, match="hardener_policy: capabilities"):
            judge(SLUG, with_containers(hardened(), policy={"capabilities": policy}))


@pytest.mark.parametrize("mask", ["", "0x3", "-1", "f" * 1_000_000, None, 3.5, "٣"])
def test_an_invalid_mask_is_an_error(judge: Judge, mask: Any) -> None:
    with pytest.raises(FactUnavailable):
        judge(SLUG, with_containers(hardened(proc={"cap_bnd": mask})))


@pytest.mark.parametrize("names", ["ALL", {"ALL": 1}, [None]])
def test_a_capability_list_of_the_wrong_type_is_an_error(judge: Judge, names: Any) -> None:
    with pytest.raises(FactUnavailable, match="CapAdd"):
        judge(SLUG, with_containers(hardened(HostConfig={"CapAdd": names})))


def test_missing_facts_of_one_container_do_not_hide_a_failure_of_another(judge: Judge) -> None:
    unread = hardened("unread", proc={"cap_bnd": None})
    with pytest.raises(FactUnavailable, match="1 of 2 containers"):
        judge(SLUG, with_containers(hardened(), unread))
    verdict = judge(SLUG, with_containers(hardened("bad", proc={"cap_bnd": ALL}), unread))
    assert verdict.status is Status.FAIL
    assert any("container unread: could not be judged" in fact for fact in verdict.evidence)
