from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hardener.snapshot import Snapshot
from tests.unit.plugins.loading import LIBRARY
from tests.unit.plugins.module_utils.render.rendering import documents_of
from tests.unit.snapshots import failed, make, recorded, unread

UNIT = "/etc/systemd/system/hardener-activity.service"
PROFILE = "/etc/apparmor.d/docker-default-audited"


def documents(snapshot: Snapshot, **given: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    variables = {"collector": True, "audited_profile": True, "learn_hours": 24, "socket": ""}
    collector, profile = documents_of("activity")(snapshot.raw, **{**variables, **given})
    assert [collector["name"], profile["name"]] == ["activity_collector", "activity_audited_profile"]
    return collector, profile


def contents(document: dict[str, Any]) -> dict[str, str]:
    return {each["path"]: each.get("content", "") for each in document["resources"] if each["kind"] == "file"}


@pytest.mark.parametrize("release", ["12", "13", "testing"])
def test_the_complete_collector_is_installed_and_started(release: str) -> None:
    collector, _ = documents(recorded(f"debian-{release}"))
    installed = contents(collector)
    for package in ("activity", "host"):
        sources = {path.name for path in (LIBRARY / package).glob("*.py")}
        assert {Path(path).name for path in installed if f"/hardener_host/{package}/" in path} == sources
    assert "/usr/local/lib/hardener/hardener_activity.py" in installed
    command = next(line for line in installed[UNIT].splitlines() if line.startswith("ExecStart="))
    assert command.endswith("--socket=/run/docker.sock --learn-hours=24")
    assert "@" not in command
    units = next(each for each in collector["activations"] if each["name"] == "units")
    assert units["units"] == {"hardener-activity.service": {"enabled": True, "active": True}}


def test_the_collectors_unit_has_minimal_privileges() -> None:
    unit = contents(documents(make())[0])[UNIT].splitlines()
    assert "CapabilityBoundingSet=CAP_AUDIT_READ" in unit
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes", "MemoryMax=128M"):
        assert line in unit


def test_by_default_an_installed_collector_is_removed() -> None:
    collector, profile = documents(make(), collector=False, audited_profile=False)
    assert {each["kind"] for document in (collector, profile) for each in document["resources"]} == {"absent"}
    assert UNIT in [each["path"] for each in collector["resources"]]
    assert [each["path"] for each in profile["resources"]] == [PROFILE]


def test_the_audited_apparmor_profile_records_every_denial() -> None:
    _, profile = documents(make())
    rules = [line.strip() for line in contents(profile)[PROFILE].splitlines() if "deny" in line]
    rules = [rule for rule in rules if not rule.startswith("#")]
    assert len(rules) > 10
    assert all(rule.startswith("audit deny ") for rule in rules)
    assert profile["activations"][0]["profiles"] == {PROFILE: "docker-default-audited"}


@pytest.mark.parametrize(
    ("snapshot", "given", "reason"),
    [
        (make(system={"in_container": True}), {}, "this host is a container"),
        (make(system={"in_init_userns": False}), {}, "this host is a container"),
        (make(system=failed("gone")), {}, "system could not be read: gone"),
        (make(), {"socket": "/run/a b"}, "is not a path that a unit can name"),
        (make(), {"socket": "/run/%n"}, "is not a path that a unit can name"),
        (make(), {"socket": "/run/x\nExecStartPre=/bin/sh"}, "is not a path that a unit can name"),
        (make(), {"learn_hours": -1}, "activity_learn_hours is -1"),
    ],
)
def test_unsupported_hosts_and_settings_are_refused(
    snapshot: Snapshot, given: dict[str, Any], reason: str
) -> None:
    collector, _ = documents(snapshot, **given)
    assert reason in collector["refused"]


def test_without_apparmor_there_is_no_audited_apparmor_profile() -> None:
    _, profile = documents(make(lsm={"apparmor": {"enabled": False}}))
    assert "AppArmor is off on this host" in profile["refused"]


@pytest.mark.parametrize(
    "inspect",
    [
        {"Name": "/web", "AppArmorProfile": "docker-default-audited"},
        {"Name": "/web", "HostConfig": {"SecurityOpt": ["apparmor=docker-default-audited"]}},
        {"Name": "/web", "HostConfig": {"SecurityOpt": ["apparmor:docker-default-audited"]}},
    ],
)
def test_the_audited_apparmor_profile_is_kept_while_a_container_needs_it(inspect: dict[str, Any]) -> None:
    used = make(**{"docker.containers": [{"inspect": inspect, "proc": None}]})
    collector, profile = documents(used, collector=False, audited_profile=False)
    assert "web would not start after the next boot" in profile["refused"]
    assert "refused" not in collector


def test_the_audited_apparmor_profile_is_removed_when_no_container_uses_it() -> None:
    other = {"Name": "/web", "AppArmorProfile": "docker-default", "HostConfig": {"SecurityOpt": None}}
    unused = make(**{"docker.containers": [{"inspect": other, "proc": None}]})
    _, profile = documents(unused, collector=False, audited_profile=False)
    assert [each["path"] for each in profile["resources"]] == [PROFILE]


def test_the_audited_apparmor_profile_is_kept_while_its_users_are_unknown() -> None:
    lsm = {"apparmor": {"profiles": {"docker-default-audited": "enforce"}}}
    _, profile = documents(make(lsm=lsm, **{"docker.containers": failed("x")}), audited_profile=False)
    assert profile["refused"].endswith("it is unknown which containers need it: x")
    _, profile = documents(make(lsm=lsm, **{"docker.containers": [unread()]}), audited_profile=False)
    assert profile["refused"].endswith("which containers need it: dark could not be read: timed out")
    _, profile = documents(make(**{"docker.containers": failed("x")}), audited_profile=False)
    assert profile["resources"] == [{"kind": "absent", "path": PROFILE}]
