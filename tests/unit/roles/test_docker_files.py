from __future__ import annotations

from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import Snapshot
from tests.unit.roles.conftest import documents_filter, verdicts
from tests.unit.snapshots import failed, make, no_engine


def document(snapshot: Snapshot, *, enforce: bool = True) -> dict[str, Any]:
    (found,) = documents_filter("docker_files")(snapshot.raw, enforce=enforce)
    return found


def record(**fields: Any) -> dict[str, Any]:
    base = {
        "type": "file",
        "mode": "0777",
        "uid": 1000,
        "gid": 1000,
        "owner": "eve",
        "group": "eve",
        "acl": [],
    }
    return {**base, "target": None, **fields}


EVERYTHING_LOOSE: dict[str, Any] = {
    "daemon.config": {
        "flags": {
            "host": ["fd://", "tcp://0.0.0.0:2376"],
            "tlsverify": ["true"],
            "tlscacert": ["/etc/docker/tls/ca.pem"],
        },
        "parsed": {"tlscert": "/etc/docker/tls/cert.pem"},
        "exists": True,
    },
    "files": {
        path: record()
        for path in (
            "/usr/lib/systemd/system/docker.service",
            "/usr/lib/systemd/system/docker.socket",
            "/etc/docker/daemon.json",
            "/etc/docker/certs.d/registry:5000/ca.crt",
            "/etc/docker/certs.d/registry:5000/client.key",
            "/etc/docker/tls/ca.pem",
            "/etc/docker/tls/cert.pem",
            "/root/.docker/key.pem",
            "/etc/default/docker",
            "/etc/sysconfig/docker",
        )
    }
    | {
        "/etc/docker": record(type="dir"),
        "/run/docker.sock": record(type="socket", mode="0666"),
        "/run/containerd/containerd.sock": record(type="socket"),
    },
}


def applied(snapshot: Snapshot, document: dict[str, Any]) -> Snapshot:
    """The snapshot after the document was converged, as far as attributes go."""
    files = {}
    names = {"root": 0, "docker": 103}
    for resource in document["resources"]:
        before = snapshot.file(resource["path"])
        assert before is not None
        mode = int(before["mode"], 8) & int(resource["at_most"], 8)
        files[resource["path"]] = {
            "mode": f"{mode:04o}",
            "uid": 0,
            "owner": "root",
            "gid": names.get(resource["group"], before["gid"]),
            "group": resource["group"] or before["group"],
            "acl": [] if resource["remove_acl"] else before["acl"],
        }
    return make(**{**EVERYTHING_LOOSE, "files": _merged(EVERYTHING_LOOSE["files"], files)})


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {key: {**one.get(key, {}), **other.get(key, {})} for key in {*one, *other}}


def test_whatever_was_loose_passes_afterwards() -> None:
    before = make(**EVERYTHING_LOOSE)
    failing = {slug for slug, status in verdicts(before, "file-").items() if status is Status.FAIL}
    assert len(failing) == 24
    after = applied(before, document(before))
    assert set(verdicts(after, "file-").values()) == {Status.PASS}


def test_what_is_tighter_stays_and_roots_group_is_good_enough() -> None:
    snapshot = make(files={"/run/docker.sock": {"mode": "0600", "gid": 0, "group": "root"}})
    (socket,) = [entry for entry in document(snapshot)["resources"] if entry["path"] == "/run/docker.sock"]
    assert (socket["group"], socket["at_most"]) == ("", "0660")


def test_the_sockets_group_is_the_one_the_configuration_names() -> None:
    snapshot = make(
        units={"docker.socket": {"SocketGroup": "engine"}},
        groups={"engine": {"gid": 998, "members": [], "primary": []}},
    )
    (socket,) = [entry for entry in document(snapshot)["resources"] if entry["path"] == "/run/docker.sock"]
    assert socket["group"] == "engine"


def test_a_socket_unit_that_opens_it_to_all_is_overruled_by_a_drop_in() -> None:
    found = document(make(units={"docker.socket": {"SocketMode": "0666", "SocketUser": "eve"}}))
    (drop_in,) = [entry for entry in found["resources"] if entry["kind"] == "file"]
    assert drop_in["content"].endswith("[Socket]\nSocketMode=0660\nSocketUser=root\n")
    assert found["activations"] == [{"name": "systemd-reload", "when": [drop_in["path"]]}]


def test_an_acl_goes_only_where_it_gives_more_than_everybody_may_have() -> None:
    def acl(perms: str) -> list[dict[str, Any]]:
        return [
            {"tag": "user", "id": 1000, "name": "eve", "perms": perms},
            {"tag": "mask", "id": None, "perms": "rwx"},
        ]

    for perms, removed in (("rw-", True), ("r--", False)):
        snapshot = make(files={"/etc/default/docker": {"acl": acl(perms)}})
        (entry,) = [
            entry for entry in document(snapshot)["resources"] if entry["path"] == "/etc/default/docker"
        ]
        assert entry["remove_acl"] is removed


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (no_engine(), "no Docker engine"),
        (make(engine={"rootless": True}), "rootless"),
        (make(files=failed("timed out")), "files could not be read"),
    ],
)
def test_where_it_can_do_nothing_it_says_why(snapshot: Snapshot, reason: str) -> None:
    assert reason in document(snapshot)["refused"]


def test_switched_off_it_changes_nothing() -> None:
    assert set(document(make(), enforce=False)) == {"name", "notes"}
