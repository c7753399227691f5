from __future__ import annotations

from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import Snapshot
from tests.unit.roles.conftest import documents_filter, verdicts
from tests.unit.snapshots import absent, failed, make, no_engine, only


def document(snapshot: Snapshot, **variables: Any) -> dict[str, Any]:
    variables = {"enabled": True, "backlog": 8192, "exclude": [], **variables}
    (found,) = documents_filter("audit_rules")(snapshot.raw, **variables)
    return found


def rules(snapshot: Snapshot, **variables: Any) -> list[str]:
    (activation,) = document(snapshot, **variables)["activations"]
    return list(activation["rules"])


def written(document: dict[str, Any]) -> dict[str, str]:
    return {resource["path"]: resource["content"] for resource in document["resources"]}


DROP_IN = "/etc/systemd/system/docker.socket.d/mode.conf"
HOSTS: dict[str, dict[str, Any]] = {
    "as the package made it": {},
    "data root elsewhere and remapped": {"docker.info": {"DockerRootDir": "/srv/docker/100000.100000"}},
    "configuration elsewhere": {
        "daemon.config": {"path": "/opt/d.json"},
        "files": {"/opt/d.json": {"type": "file", "mode": "0644", "uid": 0, "gid": 0, "target": None}},
    },
    "a drop-in": {
        "units": {"docker.socket": {"LoadState": "loaded", "DropInPaths": [DROP_IN]}},
        "files": {DROP_IN: {"type": "file", "mode": "0644", "uid": 0, "gid": 0, "target": None}},
    },
}


@pytest.mark.parametrize("sources", HOSTS.values(), ids=HOSTS)
def test_with_these_rules_loaded_every_audit_control_passes(sources: dict[str, Any]) -> None:
    before = make(**sources)
    lines = rules(before)
    after = make(
        **sources,
        **{
            "audit.loaded": only({"rules": lines, "status": {"enabled": 1, "failure": 1, "pid": 1}}),
            "audit.persistent": only(
                [{"file": "/etc/audit/rules.d/50-hardener-docker.rules", "lines": lines}]
            ),
        },
    )
    found = verdicts(after, "audit-")
    assert len(found) > 10
    assert set(found.values()) <= {Status.PASS, Status.NOT_APPLICABLE}
    assert rules(after) == lines


def test_another_drop_in_would_be_recorded_too() -> None:
    text = "\n".join(rules(make(**HOSTS["a drop-in"])))
    assert "-F dir=/etc/systemd/system/docker.socket.d -F perm=wa " in text
    assert DROP_IN not in text


def test_the_paths_are_this_hosts_and_no_path_is_watched_twice() -> None:
    lines = rules(make(engine={"binaries": {"dockerd": "/opt/bin/dockerd", "containerd-shim": None}}))
    text = "\n".join(lines)
    assert "path=/opt/bin/dockerd -F perm=wax" in text
    assert "containerd-shim " not in text
    assert "daemon.json" not in text  # the rule for /etc/docker covers it
    assert "containerd.sock" not in text
    assert len(lines) == len(set(lines))


def test_the_folder_of_a_rule_exists_when_the_rules_are_loaded_at_boot() -> None:
    files = written(document(make()))
    assert "d /run/containerd 0711 root root -" in files["/etc/tmpfiles.d/hardener-containerd.conf"]


def test_the_limits_are_read_first_so_that_the_sites_own_count() -> None:
    files = written(document(make(), backlog=16384))
    (limits,) = [path for path in files if "limits" in path]
    assert files[limits].endswith("-b 16384\n-f 1\n")
    assert sorted(files)[0] == limits


def test_an_excluded_folder_comes_before_the_rule_that_covers_it() -> None:
    lines = rules(make(), exclude=["/var/lib/docker/volumes/mail"])
    assert lines[0] == "-a never,exit -F arch=b64 -F dir=/var/lib/docker/volumes/mail -F key=docker"


def test_a_path_that_no_rule_can_name_is_said_and_left_out() -> None:
    found = document(make(**{"docker.info": {"DockerRootDir": "/srv/my docker\n-D"}}))
    assert "is not watched: an audit rule cannot name it" in found["notes"][0]
    assert "-D" not in written(found)["/etc/audit/rules.d/50-hardener-docker.rules"]


def test_a_folder_that_is_not_there_yet_must_not_stop_the_loading_of_all() -> None:
    found = document(make(**{"docker.info": absent(), "files": {"/var/lib/docker": None}}))
    assert "'/var/lib/docker' is not watched: it is not there yet" in found["notes"][0]
    assert "/var/lib/docker " not in written(found)["/etc/audit/rules.d/50-hardener-docker.rules"]


def test_a_data_root_behind_a_link_is_watched_where_it_is() -> None:
    snapshot = make(**{"docker.info": absent(), "files": {"/var/lib/docker": {"target": "/srv/docker"}}})
    assert any("dir=/srv/docker " in line for line in rules(snapshot))


def test_folders_below_run_are_made_before_the_rules_are_loaded() -> None:
    snapshot = make(
        engine={"containerd_socket": "/run/docker/containerd/containerd.sock"},
        files={
            "/run/docker/containerd": {"type": "dir", "mode": "0711", "target": None},
            "/run/docker/containerd/containerd.sock": {"type": "socket", "mode": "0660", "target": None},
        },
    )
    lines = written(document(snapshot))["/etc/tmpfiles.d/hardener-containerd.conf"].splitlines()
    assert lines[1:] == [
        "d /run/containerd 0711 root root -",
        "d /run/docker 0700 root root -",
        "d /run/docker/containerd 0711 root root -",
    ]


def test_what_lies_in_a_users_session_cannot_be_watched_from_boot_on() -> None:
    path = "/run/user/1000/docker.sock"
    snapshot = make(
        engine={"socket": path, "rootless": True},
        files={path: {"type": "socket", "mode": "0660", "uid": 1000, "target": None}},
    )
    found = document(snapshot)
    assert any(note.startswith(f"'{path}' is not watched") for note in found["notes"])
    assert path not in written(found)["/etc/audit/rules.d/50-hardener-docker.rules"]


def test_what_the_units_read_is_watched() -> None:
    path = "/etc/docker-site.env"
    snapshot = make(
        units={"docker.service": {"EnvironmentFiles": [f"{path} (ignore_errors=no)"]}},
        files={path: {"type": "file", "mode": "0644", "uid": 0, "gid": 0, "target": None}},
    )
    assert any(f"path={path} " in line for line in rules(snapshot))


def test_a_32_bit_machine_has_its_own_system_calls() -> None:
    assert all("-F arch=b32" in line for line in rules(make(system={"arch": "armv7l"})))


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (no_engine(), "no Docker engine"),
        (make(**{"audit.loaded": failed("audit support not in kernel")}), "cannot be used here"),
        (make(system={"in_container": True}), "is a container"),
        (make(files=failed("timed out")), "files could not be read: timed out"),
    ],
)
def test_where_there_can_be_no_rules_it_says_why(snapshot: Snapshot, reason: str) -> None:
    found = document(snapshot)
    assert reason in found["refused"]
    assert "resources" not in found


def test_an_audit_daemon_that_is_not_installed_yet_changes_no_rule() -> None:
    assert rules(make(**{"audit.loaded": absent()})) == rules(make())


def test_switched_off_it_writes_nothing() -> None:
    assert set(document(make(), enabled=False)) == {"name", "notes"}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/etc",
        "~/x",
        "/var/lib/docker",
        "/var/lib/docker/my data",
        "/var/lib/docker/x\n-D",
        "/var/lib/docker/../x",
    ],
)
def test_what_is_excluded_is_below_the_data_root_and_one_rule(path: str) -> None:
    refused = document(make(), exclude=["/var/lib/docker/volumes/mail", path])["refused"]
    assert refused.startswith(f"audit_rules_exclude: {path!r} is no path below /var/lib/docker")


def test_a_backlog_is_no_negative_number() -> None:
    assert document(make(), backlog=-1)["refused"].startswith("audit_rules_backlog is -1")


def test_units_that_could_not_be_read_are_not_units_that_are_not_there() -> None:
    assert document(make(units=failed("x")))["refused"] == "units could not be read: x"
