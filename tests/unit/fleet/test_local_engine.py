"""Which engine docker on this machine talks to, and which of them are refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from hardener.errors import ExitCode, HardenerError
from hardener.fleet.local_engine import engine_socket


def socket(environment: dict[str, str], folder: Path, *, platform: str = "linux") -> str:
    return engine_socket({"HOME": str(folder), **environment}, platform=platform)


def context(folder: Path, name: str, address: Any) -> None:
    """Make a context of docker's, as `docker context create` does."""
    meta = folder / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    described = {
        "Name": name,
        "Metadata": {},
        "Endpoints": {"docker": {"Host": address, "SkipTLSVerify": False}},
    }
    (meta / "meta.json").write_text(json.dumps(described))


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({}, ""),
        ({"DOCKER_HOST": ""}, ""),
        ({"DOCKER_HOST": "unix:///var/run/docker.sock"}, ""),
        ({"DOCKER_HOST": "unix:///run/docker.sock"}, ""),
        ({"DOCKER_HOST": "unix:///srv/engine/docker.sock"}, "/srv/engine/docker.sock"),
        ({"DOCKER_CONTEXT": "default"}, ""),
    ],
)
def test_the_environment_of_docker_selects_the_socket_of_a_local_engine(
    environment: dict[str, str], path: str, tmp_path: Path
) -> None:
    assert socket(environment, tmp_path) == path


@pytest.mark.parametrize(
    ("environment", "platform", "reason"),
    [
        ({}, "darwin", "this machine does not run Linux: Docker Desktop"),
        ({}, "win32", "this machine does not run Linux: Docker Desktop"),
        ({"DOCKER_HOST": "unix:///home/ann/.docker/desktop/docker.sock"}, "linux", "Docker Desktop"),
        ({"DOCKER_HOST": "unix:///home/ann/.docker/run/docker.sock"}, "linux", "Docker Desktop"),
        ({"DOCKER_HOST": "unix:///run/user/1000/docker.sock"}, "linux", "rootless"),
        ({"DOCKER_HOST": "unix:///tmp/x/docker.sock", "XDG_RUNTIME_DIR": "/tmp/x"}, "linux", "rootless"),
        ({"DOCKER_HOST": "tcp://10.0.0.1:2376"}, "linux", "remote engine: tcp://10.0.0.1:2376"),
        ({"DOCKER_HOST": "ssh://ann:secret@db01"}, "linux", "remote engine: ssh://db01"),
        ({"DOCKER_HOST": "npipe:////./pipe/docker"}, "linux", "remote engine"),
        ({"DOCKER_HOST": "10.0.0.1:2375"}, "linux", "remote engine"),
        ({"DOCKER_HOST": "tcp://\x1b[31m\n"}, "linux", "remote engine"),
        ({"DOCKER_CONTEXT": "gone"}, "linux", "docker's context 'gone' names no engine"),
    ],
)
def test_engines_that_are_not_local_are_refused(
    environment: dict[str, str], platform: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(HardenerError) as caught:
        socket(environment, tmp_path, platform=platform)
    text = str(caught.value)
    assert reason in text
    assert text.isprintable()
    assert "secret" not in text
    assert caught.value.hint
    assert caught.value.exit_code is ExitCode.USAGE


def test_the_current_context_of_docker_is_used(tmp_path: Path) -> None:
    context(tmp_path, "desktop-linux", "unix:///home/ann/.docker/desktop/docker.sock")
    context(tmp_path, "other", "unix:///srv/docker.sock")
    (tmp_path / ".docker" / "config.json").write_text('{"currentContext": "desktop-linux"}')
    with pytest.raises(HardenerError, match=r"docker's context desktop-linux names .*: Docker Desktop"):
        socket({}, tmp_path)
    # as docker has it: DOCKER_HOST before DOCKER_CONTEXT before the configuration
    assert socket({"DOCKER_CONTEXT": "other"}, tmp_path) == "/srv/docker.sock"
    assert socket({"DOCKER_CONTEXT": "other", "DOCKER_HOST": "unix:///run/docker.sock"}, tmp_path) == ""


def test_the_configuration_folder_of_docker_can_be_set(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"currentContext": "gone"}')
    with pytest.raises(HardenerError, match="gone"):
        socket({"DOCKER_CONFIG": str(tmp_path)}, tmp_path / "home")


@pytest.mark.parametrize("text", ["[]", "{", "7", "[" * 200, "x" * (2 << 20), '{"currentContext": NaN}'])
def test_an_invalid_configuration_of_docker_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(text)
    with pytest.raises(HardenerError, match=r"cannot read .*config\.json"):
        socket({}, tmp_path)


@pytest.mark.parametrize("address", [None, "", 7, {}])
def test_a_context_without_an_engine_is_an_error(address: Any, tmp_path: Path) -> None:
    context(tmp_path, "odd", address)
    with pytest.raises(HardenerError, match=r"odd|remote engine"):
        socket({"DOCKER_CONTEXT": "odd"}, tmp_path)
