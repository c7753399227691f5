from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hardener.snapshot import Snapshot
from tests.unit.roles.conftest import documents_filter
from tests.unit.snapshots import container, failed, make, only

RECORDED = Path(__file__).parents[2] / "fixtures" / "snapshots"
FEDORA = {"os": only({"ID": "rocky", "ID_LIKE": "rhel centos fedora", "VERSION_ID": "9.6"})}
CONFIG = {"SELINUX": "permissive", "SELINUXTYPE": "targeted", "AUTORELABEL": "0"}


def host(
    mode: Any = "permissive",
    *containers: Any,
    config: Any = None,
    parameters: Any = None,
    info: Any = None,
    **sources: Any,
) -> Snapshot:
    """A host of the Red Hat family in that mode; None: SELinux is off."""
    lsm = {
        "active": ["capability", "yama", *(["selinux"] if mode else [])],
        "apparmor": {"enabled": False, "profiles": only({})},
        "selinux": {
            "enabled": mode is not None,
            "mode": mode,
            "policy": "targeted",
            "config": config or CONFIG,
        },
        "boot": {"parameters": only(parameters or {}), "grub": True},
    }
    options = info or {"SecurityOptions": ["name=seccomp,profile=builtin"]}
    changed = {"docker.info": options, "docker.containers": only(list(containers)), **sources}
    return make(system=FEDORA, lsm=lsm, **changed)


def documents(snapshot: Snapshot, **variables: bool) -> dict[str, dict[str, Any]]:
    arguments = {"enforcing": True, "docker": True, **variables}
    return {document["name"]: document for document in documents_filter("selinux")(snapshot.raw, **arguments)}


def written(document: dict[str, Any]) -> dict[str, str]:
    files = [resource for resource in document["resources"] if resource["kind"] == "file"]
    return {resource["path"]: resource["content"] for resource in files}


def test_a_permissive_host_enforces_now_and_at_boot() -> None:
    document = documents(host())["selinux_enforcing"]
    assert document["impact"] == "connectivity"
    text = written(document)["/etc/selinux/config"]
    assert text.splitlines()[1:] == ["SELINUX=enforcing", "SELINUXTYPE=targeted", "AUTORELABEL=0"]
    assert document["activations"] == [{"name": "selinux-enforce", "when": ["/etc/selinux/config"]}]


def test_a_file_that_says_so_already_is_left_as_it_is() -> None:
    document = documents(host("enforcing", config={**CONFIG, "SELINUX": "enforcing"}))["selinux_enforcing"]
    assert (document["impact"], written(document), document["notes"]) == ("none", {}, [])


def test_a_parameter_that_undoes_it_is_said() -> None:
    (note,) = documents(host(parameters={"enforcing": "0"}))["selinux_enforcing"]["notes"]
    assert "enforcing=0" in note


def test_from_off_it_goes_by_way_of_permissive() -> None:
    found = documents(host(None, config={**CONFIG, "SELINUX": "disabled"}))
    assert set(found) == {"selinux_enforcing"}  # the engine's part comes when SELinux is on
    document = found["selinux_enforcing"]
    assert document["impact"] == "reboot"
    files = written(document)
    assert "SELINUX=permissive" in files["/etc/selinux/config"].splitlines()
    assert files["/.autorelabel"] == ""
    assert "activations" not in document


def test_the_engine_labels_containers() -> None:
    document = documents(host("enforcing"))["selinux_docker"]
    assert document["impact"] == "daemon-restart"
    assert document["resources"] == [
        {"kind": "json", "path": "/etc/docker/daemon.json", "keys": {"selinux-enabled": True}}
    ]
    assert document["activations"][0]["expect"] == {"security": ["selinux"]}


def test_containers_that_would_lose_what_they_mount_are_named() -> None:
    document = documents(host("enforcing", container("db"), container("web")))["selinux_docker"]
    assert document["impact"] == "containers-recreate"
    assert document["costs"].endswith("here are db, web")
    labelled = {"SecurityOptions": ["name=seccomp,profile=builtin", "name=selinux"]}
    document = documents(host("enforcing", container("db"), info=labelled))["selinux_docker"]
    assert document["impact"] == "daemon-restart"


def test_the_engines_command_line_is_respected() -> None:
    snapshot = host("enforcing", **{"daemon.config": {"flags": {"selinux-enabled": ["true"]}}})
    assert documents(snapshot)["selinux_docker"]["resources"][0]["keys"] == {}
    snapshot = host("enforcing", **{"daemon.config": {"flags": {"selinux-enabled": ["false"]}}})
    assert "take it out of its unit" in documents(snapshot)["selinux_docker"]["refused"]


def test_a_recorded_debian_with_selinux_goes_from_permissive_to_enforcing() -> None:
    before = documents(Snapshot.load(RECORDED / "debian-13-selinux-permissive.json"))
    impacts = {name: document["impact"] for name, document in before.items()}
    assert impacts == {"selinux_enforcing": "connectivity", "selinux_docker": "containers-recreate"}
    assert before["selinux_docker"]["costs"].endswith("here are web")
    after = documents(Snapshot.load(RECORDED / "debian-13-selinux-enforcing.json"))
    impacts = {name: document["impact"] for name, document in after.items()}
    assert impacts == {"selinux_enforcing": "none", "selinux_docker": "daemon-restart"}
    assert written(after["selinux_enforcing"]) == {}


@pytest.mark.parametrize("release", ["12", "13", "testing"])
def test_a_recorded_debian_has_apparmor_instead(release: str) -> None:
    found = documents(Snapshot.load(RECORDED / f"debian-{release}.json"))
    assert found == {
        "selinux": {
            "name": "selinux",
            "refused": "AppArmor is this host's security module: use the role apparmor",
        }
    }


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (host(None, parameters={"selinux": "0"}), "command line (selinux=0)"),
        (host(None, parameters={"lsm": "yama,bpf"}), "command line (lsm=yama,bpf)"),
        (host(None, config={"SELINUX": "disabled"}), "no policy is installed"),
        (make(lsm={"apparmor": {"enabled": False, "profiles": only({})}}), "selinux-activate"),
        (
            make(
                lsm={
                    "apparmor": {"enabled": False},
                    "selinux": {"enabled": True, "mode": "permissive", "policy": None},
                }
            ),
            "selinux-activate",
        ),
        (make(system={"in_container": True}), "is a container"),
        (make(lsm=failed("timed out")), "lsm could not be read: timed out"),
    ],
)
def test_where_it_cannot_be_had_it_says_why(snapshot: Snapshot, reason: str) -> None:
    assert reason in documents(snapshot)["selinux"]["refused"]


def test_without_an_engine_or_its_variable_the_host_enforces_all_the_same() -> None:
    engineless = make(system=FEDORA, lsm=host().raw["sources"]["lsm"]["data"], engine={"installed": False})
    assert set(documents(engineless)) == {"selinux_enforcing"}
    assert set(documents(host(), docker=False)) == {"selinux_enforcing"}
    assert set(documents(host(), enforcing=False)) == {"selinux_docker"}
