"""The kinds of containers that are tried, for generated HostConfigs."""

from __future__ import annotations

import random
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge.start_trials import kinds

# What may start with the host's own resources, or act outside the container.
NEVER: dict[str, tuple[Any, ...]] = {
    "Privileged": (False, True),
    "NetworkMode": ("bridge", "host", "container:a"),
    "PidMode": ("", "host", "container:a"),
    "UTSMode": ("", "host"),
    "UsernsMode": ("", "host"),
    "Binds": (None, ["/:/host"]),
    "Mounts": (None, [{"Type": "volume", "Source": "data", "Target": "/data"}]),
    "VolumesFrom": (None, ["a"]),
    "Devices": (None, [{"PathOnHost": "/dev/sda"}]),
    "DeviceRequests": (None, [{"Driver": "nvidia", "Count": -1}]),
    "DeviceCgroupRules": (None, ["a *:* rwm"]),
    "PortBindings": (None, {"80/tcp": [{"HostPort": "80"}]}),
    "PublishAllPorts": (False, True),
    "RestartPolicy": ({"Name": "no"}, {"Name": "always"}),
    "AutoRemove": (False, True),
    "Links": (None, ["/a:/web/a"]),
}
LOGS = ({"Type": "json-file"}, {"Type": "syslog", "Config": {"syslog-address": "tcp://192.0.2.1:514"}})
TRIED: dict[str, tuple[Any, ...]] = {
    "Memory": (0, 1 << 26),
    "PidsLimit": (None, 10),
    "Ulimits": (None, [], [{"Name": "nofile", "Soft": 64, "Hard": 64}]),
    "CapAdd": (None, ["NET_ADMIN"]),
    "CapDrop": (None, ["ALL"]),
    "SecurityOpt": (None, ["no-new-privileges=true"], ["seccomp=unconfined"]),
    "Runtime": ("runc", "crun"),
    "Sysctls": (None, {"net.core.somaxconn": "64"}),
    "ReadonlyRootfs": (False, True),
}
MODES = {"IpcMode": ("private", "host", "container:a"), "CgroupnsMode": ("private", "host")}


@pytest.mark.parametrize("seed", range(40))
def test_kinds_have_limits_and_restrictions_and_nothing_of_the_host(seed: int) -> None:
    chance = random.Random(seed)
    every = {**NEVER, **TRIED, **MODES, "LogConfig": LOGS}
    running: list[dict[str, Any]] = [
        {"Name": f"/c{number}", "HostConfig": {key: chance.choice(of) for key, of in every.items()}}
        for number in range(chance.randrange(30))
    ]
    found = kinds(running)
    assert len(found) <= 8
    by_name = {each["Name"].lstrip("/"): each["HostConfig"] for each in running}
    for name, kind in found.items():
        host = by_name[name]
        assert not set(kind) & set(NEVER)
        assert {key: kind.get(key) or None for key in TRIED} == {key: host[key] or None for key in TRIED}
        assert kind["LogConfig"] == {"Type": "none"}
        for key in MODES:
            assert kind.get(key) in (None, "private")
            assert (key in kind) == (host[key] == "private")


def test_containers_of_one_kind_are_tried_once() -> None:
    running: list[dict[str, Any]] = [
        {"Name": f"/c{number}", "HostConfig": {"Memory": 7, "Binds": [str(number)]}} for number in range(5)
    ]
    assert list(kinds(running)) == ["c0"]
