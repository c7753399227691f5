"""A twin reaches nothing of the host that its original works with."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record import reach


def twin(**host: Any) -> tuple[dict[str, Any], list[str]]:
    differences: list[str] = []
    unfiltered = host.pop("unfiltered", False)
    return reach.twins(host, differences, unfiltered=unfiltered), differences


def device(path: str, inside: str = "") -> dict[str, str]:
    return {"PathOnHost": path, "PathInContainer": inside or path, "CgroupPermissions": "rwm"}


@pytest.mark.parametrize(
    "path", ["/dev/sdb", "/dev/ttyUSB0", "/dev/disk/by-id/x", "/dev/dri", "/dev/fuse/../sda"]
)
def test_devices_of_the_host_are_not_given_to_the_twin(path: str) -> None:
    found, differences = twin(
        Devices=[device(path, "/dev/data"), device("/dev/fuse"), device("/dev/net/tun")]
    )
    assert [each["PathOnHost"] for each in found["Devices"]] == ["/dev/fuse", "/dev/net/tun"]
    assert differences == ["the twin does not get /dev/data, devices of the host that the original uses"]


def test_devices_from_cgroup_rules_and_device_requests_are_not_given_to_the_twin() -> None:
    found, differences = twin(DeviceCgroupRules=["b 8:* rwm"], DeviceRequests=[{"Driver": "cdi"}])
    assert (found["DeviceCgroupRules"], found["DeviceRequests"]) == (None, None)
    assert len(differences) == 1


def test_the_twin_of_a_privileged_container_has_its_rights_without_devices() -> None:
    found, differences = twin(Privileged=True, SecurityOpt=["apparmor=own"], CapDrop=["MKNOD"])
    assert (found["Privileged"], found["CapAdd"], found["CapDrop"]) == (False, ["ALL"], ["MKNOD"])
    assert found["SecurityOpt"] == ["apparmor=own", "seccomp=unconfined", "label=disable"]
    assert (found["MaskedPaths"], found["ReadonlyPaths"]) == ([], [])
    assert any("no devices of the host" in each for each in differences)


@pytest.mark.parametrize(
    ("option", "lost"), [("apparmor=own", True), ("apparmor:own", True), ("apparmor=unconfined", False)]
)
def test_the_apparmor_profile_that_engines_forget_is_reported(option: str, lost: bool) -> None:
    assert any("29.4" in each for each in twin(Privileged=True, SecurityOpt=[option])[1]) == lost
    assert not any("29.4" in each for each in twin(SecurityOpt=[option])[1])


@pytest.mark.parametrize(("unfiltered", "expected"), [(False, "seccomp={}"), (True, "seccomp=unconfined")])
def test_the_twin_has_a_seccomp_filter_only_if_its_privileged_original_has_one(
    unfiltered: bool, expected: str
) -> None:
    found, _ = twin(Privileged=True, SecurityOpt=["seccomp={}"], unfiltered=unfiltered)
    assert [each for each in found["SecurityOpt"] if each.startswith("seccomp")] == [expected]


def test_access_of_a_twin_to_the_whole_host_is_reported() -> None:
    _, differences = twin(CapAdd=["CAP_SYS_TIME", "NET_ADMIN"])
    assert differences == ["the twin has SYS_TIME, whose use affects the whole host"]
    assert "SYS_MODULE" in twin(CapAdd=["ALL"])[1][0]


def test_a_twin_is_not_in_the_control_group_of_its_original() -> None:
    found, differences = twin(CgroupParent="shop.slice", OomScoreAdj=-900, OomKillDisable=True)
    assert (found["CgroupParent"], found["OomScoreAdj"], found["OomKillDisable"]) == ("", 0, None)
    assert len(differences) == 1
    assert twin(OomScoreAdj=300) == ({**twin()[0], "OomScoreAdj": 300}, [])
