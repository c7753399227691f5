"""Transactions that are watched, fail or are cut off."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import files
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Activation
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.converge.files import State
from ansible_collections.hardener.docker.plugins.module_utils.converge.planning import Plan

from tests.unit.plugins.module_utils.converge.host import Host


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below a folder."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


class Recorded(Activation):
    """An activation that writes down what happens to it, and fails where a test wants it to."""

    name = "systemd-reload"
    log: Path
    fails = ""
    undo_fails = False

    def _note(self, what: str) -> None:
        with self.log.open("a") as file:
            file.write(f"{what}\n")

    def prepare(self, plan: Plan) -> None:
        if self.fails == "prepare":
            raise Failed("apt cannot read its configuration")
        super().prepare(plan)

    def perform(self) -> None:
        self.memory["was"] = "before"
        self.save()
        self._note("perform")
        if self.fails == "perform":
            raise Failed("it does not start")

    def problems(self) -> list[str]:
        return ["a container is lost"] if self.fails == "problems" else []

    def undo(self) -> list[str]:
        self._note(f"undo {self.memory['was']}")
        if self.undo_fails:
            raise Failed("it still does not start")
        return []


def when(*paths: str) -> list[dict[str, Any]]:
    return [{"name": "systemd-reload", "when": list(paths)}]


def interrupted(host: Host, monkeypatch: pytest.MonkeyPatch, *resources: dict[str, Any], writes: int) -> None:
    """Kill the worker after it has made some of its changes."""
    left = writes
    put = files.put

    def killing(path: str, before: State, after: State, **named: bool) -> None:
        nonlocal left
        if "/hardener/" not in path:
            if not left:
                os.kill(os.getpid(), 9)
            left -= 1
        put(path, before, after, **named)

    with monkeypatch.context() as patched:
        patched.setattr(files, "put", killing)
        with pytest.raises(Failed, match="worker was killed"):
            host.converge(*resources)
