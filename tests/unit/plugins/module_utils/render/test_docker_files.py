from __future__ import annotations

from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import Snapshot
from tests.unit.plugins.module_utils.render.rendering import documents_of, verdicts
from tests.unit.snapshots import failed, make, no_engine


def document(snapshot: Snapshot, *, enforce: bool = True) -> dict[str, Any]:
    (found,) = documents_of("docker_files")(snapshot.raw, enforce=enforce)
    return found


def paths(document: dict[str, Any]) -> list[str]:
    return [resource["path"] for resource in document["resources"]]


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


def test_tighter_permissions_are_kept() -> None:
    snapshot = make(files={"/run/docker.sock": {"mode": "0600", "gid": 0, "group": "root"}})
    (socket,) = [entry for entry in document(snapshot)["resources"] if entry["path"] == "/run/docker.sock"]
    assert (socket["group"], socket["at_most"]) == ("", "0660")


def test_the_socket_gets_the_configured_group() -> None:
    snapshot = make(
        units={"docker.socket": {"SocketGroup": "engine"}},
        groups={"engine": {"gid": 998, "members": [], "primary": []}},
    )
    (socket,) = [entry for entry in document(snapshot)["resources"] if entry["path"] == "/run/docker.sock"]
    assert socket["group"] == "engine"


def test_a_drop_in_overrides_an_open_socket_unit() -> None:
    found = document(make(units={"docker.socket": {"SocketMode": "0666", "SocketUser": "eve"}}))
    (drop_in,) = [entry for entry in found["resources"] if entry["kind"] == "file"]
    assert drop_in["content"].endswith("[Socket]\nSocketMode=0660\nSocketUser=root\n")
    assert found["activations"] == [{"name": "systemd-reload", "when": [drop_in["path"]]}]


@pytest.mark.parametrize(
    ("change", "changed", "named"),
    [
        ({"mode": "0755", "uid": 0, "gid": 0}, False, False),
        ({"mode": "0777", "uid": 0, "gid": 0}, True, False),
        ({"mode": "0660", "uid": 0, "gid": 42}, True, False),
        ({"mode": "0700"}, True, False),
        ({"mode": "0640", "uid": 0, "gid": 42}, False, True),
        ({"mode": "4755", "uid": 0, "gid": 0}, False, True),
    ],
)
def test_a_program_of_a_unit_is_changed_if_other_users_can_write_it(
    change: dict[str, Any], changed: bool, named: bool
) -> None:
    units = {"docker.service": {"ExecStartPre": [["/bin/sh", "/opt/pre"]]}}
    found = document(make(units=units, files={"/opt/pre": record(**change)}))
    assert ("/opt/pre" in paths(found)) is changed
    assert any("/opt/pre" in note for note in found["notes"]) is named


def test_a_missing_group_leaves_the_socket_to_root() -> None:
    (socket,) = [
        entry
        for entry in document(make(units={"docker.socket": {"SocketGroup": "gone"}}))["resources"]
        if entry["path"] == "/run/docker.sock"
    ]
    assert socket["group"] == "root"
    unknown = document(make(groups=failed("timed out")))
    (socket,) = [entry for entry in unknown["resources"] if entry["path"] == "/run/docker.sock"]
    assert socket["group"] == ""


def test_files_of_units_and_containerd_get_root_as_owner() -> None:
    snapshot = make(
        units={
            "docker.service": {"EnvironmentFiles": ["/etc/docker-site.env (ignore_errors=yes)"]},
            "containerd.service": {"DropInPaths": ["/etc/systemd/system/containerd.service.d/x.conf"]},
        },
        files={
            path: record()
            for path in (
                "/etc/docker-site.env",
                "/etc/systemd/system/containerd.service.d/x.conf",
                "/etc/containerd/config.toml",
            )
        },
    )
    found = {entry["path"]: entry["at_most"] for entry in document(snapshot)["resources"]}
    for path in ("/etc/docker-site.env", "/etc/containerd/config.toml"):
        assert found[path] == "0644"
    assert "/etc/systemd/system/containerd.service.d/x.conf" in found


def test_certificate_folders_are_restricted_and_dangling_links_are_left_alone() -> None:
    folder = "/etc/docker/certs.d/registry"
    snapshot = make(
        files={
            folder: record(type="dir"),
            f"{folder}/ca.crt": record(mode="0444", uid=0, gid=0),
            f"{folder}/gone.crt": record(type="link", target="/nowhere"),
        }
    )
    found = {entry["path"]: entry["at_most"] for entry in document(snapshot)["resources"]}
    assert found[folder] == "0755"
    assert f"{folder}/gone.crt" not in found
    assert verdicts(snapshot, "file-registry-cert-mode") == {"file-registry-cert-mode": Status.PASS}


def test_a_path_is_normalised_before_its_record_is_looked_up() -> None:
    key = "/etc/docker/tls/key.pem"
    snapshot = make(
        **{
            "daemon.config": {"flags": {"tlsverify": ["true"], "tlskey": ["/etc/docker//tls/./key.pem"]}},
            "files": {key: record(), "/root/.docker/ca.pem": None, "/root/.docker/cert.pem": None},
        }
    )
    (entry,) = [entry for entry in document(snapshot)["resources"] if entry["path"] == key]
    assert entry["at_most"] == "0400"
    assert verdicts(snapshot, "file-tls-key-mode") == {"file-tls-key-mode": Status.FAIL}


def test_folders_of_tls_files_are_tightened_below_etc_docker_only() -> None:
    folders = ("/etc/docker/tls/site", "/etc/docker/tls", "/srv/tls")
    flags = {
        "tlsverify": ["true"],
        "tlskey": ["/etc/docker//tls/site/key.pem"],
        "tlscert": ["/srv/tls/cert.pem"],
    }
    snapshot = make(
        **{"daemon.config": {"flags": flags}, "files": dict.fromkeys(folders, record(type="dir"))},
    )
    found = {entry["path"]: entry["at_most"] for entry in document(snapshot)["resources"]}
    assert {path: found.get(path) for path in folders} == dict(
        zip(folders, ("0755", "0755", None), strict=True)
    )


def test_a_file_of_two_kinds_gets_only_the_tighter_mode() -> None:
    key = "/etc/docker/certs.d/registry/client.cert"
    snapshot = make(
        **{
            "daemon.config": {"flags": {"tlsverify": ["true"], "tlskey": [key]}},
            "files": {key: record(), "/root/.docker/ca.pem": None, "/root/.docker/cert.pem": None},
        }
    )
    assert [entry["at_most"] for entry in document(snapshot)["resources"] if entry["path"] == key] == ["0400"]


def test_an_acl_is_removed_only_where_it_grants_too_much() -> None:
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


def links(**records: dict[str, Any]) -> dict[str, Any]:
    """The document of a host with these files among its certificates."""
    folder = "/etc/docker/certs.d/reg.example:5000"
    return document(
        make(files={f"{folder}/{name.replace('_', '.')}": each for name, each in records.items()})
    )


def test_targets_of_untrusted_links_are_not_changed() -> None:
    why = "/etc/docker/certs.d/reg.example:5000/ca.crt: this symbolic link belongs to uid 1000: remove it"
    loader = record(target="/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", mode="0755", uid=0, gid=0)
    inside = record(target="/etc/docker/certs.d/reg.example:5000/real.crt", untrusted=why)
    for each in ({**loader, "untrusted": why}, inside):
        found = links(ca_crt=each, client_key=record())
        assert [path for path in paths(found) if path.endswith(("ca.crt", "real.crt"))] == []
        assert found["notes"] == [f"no role can repair this here: {why}"]
        assert "/etc/docker/certs.d/reg.example:5000/client.key" in paths(found)
    found = links(**{f"a{number}_crt": inside for number in range(2000)})
    assert len(found["notes"]) == 11
    assert found["notes"][-1] == "no role can repair this here: 1990 more paths"


@pytest.mark.parametrize(
    ("target", "followed"),
    [
        ("/etc/docker/certs.d/shared/ca.crt", True),
        ("/etc/docker/certs.dx/ca.crt", False),
        ("/lib64/ld-linux-x86-64.so.2", False),
        ("/etc/docker/certs.d", False),
    ],
)
def test_links_of_root_are_followed_within_the_certificates(target: str, *, followed: bool) -> None:
    found = links(ca_crt=record(target=target))
    assert any(path.endswith("ca.crt") for path in paths(found)) is followed
    assert bool(found["notes"]) is not followed
    moved = make(
        files={
            "/etc/docker/certs.d": record(type="dir", target="/srv/certs"),
            "/etc/docker/certs.d/reg/ca.crt": record(target="/srv/certs/reg/ca.crt"),
            "/etc/docker/certs.d/reg/out.crt": record(target="/srv/certs.old/ca.crt"),
        }
    )
    assert {"/etc/docker/certs.d", "/etc/docker/certs.d/reg/ca.crt"} <= set(paths(document(moved)))
    assert "/etc/docker/certs.d/reg/out.crt" not in paths(document(moved))


def test_configured_paths_are_changed_if_they_are_links_of_root() -> None:
    files: dict[str, Any] = {
        "/etc/docker/tls/ca.pem": record(target="/etc/letsencrypt/archive/host/chain1.pem")
    }
    config = {"daemon.config": {"flags": {"tlsverify": ["true"], "tlscacert": ["/etc/docker/tls/ca.pem"]}}}
    files |= {"/root/.docker/cert.pem": None, "/root/.docker/key.pem": None}
    assert "/etc/docker/tls/ca.pem" in paths(document(make(**config, files=files)))
    files["/etc/docker/tls/ca.pem"]["untrusted"] = "no"
    assert "/etc/docker/tls/ca.pem" not in paths(document(make(**config, files=files)))


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (no_engine(), "no Docker engine"),
        (make(engine={"rootless": True}), "rootless"),
        (make(files=failed("timed out")), "files could not be read"),
    ],
)
def test_unsupported_hosts_are_refused_with_a_reason(snapshot: Snapshot, reason: str) -> None:
    assert reason in document(snapshot)["refused"]


def test_without_enforcement_the_document_changes_no_file() -> None:
    assert set(document(make(), enforce=False)) == {"name", "notes"}
