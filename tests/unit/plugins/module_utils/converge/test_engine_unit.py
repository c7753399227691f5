"""The engine's unit: whether a request would start it, and what it said when it failed to start."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import engine_unit, system


@pytest.mark.parametrize(
    ("state", "socket", "asleep"),
    [("active", "active", False), ("inactive", "active", True), ("inactive", "inactive", False)],
)
def test_a_stopped_unit_that_its_active_socket_would_start_is_recognised(
    monkeypatch: pytest.MonkeyPatch, state: str, socket: str, *, asleep: bool
) -> None:
    def run(*command: str, **_: Any) -> system.Outcome:
        if command[1] == "is-active":
            return system.Outcome(0, f"{socket}\n", "")
        return system.Outcome(0, f"ActiveState={state}\nTriggeredBy=docker.socket\nMainPID=7\n", "")

    monkeypatch.setattr(system, "has_systemd", lambda: True)
    monkeypatch.setattr(system, "run", run)
    found = engine_unit.state("docker.service")
    assert ("asleep" in found, found["MainPID"]) == (asleep, "7")


def test_without_systemd_a_unit_has_no_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "has_systemd", lambda: False)
    assert engine_unit.state("docker.service") == {}


def test_only_errors_logged_by_this_start_of_the_engine_are_quoted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = [
        ("1", 'level=error msg="Force shutdown daemon"'),
        ("2", 'level=info msg="Starting up"'),
        ("2", 'level=error msg="token=hunter2 is \\"bad\\""'),
        ("1", "killed"),
    ]
    lines = "\n".join(json.dumps({"_PID": pid, "MESSAGE": message}) for pid, message in said)
    ran: list[tuple[str, ...]] = []

    def run(*command: str, **_: Any) -> system.Outcome:
        ran.append(command)
        return system.Outcome(0, lines if len(ran) == 1 else "", "")

    monkeypatch.setattr(system, "run", run)
    assert engine_unit.last_words("/usr/sbin/dockerd", since=1.5, former="1").endswith('is \\"bad\\"')
    assert {"--identifier=dockerd", "--since=@1.500000"} <= set(ran[0])
    assert engine_unit.last_words("", since=1.5, former="1") == ""
