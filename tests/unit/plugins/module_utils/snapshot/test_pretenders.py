"""What an engine may say of its API's version, truthfully or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker import engine
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent, Failed
from ansible_collections.hardener.docker.plugins.module_utils.host.once import Once
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import enginestate, sockets

from hardener.model import Status
from tests.unit.plugins.module_utils.render.rendering import rendered, verdicts
from tests.unit.plugins.module_utils.snapshot import servers
from tests.unit.plugins.module_utils.snapshot.servers import serving
from tests.unit.snapshots import failed, make

_NONE = "the program that answers on its socket is not a Docker engine"
_SAID: dict[bytes, str] = {  # in the head of an answer: how paths begin then; empty for no engine
    b"1.41": "/v1.41",  # Docker 20.10
    b"1.51": "/v1.51",
    b"1.9": "/v1.9",  # whose answers lack what is required of them
    b"  1.41\t": "/v1.41",
    b"1.44\r\nApi-Version: 1.43": "/v1.43",
    b"": "",
    b"1": "",
    b".": "",
    b"1.": "",
    b"1.51.x": "",
    b"1.41, 1.45": "",
    b"-1.41": "",
    b"+1.41": "",
    b"1_0.4": "",
    b"0x1.41": "",
    b"1e3.1": "",
    b"1.\xb2": "",
    b"\xb9.41": "",
    "\u0661.\u0664".encode(): "",
    b"1.41\x00": "",
    b"1." + b"9" * 60_000: "",
}
_NEWER: list[tuple[Any, str]] = [  # what one that says 99.99 answers to `/version`
    ({"MinAPIVersion": "1.24"}, "/v1.51"),
    ({"MinAPIVersion": "99.98"}, "/v99.98"),
    ({"MinAPIVersion": 1.24}, "/v1.51"),
    ({"MinAPIVersion": "1.\u00b2"}, ""),
    ({"MinAPIVersion": "\u0661.\u0664"}, ""),
    ({"MinAPIVersion": "1." + "9" * 100_000}, ""),
    ({"MinAPIVersion": None}, ""),
    ({"MinAPIVersion": ["1.24"]}, ""),
    ({"MinAPIVersion": "1.24\n"}, ""),
    ({"message": "not today"}, ""),
    ({}, ""),
    ([], ""),
    (None, ""),
    ("1.24", ""),
    (7, ""),
]


def found(path: str) -> engine.Engine:
    def no_systemd() -> None:
        raise Absent("systemd does not run on this host")

    return engine.find(Once(dict), Once(no_systemd), path)


@pytest.mark.parametrize(("said", "api"), _SAID.items(), ids=[str(said[:20]) for said in _SAID])
def test_the_api_version_is_read_from_the_response_header(tmp_path: Path, said: bytes, api: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\nApi-Version: %s\r\nContent-Length: 2\r\n\r\nOK" % said
    with serving(tmp_path / "s", servers.saying(answer)) as path:
        known = found(path)
    assert known.api == api
    assert known.error == (None if api else f"{path}: {_NONE}")


@pytest.mark.parametrize(("version", "api"), _NEWER, ids=[str(version)[:30] for version, _ in _NEWER])
def test_a_newer_engine_is_accepted_only_if_its_answer_has_a_valid_minimum_api_version(
    tmp_path: Path, version: Any, api: str
) -> None:
    bodies = {"/_ping": b"OK", "/version": json.dumps(version).encode()}
    with serving(tmp_path / "s", servers.engine(bodies, api="99.99")) as path:
        known = found(path)
    assert known.version == (version if api else None)  # it is not asked again
    assert known.api == api
    assert known.error == (None if api else f"{path}: {_NONE}")


def test_podman_behind_dockers_socket_is_named_and_refused(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nServer: Libpod/5.4.2 (linux)\r\n"
    with serving(tmp_path / "s", servers.saying(head + b"Content-Length: 2\r\n\r\nOK")) as path:
        known = found(path)
    assert (known.api, known.installed) == ("", True)
    with pytest.raises(Failed, match=r"Podman Engine answers on Docker's socket"):
        known.connect(1)
    with pytest.raises(Failed, match=r"Podman Engine answers .*\(Libpod/5\.4\.2 \(linux\)\)"):
        enginestate.describe(known, info={}, running={}, units={}, listening=[], holders=sockets.Holders())
    refused = failed(known.foreign)
    snapshot = make(
        engine=refused, **{"docker.version": refused, "docker.info": refused, "docker.containers": refused}
    )
    assert verdicts(snapshot, "daemon-live-restore") == {"daemon-live-restore": Status.ERROR}
    assert verdicts(snapshot, "docker-version-current") == {"docker-version-current": Status.ERROR}
    (document,) = {each.get("refused", "") for each in rendered("docker_daemon", snapshot)}
    assert "Podman Engine" in document
