"""A profile in use: the container under it beside the one that was recorded."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import hardener
from hardener.checks.lib.containers import containers
from hardener.errors import HardenerError
from hardener.snapshot import Snapshot
from hardener.terminal.workload_audit import screen
from hardener.workload.audit import audit
from hardener.workload.capabilities import User
from hardener.workload.document import document as as_json
from hardener.workload.use import MadeProfile, Use, made, use
from tests.unit.reports.schemas import validator
from tests.unit.snapshots import make, merge, only
from tests.unit.workload.containers import running
from tests.unit.workload.profile_folders import seccomp_option, write_profile

VALIDATE = validator(
    json.loads((Path(hardener.__file__).parent / "workload-audit.schema.json").read_text(encoding="utf-8"))
)
WORDS = {"entrypoint": [], "command": ["hmac:0123456789abcdef"]}
# The container of the recordings, as an engine shows it.
ORIGINAL: dict[str, Any] = {
    "Image": "sha256:" + "a" * 64,
    "Config": {"User": "", "Entrypoint": ["/entrypoint.sh"], "Cmd": ["serve"], "Env": ["PATH=hmac:1"]},
    "HostConfig": {"PortBindings": {"80/tcp": None}},
    "Mounts": [{"Type": "volume", "Name": "data", "Destination": "/var/lib/data", "RW": True}],
}
SOURCES: dict[str, Any] = {
    "system": {"kernel": "6.12.57", "arch": "x86_64"},
    "docker.version": {"Version": "26.1.5"},
    "docker.info": only({"SecurityOptions": ["name=apparmor"], "DefaultRuntime": "runc"}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made_in = tmp_path_factory.mktemp("profile")
    write_profile(made_in)
    return made_in


def confined(folder: Path) -> dict[str, Any]:
    """What docker makes of the files."""
    found = json.loads((folder / "profile.json").read_text())
    return {
        "HostConfig": {
            "SecurityOpt": [seccomp_option(folder), "apparmor=hardener-web", "no-new-privileges"],
            "CapDrop": ["ALL"],
            "CapAdd": ["CAP_CHOWN"],
            "ReadonlyRootfs": True,
            "Tmpfs": {each["path"]: each["options"] for each in found["root"]["tmpfs"]},
        }
    }


def snapshot(folder: Path, *changes: dict[str, Any], words: Any = WORDS, **sources: Any) -> Snapshot:
    inspect = merge(ORIGINAL, confined(folder))
    for change in changes:
        inspect = merge(inspect, change)
    one = running(**inspect)
    entry = {**one, "words": words} if words else one
    return make_host(entry, **sources)


def make_host(*entries: dict[str, Any], **sources: Any) -> Snapshot:
    return make(**{"docker.containers": list(entries), **SOURCES, **sources})


def found(folder: Path, *changes: dict[str, Any], **more: Any) -> Use | None:
    (one,) = containers(snapshot(folder, *changes, **more))
    return use(one, (made(folder),))


def test_settings_of_the_profile_are_not_reported_as_differences(folder: Path) -> None:
    answer = found(folder)
    assert answer == Use(profile=str(folder), moved=(), unknown=())
    assert confined(folder)["HostConfig"]["Tmpfs"]  # there is something that could differ


CHANGES: dict[str, dict[str, Any]] = {
    "image digest": {"Image": "sha256:" + "b" * 64},
    "user": {"Config": {"User": "33"}},
    "mounts": {"HostConfig": {"Tmpfs": {"/other": ""}}},
    "network mode": {"HostConfig": {"NetworkMode": "host"}},
    "pid mode": {"HostConfig": {"PidMode": "host"}},
    "ipc mode": {"HostConfig": {"IpcMode": "host"}},
    "userns mode": {"HostConfig": {"UsernsMode": "host"}},
    "devices": {"HostConfig": {"Devices": [{"PathInContainer": "/dev/fuse"}]}},
    "sysctls": {"HostConfig": {"Sysctls": {"net.a": "1"}}},
    "environment": {"Config": {"Env": ["PATH=hmac:1", "NEW=hmac:2"]}},
    "published": {"HostConfig": {"PortBindings": {"443/tcp": None}}},
    "entrypoint": {"Config": {"Entrypoint": ["/other.sh"]}},
    "privileged": {"HostConfig": {"Privileged": True}},
    "capabilities added": {"HostConfig": {"CapAdd": ["CHOWN", "SYS_ADMIN"]}},
    "capabilities dropped": {"HostConfig": {"CapDrop": None}},
    "read only": {"HostConfig": {"ReadonlyRootfs": False}},
}
HOSTS: dict[str, dict[str, Any]] = {
    "architecture": {"system": {"kernel": "6.12.57", "arch": "aarch64"}},
    "kernel series": {"system": {"kernel": "6.18.0", "arch": "x86_64"}},
    "engine version": {"docker.version": {"Version": "29.4.0"}},
    "runtime": {
        "docker.version": {"Version": "26.1.5", "Components": [{"Name": "runc", "Version": "1.3.6"}]}
    },
    "user namespaces": {"docker.info": {"SecurityOptions": ["name=apparmor", "name=userns"]}},
}


@pytest.mark.parametrize("axis", CHANGES)
def test_only_the_changed_property_of_the_identity_is_listed(folder: Path, axis: str) -> None:
    answer = found(folder, CHANGES[axis])
    assert answer is not None
    assert [each.name for each in answer.moved] == [axis]


@pytest.mark.parametrize("axis", HOSTS)
def test_a_changed_property_of_the_host_is_listed(folder: Path, axis: str) -> None:
    answer = found(folder, **HOSTS[axis])
    assert answer is not None
    assert [each.name for each in answer.moved] == [axis]


def test_the_user_of_the_profile_is_not_reported_as_a_difference(folder: Path) -> None:
    known = made(folder)
    user = User(uid=100, gid=102, paths=())
    known = replace(known, document=known.document.model_copy(update={"user": user}))
    (one,) = containers(snapshot(folder, {"Config": {"User": "100:102"}}))
    answer = use(one, (known,))
    assert answer is not None
    assert answer.moved == ()


def test_a_changed_command_is_listed(folder: Path) -> None:
    answer = found(folder, words={**WORDS, "command": ["hmac:fedcba9876543210"]})
    assert answer is not None
    assert [each.name for each in answer.moved] == ["command"]


def test_entrypoint_and_command_are_listed_as_unknown_without_the_key_of_the_host(folder: Path) -> None:
    answer = found(folder, {"Config": {"Cmd": ["other"]}}, words=None)
    assert answer is not None
    assert (answer.moved, answer.unknown) == ((), ("entrypoint", "command"))


def test_a_container_under_another_profile_matches_none_of_the_given_profiles(folder: Path) -> None:
    assert found(folder, {"HostConfig": {"SecurityOpt": ["seccomp={}"]}}) is None
    assert found(folder, {"HostConfig": {"SecurityOpt": None}}) is None


def test_without_a_seccomp_profile_the_apparmor_profile_is_matched(tmp_path: Path) -> None:
    write_profile(tmp_path, seccomp=None, read=[])
    known = made(tmp_path)
    assert known.option == ""
    options = ["apparmor=hardener-web", "no-new-privileges:true"]
    own = {"SecurityOpt": options, "CapDrop": ["ALL"], "CapAdd": ["CHOWN"], "ReadonlyRootfs": True}
    (one,) = containers(make_host({**running(**merge(ORIGINAL, {"HostConfig": own})), "words": WORDS}))
    answer = use(one, (known,))
    assert answer is not None
    assert answer.moved == ()


@pytest.mark.parametrize(
    ("more", "less"), [("label=disable", ""), ("", "apparmor=hardener-web"), ("", "no-new-privileges")]
)
def test_other_security_options_than_those_of_the_profile_are_listed(
    folder: Path, more: str, less: str
) -> None:
    options = [*confined(folder)["HostConfig"]["SecurityOpt"], *([more] if more else [])]
    answer = found(folder, {"HostConfig": {"SecurityOpt": [each for each in options if each != less]}})
    assert answer is not None
    assert [each.name for each in answer.moved] == ["security options"]
    assert answer.moved[0].texts == (
        less.replace("privileges", "privileges=true") or "nothing",
        more or "nothing",
    )


def test_a_profile_folder_with_a_changed_file_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "seccomp.json").write_text("{}")
    with pytest.raises(HardenerError, match=r"seccomp\.json was changed"):
        made(tmp_path)


def shown(judged: Snapshot, known: MadeProfile) -> tuple[str, dict[str, Any]]:
    result = audit(judged, host="h", use=partial(use, profiles=(known,)))
    assert not result.error
    stream = io.StringIO()
    for part in screen([result]):
        Console(file=stream, width=140).print(part)
    data = as_json([result])
    VALIDATE(data)
    (one,) = data["hosts"][0]["containers"]
    return stream.getvalue(), one["profile"]


def test_the_audit_shows_whether_a_container_still_matches_its_profile(folder: Path) -> None:
    known = made(folder)
    text, told = shown(snapshot(folder), known)
    assert "its identity is as recorded" in text
    assert told == {"folder": str(folder), "moved": [], "unknown": []}
    text, told = shown(snapshot(folder, CHANGES["user"], words=None), known)
    assert "its identity has changed since the recording" in text
    assert "user: nothing → 33" in text
    assert "not compared: entrypoint, command" in text
    assert told["moved"] == [{"axis": "user", "before": "nothing", "after": "33"}]
    text, told = shown(snapshot(folder, {"HostConfig": {"SecurityOpt": None}}), known)
    assert "Under a profile" not in text
    assert told is None


def test_hostile_values_are_escaped(folder: Path) -> None:
    hostile = "\x1b[2J\u202e[bold]x[/]\n<script>\ud800"
    changes = {
        "Config": {"User": hostile, "Env": [f"{hostile}=planted"]},
        "HostConfig": {"NetworkMode": hostile},
    }
    text, told = shown(snapshot(folder, changes), made(folder))
    assert "planted" not in text + json.dumps(told)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert {each["axis"] for each in told["moved"]} == {"user", "environment", "network mode"}
