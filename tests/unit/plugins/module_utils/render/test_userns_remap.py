from __future__ import annotations

from typing import Any

import pytest
import yaml

from hardener.snapshot import Snapshot
from tests.unit.plugins.loading import ROLES
from tests.unit.plugins.module_utils.render.rendering import documents_of
from tests.unit.snapshots import container, failed, make, no_engine, only, silent_engine, unread

PREFIX = "userns_remap_"
EMPTY: dict[str, Any] = {
    "docker.info": {"Containers": 0, "ContainersRunning": 0, "Images": 0},
    "docker.containers": only([]),
    "docker.images": only([]),
    "docker.volumes": only([]),
    "docker.networks": only([{"Name": name} for name in ("bridge", "host", "none")]),
}


def document(snapshot: Snapshot, **variables: Any) -> dict[str, Any]:
    defaults = yaml.safe_load((ROLES / "userns_remap/defaults/main.yml").read_text())
    defaults = {key[len(PREFIX) :]: value for key, value in defaults.items()}
    (found,) = documents_of("userns_remap")(snapshot.raw, **{**defaults, **variables})
    assert found["name"] == "userns_remap_enabled"
    return found


def users(
    subuid: list[list[Any]] | None = None,
    subgid: list[list[Any]] | None = None,
    uids: list[int] | None = None,
    gids: list[int] | None = None,
) -> dict[str, Any]:
    """The host's ids; groups like users where nothing is said of them."""
    same = subuid if subgid is None else subgid
    return {
        "subordinate": only({"subuid": subuid or [], "subgid": same or []}),
        "high": only({"uids": uids or [], "gids": gids or []}),
        "remap": only({"user": "dockremap", "subuid": [], "subgid": []}),
    }


def lines(found: dict[str, Any]) -> dict[str, str]:
    return {each["path"]: each["lines"][0] for each in found["resources"] if each["kind"] == "lines"}


def activation(found: dict[str, Any], name: str) -> dict[str, Any]:
    (wanted,) = [each for each in found["activations"] if each["name"] == name]
    return dict(wanted)


def test_an_empty_engine_gets_remapping_with_a_new_id_range() -> None:
    found = document(make(**EMPTY, users=users()))
    assert found["impact"] == "daemon-restart"
    assert found["resources"][-1]["keys"] == {"userns-remap": "default"}
    assert lines(found) == {
        "/etc/subuid": "dockremap:100000:65536",
        "/etc/subgid": "dockremap:100000:65536",
    }
    assert [each["name"] for each in found["activations"]] == ["docker"]
    assert "restarted_by" not in activation(found, "docker")


def test_an_engine_that_never_ran_is_remapped_as_an_empty_one() -> None:
    silent = silent_engine().raw
    silent["sources"]["engine"]["data"]["ever_ran"] = False
    silent["sources"]["daemon.config"]["data"]["parsed"] = {}
    found = document(Snapshot(silent))
    assert found["resources"][-1]["keys"] == {"userns-remap": "default"}


@pytest.mark.parametrize(
    ("taken", "wanted"),
    [
        (users([["a", 100000, 65536], ["b", 165536, 65536]]), 231072),
        (users([["b", 300000, 65536], ["a", 100000, 10]]), 100010),  # the gap between them is wide enough
        (users([["b", 140000, 65536], ["a", 99000, 2000]]), 205536),  # this one is not
        (users(uids=[100005], gids=[100005]), 100006),
    ],
)
def test_a_new_range_does_not_overlap_ranges_or_accounts(taken: dict[str, Any], wanted: int) -> None:
    found = document(make(**EMPTY, users=taken))
    assert lines(found)["/etc/subuid"] == f"dockremap:{wanted}:65536"


def test_id_ranges_of_users_and_groups_are_checked_separately() -> None:
    found = document(make(**EMPTY, users=users([["a", 100000, 65536]], [["a", 100000, 1]])))
    assert lines(found) == {
        "/etc/subuid": "dockremap:165536:65536",
        "/etc/subgid": "dockremap:100001:65536",
    }


def test_an_existing_range_is_used() -> None:
    mine = ["dockremap", 500000, 70000]
    found = document(make(users=users([mine], [["dockremap", 100000, 65536]])), migrate=True)
    assert lines(found) == {}
    move = activation(found, "userns-migrate")
    assert (move["uids"], move["gids"]) == ([500000, 70000], [100000, 65536])


def test_an_id_range_that_names_the_uid_instead_of_the_user_is_used() -> None:
    known = users([["994", 500000, 65536]])
    known["remap"] = only({"user": "dockremap", "subuid": [[500000, 65536]], "subgid": [[500000, 65536]]})
    assert lines(document(make(**EMPTY, users=known))) == {}


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ([["dockremap", 100000, 65536], ["a", 165000, 65536]], "overlaps that of a: choose another range"),
        ([["dockremap", 100000, 65536], ["dockremap", 200000, 65536]], "has 2 ranges in /etc/subuid"),
        ([["dockremap", 100000, 1000]], "has 1000 ids in /etc/subuid; images need 65536"),
    ],
)
def test_an_unusable_range_is_refused(known: list[list[Any]], reason: str) -> None:
    assert reason in document(make(**EMPTY, users=users(known)))["refused"]


def test_exhausted_ids_are_reported() -> None:
    assert "no 65536 ids are left" in document(make(**EMPTY, users=users()), first_id=600_100_000)["refused"]


def test_existing_data_needs_the_impact_data_hidden() -> None:
    found = document(make(users=users()))
    assert found["impact"] == "data-hidden"
    assert "userns_remap_migrate moves them" in found["costs"]
    assert activation(found, "userns-migrate")["leave"] is True
    assert activation(found, "docker")["restarted_by"] == "userns-migrate"


def test_data_is_migrated_on_request() -> None:
    found = document(make(users=users()), migrate=True, user="ns")
    assert found["impact"] == "containers-recreate"
    assert lines(found)["/etc/subuid"] == "ns:100000:65536"
    move = activation(found, "userns-migrate")
    assert (move["leave"], move["uids"]) == (False, [100000, 65536])
    assert activation(found, "docker")["remapped"] == "ns"
    assert activation(found, "account") == {"name": "account", "user": "ns"}


UNFIT = [
    container("agent", HostConfig={"Privileged": True, "PidMode": "host"}),
    container("edge", HostConfig={"NetworkMode": "host"}),
    container("ready", HostConfig={"Privileged": True, "UsernsMode": "host"}),
    container("web"),
]


def test_a_migration_is_refused_with_the_containers_that_cannot_be_remapped() -> None:
    snapshot = make(**{"docker.containers": only(UNFIT)}, users=users())
    reason = document(snapshot, migrate=True)["refused"]
    assert reason.startswith(
        "agent (privileged, processes of the host), edge (network of the host) cannot be"
    )
    assert "userns_remap_exempt" in reason
    assert "refused" in document(snapshot, migrate=True, exempt=["agent"])
    dark = make(**{"docker.containers": only([container("web"), unread()])}, users=users())
    assert document(dark, migrate=True)["refused"].endswith("dark could not be read: timed out")


def test_exempted_containers_are_named_in_the_document() -> None:
    snapshot = make(**{"docker.containers": only(UNFIT)}, users=users())
    found = document(snapshot, migrate=True, exempt=["ag*", "edge"])
    assert activation(found, "userns-migrate")["exempt"] == ["ag*", "edge"]
    assert "agent is recreated in the host's user namespace" in found["notes"]


def test_bind_mounts_are_reported() -> None:
    bound = container("web", Mounts=only([{"Type": "bind", "Source": "/srv/www", "Destination": "/www"}]))
    found = document(make(**{"docker.containers": only([bound])}, users=users()), migrate=True)
    assert found["notes"] == ["web mounts /srv/www of the host, whose owners stay as they are"]


@pytest.mark.parametrize(
    ("sources", "reason"),
    [
        (
            {"docker.containers": only([container("job", HostConfig={"AutoRemove": True})])},
            "job would be removed when they stop (--rm)",
        ),
        (
            {"docker.volumes": only([{"Name": "far", "Driver": "nfs"}])},
            "the volumes far are not of the driver",
        ),
        ({"docker.info": {"Swarm": {"LocalNodeState": "active"}}}, "part of a swarm"),
        (
            {"docker.info": {"DriverStatus": only([["driver-type", "io.containerd.snapshotter.v1"]])}},
            "containerd's store",
        ),
        (
            {"daemon.config": {"parsed": only({"features": {"containerd-snapshotter": True}})}},
            "containerd's store",
        ),
        ({"engine": {"rootless": True}}, "rootless"),
    ],
)
def test_unsupported_hosts_are_refused_with_a_reason(sources: dict[str, Any], reason: str) -> None:
    assert reason in document(make(users=users(), **sources), migrate=True)["refused"]


def test_remapping_is_refused_without_an_engine_or_its_answer() -> None:
    assert "no Docker engine" in document(no_engine())["refused"]
    assert "does not answer" in document(silent_engine())["refused"]


def test_an_engine_that_already_remaps_is_not_changed() -> None:
    snapshot = make(
        **{
            "docker.info": {"SecurityOptions": only(["name=seccomp,profile=builtin", "name=userns"])},
            "daemon.config": {"parsed": {"userns-remap": "somebody"}},
        }
    )
    found = document(snapshot, user="other", migrate=True)
    (resource,) = found["resources"]
    assert (resource["keys"], resource["defaults"]) == ({}, {"userns-remap": "somebody"})
    assert [each["name"] for each in found["activations"]] == ["docker"]


def test_remapping_that_awaits_a_restart_still_needs_the_impact_data_hidden() -> None:
    snapshot = make(**{"daemon.config": {"parsed": {"userns-remap": "default"}}}, users=users())
    assert document(snapshot)["impact"] == "data-hidden"


def test_no_document_is_made_if_remapping_is_disabled_or_set_on_the_command_line() -> None:
    decide = documents_of("userns_remap")
    rest: dict[str, Any] = {
        "user": "default",
        "first_id": 100000,
        "ids": 65536,
        "migrate": False,
        "exempt": [],
    }
    assert decide(make().raw, enabled=False, **rest) == []
    flagged = make(**{"daemon.config": {"flags": {"userns-remap": ["default"]}}})
    assert decide(flagged.raw, enabled=True, **rest) == []


@pytest.mark.parametrize("first", [0, -5, 65535])
def test_a_first_id_among_the_accounts_of_the_host_is_refused(first: int) -> None:
    refused = document(make(**EMPTY, users=users()), first_id=first)["refused"]
    assert f"({first}:65536) begins among the accounts of the host" in refused


def test_an_existing_range_that_overlaps_host_accounts_is_refused() -> None:
    refused = document(make(**EMPTY, users=users([["dockremap", 1000, 65536]])))["refused"]
    assert "(1000:65536) begins among the accounts of the host" in refused


@pytest.mark.parametrize("user", ["", "1000:1000", "a b", "a\nb", "-x", "x" * 33])
def test_an_account_name_must_be_valid(user: str) -> None:
    refused = document(make(**EMPTY, users=users()), user=user)["refused"]
    assert refused == f"userns_remap_user: {user!r} is not the name of an account"


def test_unreadable_id_ranges_are_refused() -> None:
    assert document(make(**EMPTY, users=failed("x")))["refused"] == "users could not be read: x"
