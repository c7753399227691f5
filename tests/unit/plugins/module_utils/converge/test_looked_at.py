"""Which engine is looked at, before and after runs that do nothing with the engine itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import (
    activations,
    departure,
    documents,
    health,
    history,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge import engine as engine_unit
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.docker import (
    Docker,
    engine_of,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.release import Release
from ansible_collections.hardener.docker.plugins.module_utils.converge.serving import Finder
from ansible_collections.hardener.docker.plugins.module_utils.converge.transaction import Transaction
from ansible_collections.hardener.docker.plugins.module_utils.docker import engine as engines

from tests.unit.plugins.module_utils.converge.host import Host
from tests.unit.plugins.module_utils.converge.located import Located
from tests.unit.plugins.module_utils.converge.transactions import Recorded, when

FOUND, NAMED = "/found.sock", "/named.sock"


@pytest.fixture
def looked_at(host: Host, missing: object, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Paths of the engines that were looked at, a line each; hosts have the one at ``FOUND``."""
    log = host.folder / "hardener-looked"

    class Mine(Recorded):
        log = host.folder / "hardener.log"

    def take(engine: Any, **_: object) -> dict[str, Any]:
        with log.open("a") as file:
            file.write(f"{engine.path}\n")
        return {"engine": engine.path, "containers": {}}

    def find(_running: object, _units: object, socket: str | None = None) -> engines.Engine:
        found = engines.Engine()
        found.socket = socket or FOUND
        found.config = {"path": "/etc/docker/daemon.json"}
        return found

    monkeypatch.setattr(activations, "KINDS", {"systemd-reload": Mine})
    monkeypatch.setattr(departure, "OWN_FOLDERS", ())
    monkeypatch.setattr(departure, "PLACES", ())
    monkeypatch.setattr(health, "take_baseline", take)
    monkeypatch.setattr(engines, "find", find)
    return log


def converged(host: Host, socket: str) -> None:
    path = host.path("60-hardener.conf")
    document = {
        "name": "kernel",
        "impact": "reload",
        "resources": [host.file("60-hardener.conf", "a = 1\n")],
        "activations": when(path),
    }
    asked = {"documents": [document], "allow": "reload", "socket": socket}
    done = Transaction(documents.parse(asked, tuple(activations.KINDS)), host.store).run()
    assert done["outcome"] == "changed"


@pytest.mark.parametrize(("socket", "path"), [("", FOUND), (NAMED, NAMED)])
def test_a_rollback_checks_the_same_engine_as_the_run(
    host: Host, looked_at: Path, monkeypatch: pytest.MonkeyPatch, socket: str, path: str
) -> None:
    host.write("x", "")
    converged(host, socket)

    def elsewhere(*_: object) -> engines.Engine:
        raise FileNotFoundError(2, "No such file or directory", "/proc/7/cmdline")

    monkeypatch.setattr(engines, "find", elsewhere)
    assert history.back_to(host.store, before="", who="", check=False)["outcome"] == "changed"
    assert looked_at.read_text().split() == [path, path]


@pytest.mark.parametrize(("socket", "path"), [("", FOUND), (NAMED, NAMED)])
def test_a_release_checks_the_named_engine(host: Host, looked_at: Path, socket: str, path: str) -> None:
    host.write("x", "")
    converged(host, "")
    done = Release(host.store, role="", check=False, allow="daemon-restart", terms=None, socket=socket).run()
    assert done["outcome"] == "changed"
    assert looked_at.read_text().split() == [FOUND, path]


def test_an_engine_that_cannot_be_located_is_checked_at_the_default_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def find(*_: object) -> engines.Engine:
        raise FileNotFoundError(2, "No such file or directory", "/proc/7/cmdline")

    monkeypatch.setattr(engines, "find", find)
    assert Finder().socket == "/run/docker.sock"
    assert Finder(NAMED).socket == NAMED


def test_health_checks_use_the_engine_of_its_activation() -> None:
    activation = Docker({}, finder=Located("/etc/docker/daemon.json", socket="/its.sock"))
    engine = engine_of([activation], Finder(NAMED))
    assert engine is not None
    assert engine.path == "/its.sock"


def test_a_socket_activated_engine_is_not_started_by_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_unit, "state", lambda _: {"asleep": "yes"})
    monkeypatch.setattr(engines, "find", lambda *_: pytest.fail("to ask it is to start it"))
    assert engine_of([], Finder()) is None
