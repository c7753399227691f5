from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.activity.containers import Container
from ansible_collections.hardener.docker.plugins.module_utils.activity.engine import container
from ansible_collections.hardener.docker.plugins.module_utils.activity.events import reported_events, risks

WEB = Container("a" * 64, "web", "nginx")


def event(action: str, **attributes: str) -> dict[str, Any]:
    return {"Action": action, "Actor": {"ID": WEB.identity, "Attributes": attributes}, "timeNano": 5 * 10**9}


def kinds(given: dict[str, Any], of: Container = WEB) -> list[tuple[str, str, str]]:
    return [(each.kind, each.severity, each.target) for each in reported_events(given, of)]


@pytest.mark.parametrize(
    ("code", "severity"), [("137", "low"), ("139", "medium"), ("159", "high"), ("0", ""), ("1", "")]
)
def test_abnormal_ends_of_containers_are_reported(code: str, severity: str) -> None:
    assert [each[1] for each in kinds(event("die", exitCode=code))] == ([severity] if severity else [])


def test_a_command_is_recorded_without_its_arguments() -> None:
    (found,) = kinds(event("exec_create: /usr/bin/mysql -psecret -h db"))
    assert found == ("command run inside", "low", "mysql")
    assert kinds(event("exec_create: ")) == [("command run inside", "low", "")]


def test_out_of_memory_is_reported_and_routine_events_are_not() -> None:
    assert kinds(event("oom")) == [("out of memory", "medium", "")]
    assert kinds(event("exec_die")) == kinds(event("start")) == kinds({}) == kinds({"Action": 7}) == []


def test_each_host_privilege_at_a_start_is_reported() -> None:
    settings = {
        "Privileged": True,
        "PidMode": "host",
        "NetworkMode": "host",
        "CapAdd": ["CAP_SYS_ADMIN", "net_raw"],
        "SecurityOpt": ["seccomp:unconfined", "label=disable"],
    }
    strong = WEB._replace(risks=tuple(risks(settings)))
    assert [each[0] for each in kinds(event("start"), strong)] == [
        "started privileged",
        "started in the host's process namespace",
        "started in the host's network namespace",
        "started with SYS_ADMIN",
        "started with seccomp=unconfined",
    ]


@pytest.mark.parametrize(
    "odd", [{}, {"CapAdd": "ALL", "SecurityOpt": 5, "Privileged": "yes"}, {"CapAdd": None}]
)
def test_malformed_container_settings_are_not_reported_as_risks(odd: dict[str, Any]) -> None:
    assert risks(odd) == []


def test_fields_of_an_inspected_container_are_read() -> None:
    inspected = {
        "Name": "/web",
        "Image": "sha256:1",
        "AppArmorProfile": "docker-default",
        "Config": {"Image": "nginx:1"},
        "HostConfig": {},
        "State": {"Running": True},
    }
    found = container("a" * 64, inspected)
    assert (found.name, found.image, found.profile, found.silent, found.ended) == (
        "web",
        "nginx:1",
        "docker-default",
        "docker-default",
        0.0,
    )
    assert container("a", {**inspected, "HostConfig": {"Privileged": True}}).silent == "unconfined"
    assert container("a", {"Name": "x" * 9999, "Config": [], "State": None}).ended > 0
