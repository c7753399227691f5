"""Roles that need the engine restarted say the same of it: the transaction joins what they say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import KINDS
from ansible_collections.hardener.docker.plugins.module_utils.converge.documents import parse, settings
from ansible_collections.hardener.docker.plugins.module_utils.converge.serving import FORMER

from hardener.snapshot import Snapshot
from tests.unit.plugins.module_utils.render.rendering import rendered
from tests.unit.snapshots import recorded


@pytest.mark.parametrize(
    ("host", "role", "expected"),
    [
        ("debian-12", "apparmor", {"security": ["apparmor"], "profiles": ["docker-default"]}),
        ("debian-13", "apparmor", {"security": ["apparmor"], "profiles": ["docker-default"]}),
        ("debian-testing", "apparmor", {"security": ["apparmor"], "profiles": ["docker-default"]}),
        ("debian-13-selinux-enforcing", "selinux", {"security": ["selinux"]}),
    ],
)
def test_settings_that_two_roles_require_of_the_engine_are_combined(
    host: str, role: str, expected: dict[str, list[str]]
) -> None:
    snapshot = recorded(host)
    documents = [*rendered("docker_daemon", snapshot), *rendered(role, snapshot)]
    request = parse({"documents": documents}, tuple(KINDS))
    docker = settings(request.possible, tuple(KINDS))["docker"]
    for key, names in expected.items():
        assert set(names) <= set(docker["expect"][key])
    alone = parse({"documents": rendered(role, snapshot)}, tuple(KINDS))
    assert KINDS["docker"](settings(alone.possible, tuple(KINDS))["docker"]).settings["expect"]


# Where the engine is: no document tells the host.
WHERE: dict[str, dict[str, Any]] = {
    "engine": {
        "socket": "/nowhere/docker.sock",
        "binaries": {"dockerd": "/nowhere/dockerd"},
        "containerd_socket": "/nowhere/containerd.sock",
    },
    "daemon.config": {"path": "/nowhere/daemon.json", "argv": ["/nowhere/dockerd", "hmac:0123456789abcdef"]},
}
HOSTS = ("debian-12", "debian-13", "debian-13-selinux-enforcing")
# The roles with documents, and whether these have the engine do something.
ROLES = {
    "activity": False,
    "apparmor": True,
    "audit_rules": False,
    "content_trust": False,
    "docker_daemon": True,
    "docker_files": False,
    "docker_group": False,
    "firewall": False,
    "seccomp": True,
    "selinux": True,
    "userns_remap": True,
    "vulnerability_scan": False,
}


@pytest.mark.parametrize("role", ROLES)
def test_activations_do_not_contain_the_engines_location(role: str) -> None:
    asked = False
    for host in HOSTS:
        raw = json.loads(json.dumps(recorded(host).raw))
        for source, facts in WHERE.items():
            raw["sources"][source]["data"].update(facts)
        for document in rendered(role, Snapshot(raw)):
            for activation in document.get("activations", ()):
                if activation["name"] in ("docker", "userns-migrate"):
                    told = {key: value for key, value in activation.items() if key != "when"}
                    assert not FORMER & told.keys(), activation
                    assert "nowhere" not in json.dumps(told), activation
                    asked = True
    assert asked is ROLES[role]
