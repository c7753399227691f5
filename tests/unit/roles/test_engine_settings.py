"""Roles that need the engine restarted say the same of it: the transaction joins what they say."""

from __future__ import annotations

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import KINDS
from ansible_collections.hardener.docker.plugins.module_utils.converge.documents import parse, settings

from tests.unit.plugins.module_utils.render.conftest import recorded, rendered


@pytest.mark.parametrize(
    ("host", "role", "expected"),
    [
        ("debian-12", "apparmor", {"security": ["apparmor"], "profiles": ["docker-default"]}),
        ("debian-13", "apparmor", {"security": ["apparmor"], "profiles": ["docker-default"]}),
        ("debian-testing", "apparmor", {"security": ["apparmor"], "profiles": ["docker-default"]}),
        ("debian-13-selinux-permissive", "selinux", {"security": ["selinux"]}),
        ("debian-13-selinux-enforcing", "selinux", {"security": ["selinux"]}),
    ],
)
def test_they_agree(host: str, role: str, expected: dict[str, list[str]]) -> None:
    snapshot = recorded(host)
    documents = [*rendered("docker_daemon", snapshot), *rendered(role, snapshot)]
    request = parse({"documents": documents}, tuple(KINDS))
    docker = settings(request.possible, tuple(KINDS))["docker"]
    for key, names in expected.items():
        assert set(names) <= set(docker["expect"][key])
    alone = parse({"documents": rendered(role, snapshot)}, tuple(KINDS))
    assert KINDS["docker"](settings(alone.possible, tuple(KINDS))["docker"]).settings["expect"]
