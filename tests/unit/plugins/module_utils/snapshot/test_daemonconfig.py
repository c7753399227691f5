from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker import config
from ansible_collections.hardener.docker.plugins.module_utils.docker.engine import Engine
from ansible_collections.hardener.docker.plugins.module_utils.host.redact import Redactor
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import daemonconfig


def read(tmp_path: Path, text: str | bytes) -> dict[str, object]:
    path = tmp_path / "daemon.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return config.read(str(path))


def test_a_missing_file_is_recorded(tmp_path: Path) -> None:
    found = config.read(str(tmp_path / "none.json"))
    assert (found["exists"], found["parsed"], found["error"]) == (False, None, None)


def test_a_valid_file_is_parsed(tmp_path: Path) -> None:
    found = read(tmp_path, '{"icc": false, "log-opts": {"max-size": "10m"}}')
    assert found["parsed"] == {"icc": False, "log-opts": {"max-size": "10m"}}
    assert found["duplicate_keys"] == []
    assert found["error"] is None


def test_duplicate_keys_are_found_at_every_depth(tmp_path: Path) -> None:
    found = read(tmp_path, '{"a": 1, "a": 2, "b": {"c": 1, "c": 1}, "d": [{"e": 0, "e": 0}], "f": {"g": 1}}')
    assert found["duplicate_keys"] == ["a", "b.c", "d[0].e"]
    assert found["parsed"] == {"a": 2, "b": {"c": 1}, "d": [{"e": 0}], "f": {"g": 1}}


@pytest.mark.parametrize("text", [b"", b"  \n", b"\xef\xbb\xbf{}", b"\xef\xbb\xbf"])
def test_some_invalid_files_are_read_as_an_empty_object_as_dockerd_does(tmp_path: Path, text: bytes) -> None:
    found = read(tmp_path, text)
    assert (found["parsed"], found["error"]) == ({}, None)


@pytest.mark.parametrize(
    "text",
    ['{"icc": false', '{"icc": false,}', "{'icc': false}", '{"a": NaN}', "[" * 100_000, b'{"a": "\xff"}'],
)
def test_a_malformed_file_is_recorded_with_its_error(tmp_path: Path, text: str | bytes) -> None:
    found = read(tmp_path, text)
    assert found["parsed"] is None
    assert found["exists"] is True
    assert found["error"]
    assert "\n" not in str(found["error"])


def test_a_document_that_is_not_an_object_is_an_error(tmp_path: Path) -> None:
    found = read(tmp_path, "[]")
    assert (found["parsed"], found["error"]) == (None, "the file holds a list, not an object")


def test_a_null_document_is_an_empty_configuration(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text("null")
    assert config.read(str(path))["parsed"] == {}


def test_files_that_are_too_large_or_not_regular_are_errors(tmp_path: Path) -> None:
    assert "larger than" in str(read(tmp_path, " " * 2_000_000)["error"])
    folder = tmp_path / "folder.json"
    folder.mkdir()
    assert "directory" in str(config.read(str(folder))["error"])


@pytest.mark.parametrize(
    ("flags", "environment", "rootless", "path"),
    [
        ({}, {}, False, "/etc/docker/daemon.json"),
        ({"config-file": ["/a", "/b"]}, {}, False, "/b"),
        ({}, {"XDG_CONFIG_HOME": "/cfg"}, True, "/cfg/docker/daemon.json"),
        ({}, {}, True, "/home/u/.config/docker/daemon.json"),
        ({}, {"XDG_CONFIG_HOME": "/cfg"}, False, "/etc/docker/daemon.json"),
    ],
)
def test_the_path_of_daemon_json_is_derived_from_flags_environment_and_user(
    flags: dict[str, list[str]], environment: dict[str, str], rootless: bool, path: str
) -> None:
    assert config.path_of(flags, environment, "/home/u", rootless=rootless) == path


def test_declared_settings_contain_no_secrets() -> None:
    engine = Engine()
    engine.binaries = {"dockerd": "/usr/bin/dockerd"}
    engine.argv = [
        "dockerd",
        "--log-opt",
        "splunk-token=TOPSECRET",
        "--http-proxy=http://u:TOPSECRET@proxy:3128",
    ]
    engine.flags = {"log-opt": ["splunk-token=TOPSECRET"], "http-proxy": ["http://u:TOPSECRET@proxy:3128"]}
    engine.environment = {"HTTPS_PROXY": "https://u:TOPSECRET@proxy", "AWS_SECRET_ACCESS_KEY": "TOPSECRET"}
    engine.config = {
        "path": "/etc/docker/daemon.json",
        "exists": True,
        "error": None,
        "duplicate_keys": [],
        "parsed": {
            "log-opts": {"splunk-token": "TOPSECRET"},
            "proxies": {"http-proxy": "http://u:TOPSECRET@p"},
        },
    }
    found = daemonconfig.declared(engine, Redactor())
    assert "TOPSECRET" not in str(found)
    assert found["environment"].keys() == {"HTTPS_PROXY"}
    assert found["argv"][3].endswith("@proxy:3128")
    assert found["declared"]["log-opts"]["origin"] == "--log-opt"
    assert "TOPSECRET" in str(engine.argv), "what runs on the host needs it"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("big", [False, True])
def test_byte_order_marks_are_accepted_like_dockerd_does(tmp_path: Path, encoding: str, big: bool) -> None:
    text = '{"icc": false, "data-root": "/srv/döcker"}'
    data = text.encode(encoding)
    if big and encoding == "utf-16":
        data = b"\xfe\xff" + text.encode("utf-16-be")
    assert read(tmp_path, data)["parsed"] == {"icc": False, "data-root": "/srv/döcker"}
