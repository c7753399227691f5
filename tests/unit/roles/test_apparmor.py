from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hardener.snapshot import Snapshot
from tests.unit.roles.conftest import documents_filter
from tests.unit.snapshots import container, failed, make, no_engine, only, silent_engine

RECORDED = Path(__file__).parents[2] / "fixtures" / "snapshots"
UNIT = "apparmor.service"


def document(snapshot: Snapshot) -> dict[str, Any]:
    (found,) = documents_filter("apparmor")(snapshot.raw, enabled=True)
    assert found["name"] == "apparmor_enabled"
    return found


def activations(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    return {activation["name"]: activation for activation in document(snapshot)["activations"]}


def off(*, parameters: dict[str, str] | None = None, grub: bool = True, **lsm: Any) -> Snapshot:
    """A host whose kernel has AppArmor, and was booted without."""
    apparmor = {"enabled": False, "in_kernel": True, "profiles": only({})}
    boot = {"parameters": only(parameters or {"apparmor": "0"}), "grub": grub}
    return make(lsm={"active": ["capability", "yama"], "apparmor": apparmor, "boot": boot, **lsm})


def loaded(mode: Any = "enforce", *containers: Any, **sources: Any) -> Snapshot:
    """A host with AppArmor on, where the engine's profile is in that mode."""
    apparmor = {
        "enabled": True,
        "in_kernel": True,
        "profiles": only({"docker-default": mode} if mode else {}),
    }
    return make(lsm={"apparmor": apparmor}, **{"docker.containers": only(list(containers)), **sources})


@pytest.mark.parametrize("release", ["12", "13", "testing"])
def test_a_recorded_host_needs_nothing(release: str) -> None:
    found = document(Snapshot.load(RECORDED / f"debian-{release}.json"))
    assert (found["impact"], found["notes"]) == ("none", [])


def test_the_unit_loads_the_profiles_and_the_engine_is_asked_for_its_own() -> None:
    found = activations(loaded())
    assert found["units"]["units"] == {UNIT: {"enabled": True, "active": True}}
    assert found["docker"]["expect"] == {"security": ["apparmor"], "profiles": ["docker-default"]}
    assert found["docker"]["config"] == "/etc/docker/daemon.json"


@pytest.mark.parametrize(
    ("snapshot", "impact"),
    [
        (loaded(), "none"),
        (loaded(None), "daemon-restart"),
        (loaded(**{"docker.info": {"SecurityOptions": ["name=seccomp,profile=builtin"]}}), "daemon-restart"),
        (silent_engine(), "none"),
        (no_engine(), "none"),
    ],
)
def test_the_engine_restarts_only_where_it_lacks_something(snapshot: Snapshot, impact: str) -> None:
    assert document(snapshot)["impact"] == impact


@pytest.mark.parametrize("snapshot", [no_engine(), make(engine={"rootless": True})])
def test_without_an_engine_that_uses_it_there_is_only_the_unit(snapshot: Snapshot) -> None:
    assert set(activations(snapshot)) == {"units"}


def running(
    name: str, label: str, *options: str, privileged: bool = False, profile: str = ""
) -> dict[str, Any]:
    host_config = {"SecurityOpt": list(options), "Privileged": privileged}
    return container(name, proc={"label": label}, HostConfig=host_config, AppArmorProfile=profile)


def test_containers_without_the_profile_they_ask_for_are_named() -> None:
    snapshot = loaded(
        "enforce",
        running("confined", "docker-default (enforce)"),
        running("lost", "unconfined"),
        running("declared", "unconfined", profile="docker-default"),
        running("own", "unconfined", "apparmor=site"),
        running("free", "unconfined", "apparmor=unconfined"),
        running("root", "unconfined", privileged=True),
        container("stopped", running=False),
    )
    first, second = document(snapshot)["notes"]
    assert first.startswith(
        "lost, declared run without the profile docker-default that they ask for: restart them"
    )
    assert second.startswith(
        "own run without the profile site that they ask for: load site, and restart them"
    )


def test_a_profile_that_only_complains_is_said() -> None:
    (note,) = document(loaded("complain"))["notes"]
    assert note.startswith("docker-default only complains")


def test_where_it_is_off_grub_puts_it_on_at_the_next_boot() -> None:
    found = document(off())
    assert found["impact"] == "reboot"
    text = found["resources"][1]["content"]
    for variable in ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT"):
        assert f'{variable}="${variable} apparmor=1 security=apparmor"' in text.splitlines()
    activation = activations(off())
    assert activation["boot-parameters"]["parameters"] == ["apparmor=1", "security=apparmor"]
    assert activation["units"]["units"] == {UNIT: {"enabled": True}}  # it would not start yet


def test_a_module_that_the_kernel_took_instead_and_nobody_has_a_policy_for_is_no_obstacle() -> None:
    selinux = {"enabled": True, "mode": "permissive", "policy": None}
    assert document(off(active=["yama", "selinux", "tomoyo"], selinux=selinux))["impact"] == "reboot"


def test_a_list_of_modules_on_the_command_line_is_extended() -> None:
    found = activations(off(parameters={"lsm": "lockdown,yama,selinux"}))
    assert found["boot-parameters"]["parameters"] == ["apparmor=1", "lsm=lockdown,yama,apparmor"]


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (off(grub=False), "add apparmor=1 security=apparmor to the kernel's command line"),
        (
            off(selinux={"enabled": True, "mode": "enforcing", "policy": "targeted"}),
            "SELinux is this host's security module",
        ),
        (off(parameters={"security": "smack"}), "security=smack on the kernel's command line"),
        (off(apparmor={"enabled": False, "in_kernel": False, "profiles": {}}), "built without AppArmor"),
        (make(system={"in_container": True}), "is a container"),
        (make(lsm=failed("Permission denied")), "lsm could not be read: Permission denied"),
    ],
)
def test_where_it_cannot_be_had_it_says_why(snapshot: Snapshot, reason: str) -> None:
    found = document(snapshot)
    assert reason in found["refused"]
    assert "resources" not in found


def test_a_recorded_debian_with_selinux_is_not_asked_to_change_it() -> None:
    found = document(Snapshot.load(RECORDED / "debian-13-selinux-permissive.json"))
    assert found["refused"] == "SELinux is this host's security module: use the role selinux"


def test_switched_off_there_is_nothing() -> None:
    assert documents_filter("apparmor")(make().raw, enabled=False) == []
