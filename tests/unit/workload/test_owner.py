"""Where a user can take the place of root, which is needed as the owner of files alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from hardener.errors import HardenerError
from hardener.workload.artefacts import artefacts
from hardener.workload.page import sections
from hardener.workload.profile import Why
from tests.unit.workload.made import owned, profile, recorded


def test_root_that_was_needed_only_as_owner_of_files_is_replaced_by_a_user() -> None:
    found = profile(owned())
    assert str(found.user) == "999:998"
    assert found.capabilities == ()
    asked = {
        name
        for name, why in found.calls.items()
        if why in (Why(not_root_reserve=True), Why(not_root_reserve=True, exec_reserve=True))
    }
    assert {"getgid", "setgid", "setuid"} <= asked
    assert not any(why.not_root_reserve for why in profile(owned(), keep_user=True).calls.values())
    files = artefacts(found)
    assert "--user=999:998\n" in files["docker-run.txt"]
    assert "--cap-add" not in files["docker-run.txt"]
    settings = yaml.safe_load(files["compose.override.yaml"])["services"]["web"]
    assert (settings["user"], settings["cap_drop"], settings["cap_add"]) == ("999:998", ["ALL"], [])


KILL = {"name": "CAP_KILL", "call": "kill", "program": "redis", "phases": ["stop"]}
SU = {"path": "/bin/su", "program": "su", "capabilities": ["CAP_CHOWN"], "effective": True}


@pytest.mark.parametrize(
    "data",
    [
        owned(capabilities=[KILL]),
        owned(capabilities=[]),
        owned(file_capabilities=[SU]),
        owned(owners={"/data": {"uid": 5, "gid": 5, "mode": 0o755}}),
        owned(created=["/data/new/x"]),  # whose folder nothing is known of
        owned(created=["/data/x"], owners={"/data": {"uid": 0, "gid": 0, "mode": 0o755}}),
        owned(created=["/etc/x"]),
        owned(identities=[{**recorded()["identities"][0], "uid": 33}]),
        owned(identities=[]),
    ],
)
def test_root_is_kept_if_it_is_needed_for_more_than_ownership_of_files(data: dict[str, Any]) -> None:
    assert profile(data).user is None


def test_root_is_replaced_where_it_has_made_files_in_the_folder_of_another_user() -> None:
    """As redis does, started as root."""
    roots = {"uid": 0, "gid": 0, "mode": 0o755}
    paths = ["/data/aof", "/data/aof/1", "/data/old/new"]
    owners = dict.fromkeys((*paths, "/data/old", "/data/old/kept"), roots)
    data = owned(created=paths, owners=owners)
    data["files"]["written"] = ["/data/old/kept"]
    assert str(profile(data).user) == "999:998"
    data["files"]["created"].append("/data")  # the engine makes the folder of a mount that the image lacks
    assert str(profile(data).user) == "999:998"


@pytest.mark.parametrize(
    ("kind", "target", "path"),
    [
        ("volume", "/data/sub", "/data/sub/x"),
        ("tmpfs", "/data/tmp", "/data/tmp/x"),
        ("bind", "/data/f", "/data/f"),
    ],
)
def test_root_is_kept_for_a_mount_of_root_within_the_volume_of_a_user(
    kind: str, target: str, path: str
) -> None:
    roots = {"uid": 0, "gid": 0, "mode": 0o755}
    data = owned(created=[path] if path != target else [], owners={target: roots})
    data["files"]["written"] += [path] if path == target else []
    data["container"]["mounts"].append({"kind": kind, "target": target, "read_only": False})
    assert profile(data).user is None


def test_root_is_kept_on_request() -> None:
    found = profile(owned(), keep_user=True)
    assert (found.user, found.capabilities) == (None, ("CAP_DAC_OVERRIDE",))
    text = artefacts(found)["profile.json"]
    assert json.loads(text)["declined_user"] == {"uid": 999, "gid": 998, "paths": ["/data", "/data/dump.rdb"]}
    words = [str(word) for section in sections(found) for sentence in section.sentences for word in sentence]
    assert "Root is kept on request; 999:998 would do." in words
    assert any("; with --keep-user" in word for word in words)
    with pytest.raises(HardenerError, match="--keep-user: the profile does not replace root"):
        profile(owned(capabilities=[]), keep_user=True)


def test_a_modified_parent_folder_owned_by_root_does_not_prevent_another_user() -> None:
    """As an engine tells it, they have changed too; only what lies in them matters."""
    data = owned(created=["/data/dump.rdb"], owners={"/": {"uid": 0, "gid": 0, "mode": 0o755}})
    data["container"]["mounts"] = []
    data["files"]["written"] = ["/", "/data"]
    found = profile(data)
    assert str(found.user) == "999:998"
    assert (
        "--tmpfs=/data:rw,nosuid,nodev,size=256m,noexec,mode=0755,uid=999,gid=998\n"
        in artefacts(found)["docker-run.txt"]
    )
