"""Effective values of the engine compared with the expected ones; each difference is a sentence."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import effective_values, system

from tests.unit.plugins.module_utils.converge.answering import answering

ICC = "com.docker.network.bridge.enable_icc"


class Engine:
    """An engine with these options of its default bridge."""

    def __init__(self, options: dict[str, str]) -> None:
        self.options = options

    def bridge(self) -> dict[str, str]:
        return self.options


def differences(
    expect: dict[str, Any], info: dict[str, Any] | None = None, options: dict[str, str] | None = None
) -> list[str]:
    engine: Any = Engine(options or {})
    return list(effective_values.differences(expect, info or {}, engine).values())


@pytest.mark.parametrize(
    ("option", "expected", "found"),
    [
        ("name=seccomp,profile=builtin", "builtin", ""),
        ("name=seccomp,profile=default", "builtin", ""),  # as engines before 23.0 call it
        ("name=seccomp,profile=unconfined", "builtin", "unconfined"),
        ("name=seccomp,profile=/old.json", "builtin", "/old.json"),
        ("name=seccomp,profile=builtin", "/etc/docker/seccomp.json", "builtin"),
        ("name=apparmor", "builtin", "none"),
    ],
)
def test_the_seccomp_profile_in_use_is_compared(option: str, expected: str, found: str) -> None:
    said = f"the seccomp profile of the engine is {found}, should be {expected}"
    assert differences({"seccomp": expected}, {"SecurityOptions": [option]}) == ([said] if found else [])


def test_values_and_security_options_that_are_not_in_effect_are_named() -> None:
    expect = {"info": {"LiveRestoreEnabled": True, "Debug": False}, "security": ["userns", "selinux"]}
    info = {"LiveRestoreEnabled": False, "Debug": False, "SecurityOptions": ["name=userns"]}
    assert differences(expect, info) == [
        "LiveRestoreEnabled is false in the engine, should be true",
        "selinux is not in effect in the engine",
    ]


@pytest.mark.parametrize(("code", "flushed"), [(0, False), (1, True), (127, False)])  # 127: no iptables
def test_chains_that_were_flushed_are_named(
    monkeypatch: pytest.MonkeyPatch, code: int, *, flushed: bool
) -> None:
    asked: list[tuple[str, ...]] = []

    def run(*command: str, **_: object) -> system.Outcome:
        asked.append(command)
        return system.Outcome(code, "", "")

    monkeypatch.setattr(system, "run", run)
    found = differences({"chains": ["DOCKER"]})
    assert found == (["the chain DOCKER of iptables is not loaded"] if flushed else [])
    assert asked == [("iptables", "--wait", "5", "--list-rules", "DOCKER")]


def test_apparmor_profiles_that_were_unloaded_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = tmp_path / "profiles"
    loaded.write_text("/usr/bin/man (enforce)\ndocker-default (enforce)\n")
    monkeypatch.setattr(effective_values, "_PROFILES", str(loaded))
    assert differences({"profiles": ["docker-default", "gone"]}) == [
        "the AppArmor profile gone is not loaded"
    ]


def test_an_api_on_tcp_that_accepts_any_client_is_named() -> None:
    """See tests/integration for one that does not."""

    def reasons(words: bytes) -> list[str]:
        def answer(connection: socket.socket) -> None:
            connection.recv(1000)
            connection.sendall(words)

        listener = socket.create_server(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with answering(listener, answer):
            return [reason.partition(": ")[2] for reason in differences({"guarded": [address]})]

    assert reasons(b"HTTP/1.1 200 OK\r\n\r\nOK") == ["it answers without TLS"]
    assert reasons(b"HTTP/1.0 400 Bad Request\r\n\r\n") == []
    closed = differences({"guarded": ["127.0.0.1:1"]})
    assert closed == ["tcp://127.0.0.1:1: nothing listens: Connection refused"]


def test_the_default_bridge_is_left_out_while_containers_use_it() -> None:
    expect = {"bridge": {ICC: "false"}}
    said = f'{ICC} is "true" on the default bridge, should be "false"'
    assert differences(expect, {}, {ICC: "true"}) == [said]
    assert differences(expect, {"ContainersPaused": 1}, {ICC: "true"}) == []
    assert differences(expect) == []  # there is no such network
