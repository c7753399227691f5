from __future__ import annotations

from typing import Any

import pytest

from hardener.checks.lib.settings import Facts, Settings, api_hosts, tls
from hardener.snapshot import FactUnavailable, Snapshot
from tests.unit.snapshots import absent, failed, make, only


def told(flags: Any = None, parsed: Any = None, **config: Any) -> Snapshot:
    base = {"flags": only(flags or {}), "exists": parsed is not None, "parsed": parsed}
    return make(**{"daemon.config": {**base, **config}})


def test_flags_override_the_file_and_the_file_overrides_the_default() -> None:
    settings = Settings(told({"icc": ["false"]}, {"icc": True, "live-restore": True}))
    assert str(settings.boolean("icc")) == "false (--icc)"
    assert str(settings.boolean("live-restore")) == "true (/etc/docker/daemon.json)"
    assert str(settings.boolean("userland-proxy")) == "true (default)"
    assert settings.conflicts == ("icc",)
    assert "icc is set on the command line and in /etc/docker/daemon.json" in settings.evidence("icc")


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("T", True), ("1", True), ("false", False), ("0", False)]
)
def test_booleans_are_read_as_go_reads_them(text: str, value: bool) -> None:
    assert Settings(told({"icc": [text]})).boolean("icc").value is value


def test_a_null_in_the_file_is_the_default() -> None:
    settings = Settings(told({}, {"icc": None, "log-level": None, "insecure-registries": None}))
    assert str(settings.boolean("icc")) == "true (default)"
    assert str(settings.text("log-level")) == "info (default)"
    assert settings.entries("insecure-registries").value == ()


@pytest.mark.parametrize("flags", [{"icc": ["maybe"]}, {"icc": ["yes"]}])
def test_a_value_that_the_engine_refuses_is_an_error(flags: Any) -> None:
    with pytest.raises(FactUnavailable, match="icc"):
        Settings(told(flags)).boolean("icc")


@pytest.mark.parametrize("value", ["false", 0, [False]])
def test_a_boolean_of_the_wrong_type_is_an_error(value: Any) -> None:
    with pytest.raises(FactUnavailable, match="icc"):
        Settings(told(parsed={"icc": value})).boolean("icc")


def test_the_last_value_of_a_repeated_flag_is_used() -> None:
    assert Settings(told({"log-level": ["debug", "info"]})).text("log-level").value == "info"


def test_a_list_setting_is_read_from_its_flag_and_from_its_key() -> None:
    assert Settings(told({"storage-opt": ["a=1", "b=2"]})).entries("storage-opts").value == ("a=1", "b=2")
    assert Settings(told(parsed={"hosts": ["fd://"]})).entries("hosts").value == ("fd://",)
    assert Settings(told(parsed={"log-opts": {"tag": "x"}})).entries("log-opts").value == ("tag=x",)
    assert Settings(told({"host": ["fd://"]}, {"hosts": ["fd://"]})).conflicts == ("hosts",)


@pytest.mark.parametrize(
    "config",
    [{"exists": True, "parsed": None, "error": "Expecting value: line 1"}, {"exists": True, "parsed": []}],
)
def test_flags_are_read_even_if_the_file_is_unreadable(config: Any) -> None:
    settings = Settings(told({"icc": ["false"]}, **config))
    assert settings.boolean("icc").value is False
    with pytest.raises(FactUnavailable, match=r"daemon\.json"):
        settings.boolean("live-restore")
    assert "cannot be read" in settings.drift("live-restore", True)
    assert any("daemon.json" in fact for fact in settings.evidence("live-restore"))


def test_duplicate_keys_are_reported() -> None:
    settings = Settings(told(parsed={"icc": False}, duplicate_keys=["icc"]))
    assert "icc is set more than once in /etc/docker/daemon.json" in settings.evidence()


@pytest.mark.parametrize(
    ("started", "mtime", "stale"),
    [(100, 200, True), (100, 101, False), (200, 100, False), (None, 200, False)],
)
def test_a_file_that_is_newer_than_the_daemon_is_not_in_effect(started: Any, mtime: Any, stale: bool) -> None:
    snapshot = make(engine={"started": started}, files={"/etc/docker/daemon.json": {"mtime": mtime}})
    assert Settings(snapshot).changed_since_start is stale


@pytest.mark.parametrize(
    ("ctime", "folder", "stale"), [(200, 200, True), (200, 100, False), (100, 200, False), (None, 200, False)]
)
def test_a_file_that_was_moved_into_place_after_the_daemon_started_is_not_in_effect(
    ctime: int | None, folder: int, stale: bool
) -> None:
    files = {"/etc/docker/daemon.json": {"mtime": 50, "ctime": ctime}, "/etc/docker": {"mtime": folder}}
    assert Settings(make(engine={"started": 100}, files=files)).changed_since_start is stale


def test_a_declared_value_that_is_not_in_effect_is_described() -> None:
    settings = Settings(told(parsed={"icc": False}))
    assert settings.drift("icc", False) == ""
    assert settings.drift("icc", True) == (
        "; declared false (/etc/docker/daemon.json): it takes effect at the next restart"
    )


HOME = "/root/.docker"


@pytest.mark.parametrize(
    ("flags", "parsed", "environment", "resolved"),
    [
        ({}, None, {}, (False, False, "")),
        ({"tlsverify": ["true"]}, None, {}, (True, True, f"{HOME}/ca.pem")),
        ({"tls": ["true"]}, None, {}, (True, True, f"{HOME}/ca.pem")),
        ({"tlsverify": ["false"]}, None, {}, (True, False, f"{HOME}/ca.pem")),
        ({"tls": ["false"]}, None, {}, (False, False, f"{HOME}/ca.pem")),
        ({"tlsverify": ["true"], "tlscacert": ["/p/ca.pem"]}, None, {}, (True, True, "/p/ca.pem")),
        ({"tlsverify": ["true"]}, None, {"DOCKER_CERT_PATH": "/certs"}, (True, True, "/certs/ca.pem")),
        ({"tlsverify": ["true"]}, None, {"DOCKER_CONFIG": "/conf"}, (True, True, "/conf/ca.pem")),
        ({}, {"tlsverify": True, "tlscacert": "/srv/ca.pem"}, {}, (True, True, "/srv/ca.pem")),
        ({}, {"tlsverify": True}, {}, (True, True, "")),
        ({}, {"tlsverify": True}, {"DOCKER_TLS_VERIFY": "1"}, (True, True, f"{HOME}/ca.pem")),
        ({}, {"tls": True}, {}, (True, True, "")),
        ({}, {"tlsverify": False}, {}, (True, False, "")),
    ],
)
def test_tls_is_resolved_as_dockerd_does(
    flags: Any, parsed: Any, environment: Any, resolved: tuple[bool, bool, str]
) -> None:
    snapshot = told(flags, parsed, environment=environment)
    found = tls(snapshot, Settings(snapshot))
    assert (found.enabled, found.verify, found.ca) == resolved


@pytest.mark.parametrize(
    ("flags", "listen", "hosts"),
    [
        ({"host": ["fd://"]}, ["/run/docker.sock (Stream)"], ("unix:///run/docker.sock",)),
        (
            {"host": ["fd://"]},
            ["/run/docker.sock", "0.0.0.0:2375 (Stream)"],
            ("unix:///run/docker.sock", "tcp://0.0.0.0:2375"),
        ),
        ({"host": ["fd://"]}, ["2375"], ("tcp://[::]:2375",)),
        ({"host": ["tcp://:2376", "unix://"]}, [], ("tcp://:2376", "unix:///var/run/docker.sock")),
        ({"host": ["127.0.0.1:2375"]}, [], ("tcp://127.0.0.1:2375",)),
        ({}, ["/other.sock"], ("unix:///var/run/docker.sock",)),
    ],
)
def test_fd_hosts_are_resolved_from_the_socket_unit(flags: Any, listen: Any, hosts: Any) -> None:
    snapshot = make(units={"docker.socket": {"Listen": listen}}, **{"daemon.config": {"flags": only(flags)}})
    assert api_hosts(snapshot, Settings(snapshot)) == hosts


def test_the_address_fd_has_no_sockets_without_systemd() -> None:
    snapshot = make(units=absent("systemd does not run"))
    assert api_hosts(snapshot, Settings(snapshot)) == ()


def test_facts_that_need_no_settings_are_read_without_the_configuration() -> None:
    host = Facts(make(**{"daemon.config": failed("timed out")}))
    assert (host.data_root, host.rootless) == ("/var/lib/docker", False)
    with pytest.raises(FactUnavailable, match="timed out"):
        host.api_hosts()


@pytest.mark.parametrize("state", [absent("x"), failed("x")])
def test_files_that_were_not_read_are_no_empty_host(state: Any) -> None:
    with pytest.raises(FactUnavailable, match="x"):
        Facts(make(files=state)).exists("/etc/docker")
