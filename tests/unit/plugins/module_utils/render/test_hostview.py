from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.render.hostview import HostView, listed

from tests.unit.snapshots import failed, make, no_engine, only, silent_engine


def view(**sources: Any) -> HostView:
    return HostView(make(**sources).raw)


def test_a_source_without_data_is_an_empty_mapping() -> None:
    host = HostView({"sources": {"engine": {"state": "failed", "error": "x"}}})
    assert (host.engine, host.info, host.os, host.declared, host.policy) == ({}, {}, {}, {}, {})
    assert (host.state("engine"), host.state("sysctl")) == ("failed", "")
    assert (host.containers, host.running, host.names, host.holds()) == ([], [], [], [])
    assert (host.version, host.swarm, host.serves) == ((), False, False)
    assert (host.config_path, host.socket) == ("/etc/docker/daemon.json", "/run/docker.sock")


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        (view(), ""),
        (HostView(no_engine().raw), "there is no Docker engine on this host"),
        (view(engine={"installed": False}), "there is no Docker engine on this host"),
        (view(engine=failed("boom")), "engine could not be read: boom"),
        (view(**{"daemon.config": failed("x")}), "daemon.config could not be read: x"),
        (
            HostView({"sources": {"engine": {"state": "ok"}}}),
            "daemon.config could not be read: not collected",
        ),
        (
            HostView({"sources": {"engine": {"state": "ok"}, "daemon.config": {"state": "absent"}}}),
            "there is no Docker engine on this host",
        ),
    ],
)
def test_the_reason_why_an_engine_cannot_be_used_is_given(host: HostView, reason: str) -> None:
    assert host.unserved() == reason


def test_the_first_source_that_could_not_be_read_is_named() -> None:
    host = view(files=failed("late"), units=failed("later"))
    assert host.unread("engine", "files", "units") == "files could not be read: late"
    assert host.unread("engine") == ""
    assert HostView(no_engine().raw).unread("system", "engine") == "there is no Docker engine on this host"


@pytest.mark.parametrize(
    ("given", "version"),
    [
        ({"docker.info": {"ServerVersion": "29.1.3"}}, (29, 1, 3)),
        ({"docker.info": {"ServerVersion": "20.10.24+dfsg1"}}, (20, 10, 24)),
        (
            {
                "docker.info": {"ServerVersion": ""},
                "packages": {"installed": only({"docker-ce": "5:28.0.1-1~debian"})},
            },
            (28, 0, 1),
        ),
    ],
)
def test_the_version_is_that_of_the_engine_or_of_its_package(given: Any, version: tuple[int, ...]) -> None:
    assert view(**given).version == version


def test_a_setting_comes_from_the_last_flag_or_the_file() -> None:
    host = view(
        **{"daemon.config": {"flags": only({"group": ["a", "b"]}), "parsed": only({"group": "c", "ip": "d"})}}
    )
    assert (host.setting("group"), host.setting("ip"), host.setting("icc")) == ("b", "d", None)
    assert (host.flag("group"), host.flag("ip"), host.flag("icc")) == ("--group", "", "")
    assert (host.in_file("group"), host.in_file("ip"), host.in_file("icc")) == (None, "d", None)


def test_only_a_loaded_unit_has_properties() -> None:
    host = view(units={"docker.socket": only({"LoadState": "not-found", "SocketGroup": "x"})})
    assert host.unit("docker.socket") == {}
    assert host.unit("docker.service")["LoadState"] == "loaded"


def test_a_host_that_shares_the_kernel_of_another_host_is_recognised() -> None:
    assert not view().in_container
    assert view(system={"in_container": True}).in_container
    assert view(system={"in_init_userns": False}).in_container


def test_security_options_are_compared_exactly() -> None:
    host = view(**{"docker.info": {"SecurityOptions": ["name=seccomp,profile=builtin", "name=usernsx"]}})
    assert host.secures("seccomp")
    assert not host.secures("userns")


def test_an_activation_does_not_contain_the_engines_location() -> None:
    found = HostView(silent_engine().raw).activation(["/x"], expect={"security": ["userns"]})
    assert found == {"name": "docker", "when": ["/x"], "expect": {"security": ["userns"]}}


def test_long_lists_of_names_are_shortened() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(number) for number in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
