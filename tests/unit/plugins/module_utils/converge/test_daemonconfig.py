from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import (
    daemonconfig,
    files,
    system,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.daemonconfig import TemporaryKeys
from ansible_collections.hardener.docker.plugins.module_utils.converge.engine import Engine
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.serving import Served
from ansible_collections.hardener.docker.plugins.module_utils.converge.system import Outcome
from ansible_collections.hardener.docker.plugins.module_utils.host import atomic

from tests.unit.plugins.module_utils.converge.host import Host

INFO: dict[str, Any] = {
    "ServerVersion": "26.1.5+dfsg1",
    "Swarm": {"LocalNodeState": "inactive"},
    "Plugins": {"Log": ["json-file", "local", "syslog", "journald", "gelf", "fluentd"]},
    "CgroupDriver": "systemd",
    "Runtimes": {"runc": {}, "io.containerd.runc.v2": {}},
    "Containers": 0,
    "Images": 0,
}


class Asked(Engine):
    """An engine that answers from a dictionary."""

    def __init__(self, **answers: Any) -> None:
        super().__init__("/nowhere")
        self.answers = answers

    def get(self, path: str, query: Any = None, *, seconds: float = 0) -> Any:
        return self.answers.get(path.strip("/"), [])


def check(
    config: Any,
    *,
    before: Any = None,
    info: dict[str, Any] | None = None,
    flags: dict[str, list[str]] | None = None,
    **answers: Any,
) -> None:
    answers.setdefault("volumes", {"Volumes": []})
    daemonconfig.refuse_bad(
        json.dumps(config).encode(),
        json.dumps(before or {}).encode(),
        Served("/etc/docker/daemon.json", "/nowhere", flags=flags or {}),
        info={**INFO, **(info or {})},
        engine=Asked(**answers),
        read=lambda path: files.read(path).content,
    )


GOOD: list[dict[str, Any]] = [
    {"icc": False, "live-restore": True, "log-driver": "none", "default-network-opts": {}},
    {"log-opts": {"max-size": "10m", "labels": "a", "mode": "non-blocking"}},
    {"seccomp-profile": "builtin", "userns-remap": "default", "default-runtime": "runc"},
    {"default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1, "Hard": 1}}, "cgroup-parent": "x.slice"},
    {"runtimes": {"mine": {"path": "/x"}}, "default-runtime": "mine"},
]


@pytest.mark.parametrize("config", GOOD)
def test_a_valid_configuration_is_accepted(config: dict[str, Any]) -> None:
    check(config)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"seccomp-profile": "/nowhere.json"}, r"/nowhere\.json cannot be read: there is no such"),
        ({"log-driver": "nonsense"}, "there is no plugin nonsense"),
        ({"log-opts": {"max-sise": "10m"}}, "json-file does not know max-sise"),
        ({"log-driver": "syslog", "log-opts": {"max-size": "10m"}}, "syslog does not know max-size"),
        ({"log-driver": "local", "log-opts": {"syslog-address": "x"}}, "does not know syslog-address"),
        (
            {"userns-remap": "default", "features": {"containerd-snapshotter": True}},
            "exclude each other",
        ),
        ({"userns-remap": "nosuchuser"}, "who does not exist on this host"),
        (
            {"default-ulimits": {"nofile": {"Name": "nofile", "Soft": 9, "Hard": 1}}},
            "soft limit of nofile",
        ),
        ({"cgroup-parent": "/docker"}, "must be a slice"),
        ({"default-runtime": "mine"}, "no such runtime"),
        ({"authorization-plugins": ["gone"]}, "there is no plugin gone; the engine would not start"),
        ({"authorization-plugins": ["../x"]}, "cannot be the name of a plugin"),
        ({"nri-opts": {}}, r"version 26\.1\.5\+dfsg1, and knows this key from 29\.2 on"),
        ({"tlsverify": True, "tlscacert": "/nowhere.pem"}, "tlscacert /nowhere.pem: there is no such file"),
        ({"tls": "yes"}, "tls has to be true or false"),
        ({"log-driver": "gelf"}, "gelf-address '' has to begin with udp://, tcp://"),
        ({"log-driver": "syslog", "log-opts": {"syslog-address": "http://x"}}, "has to begin with tcp://"),
    ],
)
def test_errors_that_the_engine_finds_only_at_start_are_refused(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        check(config)


def test_a_swarm_member_cannot_have_live_restore() -> None:
    with pytest.raises(Refused, match="an engine in a swarm"):
        check({"live-restore": True}, info={"Swarm": {"LocalNodeState": "active"}})


def test_the_nftables_backend_excludes_swarm() -> None:
    with pytest.raises(Refused, match="an engine in a swarm"):
        check(
            {"firewall-backend": "nftables"},
            info={"Swarm": {"LocalNodeState": "active"}, "ServerVersion": "29.1.0"},
        )


@pytest.mark.parametrize(
    ("key", "flag"), [("icc", "icc"), ("default-ulimits", "default-ulimit"), ("hosts", "host")]
)
def test_a_key_that_is_also_a_flag_is_refused(key: str, flag: str) -> None:
    with pytest.raises(Refused, match=f"{key} is set on the engine's command line"):
        check({key: {}}, flags={flag: ["x"]})


def test_runtimes_can_be_in_the_file_and_on_the_command_line() -> None:
    check({"runtimes": {}}, flags={"add-runtime": ["x=y"], "runtimes": ["x"]})


def test_an_invalid_seccomp_profile_file_is_refused(tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_ALOW"}')
    with pytest.raises(
        Refused, match=r"profile\.json has the unknown action 'SCMP_ACT_ALOW' \(defaultAction\)"
    ):
        check({"seccomp-profile": str(profile)})
    profile.write_text('{"defaultAction": "SCMP_ACT_ERRNO"}')
    check({"seccomp-profile": str(profile)})
    check({"seccomp-profile": "unconfined"})


def test_a_log_target_is_checked_only_after_changes() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and nobody listens
        port = closed.getsockname()[1]
        syslog = {"log-driver": "syslog", "log-opts": {"syslog-address": f"tcp://127.0.0.1:{port}"}}
        with pytest.raises(Refused, match=rf"syslog cannot reach tcp://127.0.0.1:{port}: Connection refused"):
            check(syslog)
        check({**syslog, "icc": False}, before=syslog)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"userns-remap": "default"}),
        ({"userns-remap": "default"}, {}),
        ({}, {"data-root": "/srv"}),
        ({}, {"features": {"containerd-snapshotter": True}}),
    ],
)
def test_a_key_that_would_hide_existing_images_and_volumes_is_refused(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    with pytest.raises(Refused, match="would no longer see its 3 images, 1 volumes"):
        check(after, before=before, info={"Images": 3}, volumes={"Volumes": [{}]})
    check(after, before=before)


PLUGIN = {
    "Enabled": True,
    "Name": "loki:latest",
    "Config": {"Interface": {"Types": ["docker.logdriver/1.0"]}},
}


def test_an_enabled_plugin_is_accepted_as_a_log_driver() -> None:
    check({"log-driver": "loki"}, plugins=[PLUGIN])
    with pytest.raises(Refused, match="the plugin loki is not enabled"):
        check({"log-driver": "loki"}, plugins=[{**PLUGIN, "Enabled": False}])


def test_a_configuration_is_checked_without_a_running_engine() -> None:
    with pytest.raises(Refused, match="there is no plugin nonsense"):
        daemonconfig.refuse_bad(
            b'{"log-driver": "nonsense"}',
            b"",
            Served("/d.json", "/nowhere"),
            info=None,
            engine=Asked(),
            read=lambda _: None,
        )


def dockerd(monkeypatch: pytest.MonkeyPatch, outcome: Outcome) -> list[tuple[str, ...]]:
    commands = []

    def run(*command: str, keep_open: list[int], **_: object) -> Outcome:
        (handle,) = keep_open
        commands.append((*command, Path(f"/proc/self/fd/{handle}").read_text()))
        return Outcome(outcome.code, "", outcome.error.replace("FILE", f"/proc/self/fd/{handle}"))

    monkeypatch.setattr(system, "run", run)
    return commands


def validate(config: dict[str, Any], *words: str) -> None:
    daemonconfig.refuse_bad(
        json.dumps(config).encode(),
        b"",
        Served("/d.json", "/nowhere", dockerd="/usr/sbin/dockerd", argv=("dockerd", *words)),
        info=None,
        engine=Asked(),
        read=lambda _: None,
    )


def test_dockerd_validates_with_its_real_flags_without_creating_users(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands = dockerd(monkeypatch, Outcome(0, "", "configuration OK"))
    validate({"icc": False, "userns-remap": "default"}, "-H", "fd://", "$DOCKER_OPTS")
    (command,) = commands
    assert command[:4] == ("/usr/sbin/dockerd", "-H", "fd://", "--validate")
    assert command[4].startswith("--config-file=/proc/self/fd/")
    assert json.loads(command[5]) == {"icc": False}


def test_errors_of_the_engine_name_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    dockerd(monkeypatch, Outcome(1, "", "unable to configure the Docker daemon with file FILE: nonsense"))
    with pytest.raises(Refused, match=r"with file /d\.json: nonsense"):
        validate({"icc": False})


def test_errors_of_the_engine_contain_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = "in the configuration file: log-opts: (from flag: map[splunk-token:x1], from file: map[tag:x2])"
    dockerd(monkeypatch, Outcome(1, "", f"specified both as a flag and {twice}"))
    with pytest.raises(Refused, match="in the configuration file: log-opts") as refused:
        validate({"icc": False})
    assert "x1" not in str(refused.value)
    dockerd(monkeypatch, Outcome(1, "", "invalid proxy http://user:x1@proxy"))
    with pytest.raises(Refused, match=r"invalid proxy http://\*\*\*@proxy"):
        validate({"icc": False})


def test_secrets_of_the_command_line_are_passed_only_to_dockerd(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--log-opt", "splunk-token=hunter2", "--log-opt=splunk-url=https://u:pass9word@s", "--icc=false")
    commands = dockerd(
        monkeypatch, Outcome(1, "", "bad hunter2, map[splunk-url:https://u:pass9word@s], FILE")
    )
    with pytest.raises(Refused) as refused:
        validate({"icc": False}, *words)
    assert commands[0][1:5] == words
    assert "hunter2" not in str(refused.value)
    assert "pass9word" not in str(refused.value)
    with pytest.raises(Refused, match=r"command line \(--log-opt splunk-token=\*\*\*\)"):
        daemonconfig.refuse_bad(
            b'{"log-opts": {}}',
            b"",
            Served("/d.json", "/nowhere", argv=("dockerd", *words), flags={"log-opt": [words[1]]}),
            info=None,
            engine=Asked(),
            read=lambda _: None,
        )


def test_keys_are_checked_by_hardener_if_dockerd_cannot_validate_its_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dockerd(monkeypatch, Outcome(125, "", "unknown flag: --validate"))
    validate({"icc": False, "default-shm-size": "64M"})
    with pytest.raises(Refused, match="does not know the key firewall-backend"):
        validate({"firewall-backend": "iptables"})
    with pytest.raises(Refused, match="live-restore has to be true or false"):
        validate({"live-restore": "true"})


@pytest.mark.parametrize("before", [None, '{\n\t"live-restore": false, "debug": true}'])
def test_after_temporary_keys_the_file_has_its_former_content_and_modification_time(
    host: Host, before: str | None
) -> None:
    path = host.folder / "daemon.json"
    if before is not None:
        host.write("daemon.json", before)
        os.utime(path, (1, 1))
    announced: list[bytes] = []
    with TemporaryKeys(str(path), announced.append) as temporary:
        temporary.write({"live-restore": True, "debug": False})
        # Only live-restore replaces what the file says.
        assert json.loads(path.read_text()) == {"live-restore": True, "debug": before is not None}
        assert announced == [path.read_bytes()]
    if before is None:
        assert not path.exists()
    else:
        assert (path.read_text(), path.stat().st_mtime) == (before, 1)


LATER = ("nothing", "a file of another program", "it is removed", "a link is there")


@pytest.mark.parametrize("later", LATER)
def test_a_missing_folder_exists_for_the_time_of_the_keys_only(host: Host, later: str) -> None:
    folder = host.folder / "etc" / "docker"
    neighbour = host.folder / "daemon.json"
    neighbour.write_text("of another program")  # in the last folder that exists
    with TemporaryKeys(str(folder / "daemon.json"), lambda _: None) as temporary:
        assert not folder.exists()
        for live in (True, False):
            temporary.write({"live-restore": live})
            assert json.loads((folder / "daemon.json").read_text()) == {"live-restore": live}
        _change(folder, later)
    kept = {"a file of another program": ["docker", "key.json"], "a link is there": ["docker"]}.get(later, [])
    found = (host.folder / "etc").rglob("*") if (host.folder / "etc").exists() else ()
    assert sorted(path.name for path in found) == kept
    assert neighbour.read_text() == "of another program"


def _change(folder: Path, how: str) -> None:
    if how == "a file of another program":
        (folder / "key.json").touch()
    elif how != "nothing":
        (folder / "daemon.json").unlink()
        folder.rmdir()
        if how == "a link is there":
            folder.symlink_to(folder.parent)


def test_keys_that_cannot_be_written_remove_no_other_file(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("daemon.json", "of another program")
    monkeypatch.setattr(atomic, "make_folder", _refuse)
    with (
        pytest.raises(PermissionError),
        TemporaryKeys(host.path("etc/docker/daemon.json"), lambda _: None) as temporary,
    ):
        temporary.write({"live-restore": True})
    assert host.read("daemon.json") == "of another program"


def _refuse(path: str) -> None:
    raise PermissionError(path)
