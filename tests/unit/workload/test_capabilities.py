"""Which capabilities a profile keeps, and for what."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from hardener.errors import HardenerError
from hardener.reports.profile_page import markdown
from hardener.workload.artefacts import artefacts
from hardener.workload.page import sections
from hardener.workload.profile_document import PARTS, Why
from tests.unit.workload.engines import CAPABILITIES
from tests.unit.workload.made import owned, part, profile, recorded


@pytest.mark.parametrize("name", ["CAP_SETUID", "setuid"])
def test_a_capability_is_dropped_on_request(name: str) -> None:
    used = [
        {"name": each, "call": each[4:].lower(), "program": "nginx", "phases": ["serve"]}
        for each in ("CAP_SETUID", "CAP_SETGID")
    ]
    found = profile(recorded(capabilities=used), drop=[name])
    assert found.document.capabilities.kept == ("CAP_SETGID",)
    files = artefacts(found.document)
    assert "--cap-add=SETGID" in files["docker-run.txt"]
    assert "SETUID" not in files["docker-run.txt"] + files["compose.override.yaml"]
    assert json.loads(files["profile.json"])["capabilities"]["dropped_on_request"] == ["CAP_SETUID"]
    page = markdown(sections(found))
    assert (
        "- `CAP_SETUID`: the kernel checked it: `nginx` in `setuid` in serve (1 of 1); dropped, on request"
        in page
    )
    assert "; with --drop CAP_SETUID." in page


def test_a_capability_that_is_not_kept_cannot_be_dropped() -> None:
    message = "cannot leave out CAP_SYS_TIME: the profile does not keep it; it keeps"
    with pytest.raises(HardenerError, match=f"{message} CAP_CHOWN"):
        profile(recorded(), drop=["SYS_TIME"])
    with pytest.raises(HardenerError, match=f"{message} nothing of this kind"):
        profile(recorded(capabilities=[]), drop=["SYS_TIME"])
    with pytest.raises(HardenerError, match="cannot leave out writable root: the profile does not keep it"):
        profile(recorded(), drop=["writable root"])


def test_a_writable_root_and_gained_privileges_are_left_out_on_request() -> None:
    data = recorded(files__created=["/etc/x"], setuid=[{"path": "/bin/su", "uid": 0, "gid": None}])
    kept, found = profile(data), profile(data, drop=PARTS)
    assert not kept.document.root.read_only
    assert not kept.document.privileges.no_new_privileges
    files = artefacts(found.document)
    assert "--read-only\n" in files["docker-run.txt"]
    assert "no-new-privileges=true\n" in files["docker-run.txt"]
    page = markdown(sections(found))
    assert "; read-only on request" in page
    assert "no-new-privileges is set on request: these programs gain no privileges." in page
    assert "; with --drop 'gaining privileges'; with --drop 'writable root'." in page
    documents = [each.document for each in (kept, found)]
    assert [each.dropped for each in documents] == [frozenset(), frozenset(PARTS)]


@pytest.mark.parametrize(
    ("asked", "needed"),
    [
        (sorted(CAPABILITIES), set()),  # setpriv: what it has
        (["CAP_CHOWN", "CAP_SETUID"], {"CAP_CHOWN", "CAP_SETUID"}),  # dnsmasq: what it wants to keep
        ([*sorted(CAPABILITIES), "CAP_SYS_ADMIN"], set()),
        ([], set()),
    ],
)
def test_a_program_needs_the_capabilities_that_it_chooses_among_its_own(
    asked: list[str], needed: set[str]
) -> None:
    use = {"program": "x", "effective": asked, "permitted": asked, "inheritable": []}
    assert set(profile(recorded(capabilities=[], capset=[use])).document.capabilities.kept) == needed


def test_capabilities_are_kept_with_their_reasons() -> None:
    found = profile(
        recorded(
            capabilities=[
                {"name": "CAP_SETUID", "call": "setuid", "program": "nginx", "phases": ["start-empty"]},
                {"name": "CAP_SYS_TIME", "call": "settimeofday", "program": "x", "phases": []},
            ],
            file_capabilities=[
                {"path": "/bin/ping", "program": "ping", "capabilities": ["CAP_NET_RAW"], "effective": True}
            ],
            capset=[
                {
                    "program": "dnsmasq",
                    "effective": ["CAP_NET_BIND_SERVICE"],
                    "permitted": ["CAP_NET_BIND_SERVICE", "CAP_NET_ADMIN"],
                    "inheritable": [],
                }
            ],
        )
    )
    # Neither SYS_TIME nor NET_ADMIN was ever given to it.
    assert found.document.capabilities.kept == ("CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETUID")
    assert [(need.capability, need.kind, need.program) for need in found.document.capabilities.needs] == [
        ("CAP_NET_BIND_SERVICE", "capset", "dnsmasq"),
        ("CAP_NET_RAW", "file", "/bin/ping"),
        ("CAP_SETUID", "check", "nginx"),
    ]
    assert not found.document.privileges.no_new_privileges
    assert [(each.path, each.kind) for each in found.document.privileges.hurdles] == [
        ("/bin/ping", "file capabilities")
    ]


@pytest.mark.parametrize(
    ("added", "dropped", "privileged", "expected"),
    [
        ([], [], False, CAPABILITIES),
        (["net_admin"], ["CAP_CHOWN"], False, CAPABILITIES - {"CAP_CHOWN"} | {"CAP_NET_ADMIN"}),
        (["CHOWN"], ["ALL"], False, {"CAP_CHOWN"}),
        ([], ["all"], False, set()),
        ([], [], True, set()),
    ],
)
def test_capabilities_are_derived_from_the_configuration_if_none_were_observed(
    added: list[str], dropped: list[str], privileged: bool, expected: set[str]
) -> None:
    data = recorded(identities=[], container__capabilities_added=added)
    data["container"] |= {"capabilities_dropped": dropped, "privileged": privileged}
    had = profile(data).document.capabilities.had
    assert len(had) == 41 if privileged else set(had) == expected


def test_root_that_was_needed_only_as_owner_of_files_is_replaced_by_a_user() -> None:
    found = profile(owned())
    assert str(found.document.user) == "999:998"
    assert found.document.capabilities.kept == ()
    asked = {
        name
        for name, why in part(found).calls.items()
        if why in (Why(not_root_reserve=True), Why(not_root_reserve=True, exec_reserve=True))
    }
    assert {"getgid", "setgid", "setuid"} <= asked
    kept = part(profile(owned(), keep_user=True)).calls
    assert not any(why.not_root_reserve for why in kept.values())
    files = artefacts(found.document)
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
    assert profile(data).document.user is None


def test_root_is_replaced_where_it_has_made_files_in_the_folder_of_another_user() -> None:
    """As redis does, started as root."""
    roots = {"uid": 0, "gid": 0, "mode": 0o755}
    paths = ["/data/aof", "/data/aof/1", "/data/old/new"]
    owners = dict.fromkeys((*paths, "/data/old", "/data/old/kept"), roots)
    data = owned(created=paths, owners=owners)
    data["files"]["written"] = ["/data/old/kept"]
    assert str(profile(data).document.user) == "999:998"
    data["files"]["created"].append("/data")  # the engine makes the folder of a mount that the image lacks
    assert str(profile(data).document.user) == "999:998"


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
    assert profile(data).document.user is None


def test_root_is_kept_on_request() -> None:
    found = profile(owned(), keep_user=True)
    assert (found.document.user, found.document.capabilities.kept) == (None, ("CAP_DAC_OVERRIDE",))
    text = artefacts(found.document)["profile.json"]
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
    assert str(found.document.user) == "999:998"
    assert (
        "--tmpfs=/data:rw,nosuid,nodev,size=256m,noexec,mode=0755,uid=999,gid=998\n"
        in artefacts(found.document)["docker-run.txt"]
    )
