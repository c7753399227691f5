"""A run's folder goes when the run is dead, and at no other time."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record import apparmor, workspace

RUN, OTHER = "f" * 16, "e" * 16


class EmptyEngine:
    """Has nothing that a run made."""

    def get(self, path: str, _query: Any) -> Any:
        """The answer."""
        return {"Volumes": None} if path == "/volumes" else []


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "FOLDER", str(tmp_path / "runs"))
    monkeypatch.setattr(apparmor, "runs", set)


def sweep() -> None:
    assert workspace.sweep(EmptyEngine()) == []  # type: ignore[arg-type]


def test_only_folders_of_dead_runs_are_removed() -> None:
    sweep()
    space = workspace.Workspace(RUN)
    Path(workspace.folder(OTHER)).mkdir()
    sweep()
    assert [each.name for each in Path(workspace.FOLDER).iterdir()] == [RUN]
    assert workspace.holder(RUN) == os.getpid()
    space.remove()
    assert not list(Path(workspace.FOLDER).iterdir())


def test_a_folder_that_is_being_created_is_not_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    other = threading.Thread(target=sweep)
    make = os.makedirs

    def made(path: str, *arguments: Any, **options: Any) -> None:
        make(path, *arguments, **options)
        if path == workspace.folder(RUN):
            other.start()
            other.join(0.1)

    monkeypatch.setattr(os, "makedirs", made)
    space = workspace.Workspace(RUN)
    other.join()
    assert workspace.lives(RUN)
    space.remove()
