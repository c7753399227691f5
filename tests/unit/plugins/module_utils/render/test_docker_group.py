from __future__ import annotations

from typing import Any

import pytest

from hardener.snapshot import Snapshot
from tests.unit.plugins.module_utils.render.rendering import documents_of
from tests.unit.snapshots import failed, make, no_engine

ENGINES = {"gid": 998, "members": ["eve"], "primary": []}


def document(snapshot: Snapshot, members: Any = None) -> dict[str, Any]:
    (found,) = documents_of("docker_group")(snapshot.raw, members=members)
    return found


def activation(snapshot: Snapshot, members: Any = None) -> dict[str, Any]:
    (found,) = document(snapshot, members)["activations"]
    return dict(found)


def test_the_variable_overrides_the_approved_members_of_the_policy() -> None:
    snapshot = make(policy={"docker_group_members": ["deploy"]})
    assert activation(snapshot) == {
        "name": "group-members",
        "when": [],
        "group": "docker",
        "members": ["deploy"],
    }
    assert activation(snapshot, ["alice"])["members"] == ["alice"]
    assert activation(snapshot, [])["members"] == []


@pytest.mark.parametrize(
    "sources",
    [
        {"units": {"docker.socket": {"SocketGroup": "engines"}}},
        {"units": {"docker.socket": {"SocketGroup": "998"}}},
        {"daemon.config": {"flags": {"host": ["unix:///run/docker.sock"], "group": ["engines"]}}},
        {
            "daemon.config": {
                "flags": {"host": ["unix:///run/x.sock"]},
                "parsed": {"group": "engines"},
                "exists": True,
            }
        },
    ],
)
def test_members_are_checked_in_the_configured_group_of_the_socket(sources: dict[str, Any]) -> None:
    assert activation(make(groups={"engines": ENGINES}, **sources), [])["group"] == "engines"


def test_the_membership_files_are_writable_by_root_only() -> None:
    found = document(make(), [])
    assert found["impact"] == "none"
    assert {entry["path"]: (entry["owner"], entry["at_most"]) for entry in found["resources"]} == {
        "/etc/group": ("root", "0644"),
        "/etc/gshadow": ("root", "0640"),
    }


@pytest.mark.parametrize(
    ("group", "note"),
    [("root", "root is root's"), ("nobody-has-it", "nobody-has-it does not exist")],
)
def test_no_member_is_changed_if_the_sockets_group_is_root_or_missing(group: str, note: str) -> None:
    snapshot = make(
        units={"docker.socket": {"SocketGroup": group}},
        groups={"root": {"gid": 0, "members": ["eve"], "primary": ["root"]}},
    )
    found = document(snapshot, [])
    assert set(found) == {"name", "notes"}
    assert note in found["notes"][0]


@pytest.mark.parametrize(
    ("snapshot", "members", "reason"),
    [
        (make(), None, "the members of the engine's group are not declared"),
        (make(policy={"docker_group_members": "deploy"}), None, "must be a list of user names, not 'deploy'"),
        (make(policy={"docker_group_members": [1]}), None, "must be a list of user names"),
        (no_engine(), [], "no Docker engine"),
        (make(engine={"rootless": True}), [], "rootless"),
        (make(groups=failed("timed out")), [], "groups could not be read"),
    ],
)
def test_undeclared_or_malformed_members_and_unsupported_hosts_are_refused(
    snapshot: Snapshot, members: Any, reason: str
) -> None:
    found = document(snapshot, members)
    assert found["name"] == "docker_group"
    assert reason in found["refused"]


def test_unreadable_units_are_refused() -> None:
    refused = document(make(units=failed("x")), ["alice"])["refused"]
    assert refused == "units could not be read, so the owner of the socket is unknown: x"
