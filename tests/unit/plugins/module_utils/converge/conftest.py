"""A folder that stands for a host, and what its runs do without."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import documents, guard, liveness
from ansible_collections.hardener.docker.plugins.module_utils.subjects import owners

from tests.unit.plugins.module_utils.converge.guarded import Systemd, no_engine, no_look
from tests.unit.plugins.module_utils.converge.host import Host


@pytest.fixture
def everything_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Owners are whoever runs the tests."""
    monkeypatch.setattr(documents.Resource, "uid", lambda *_: os.geteuid())
    monkeypatch.setattr(documents.Resource, "gid", lambda *_: os.getegid())


@pytest.fixture
def nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run starts programs of the machine that runs the tests to see whether it still does."""
    monkeypatch.setattr(liveness, "look", lambda _: liveness.Look(frozenset(), None))


@pytest.fixture(autouse=True)
def no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The systemd of the machine that runs the tests is left alone; see ``systemd``."""
    monkeypatch.setattr(guard, "possible", lambda: False)


@pytest.fixture(autouse=True)
def nothing_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine that runs the tests is removed."""
    monkeypatch.setattr(owners, "OUTSIDE", {})


@pytest.fixture
def host(
    tmp_path: Path, everything_is_ours: None, nobody_looks: None, monkeypatch: pytest.MonkeyPatch
) -> Host:
    no_engine(monkeypatch)
    return Host(tmp_path)


@pytest.fixture
def systemd(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    return Systemd.instead(tmp_path_factory.mktemp("systemd"), monkeypatch)


@pytest.fixture
def missing(host: Host, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    return no_look(host, monkeypatch)
