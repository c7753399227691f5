"""Runs that wait to be confirmed, and a systemd that only writes down what it was told."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import (
    activations,
    documents,
    guard,
    health,
    system,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.journal import Journal
from ansible_collections.hardener.docker.plugins.module_utils.converge.system import Outcome
from ansible_collections.hardener.docker.plugins.module_utils.converge.transaction import Terms, Transaction
from ansible_collections.hardener.docker.plugins.module_utils.docker import engine as engines

if TYPE_CHECKING:
    from tests.unit.plugins.module_utils.converge.host import Host

TOKEN = "0123456789abcdef"


class Systemd:
    """What it was told, by whichever process, and how it answers."""

    def __init__(self, folder: Path) -> None:
        self.units = folder / "units"
        self.units.mkdir()
        self._log = folder / "said"
        self._log.touch()
        self.refuses = ""
        self.refuses_words: tuple[str, ...] = ()
        self.knows_the_unit = "no"

    @classmethod
    def instead(cls, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
        """One that is told everything that the machine's own would be."""
        found = cls(folder)
        monkeypatch.setattr(system, "run", found.run)
        monkeypatch.setattr(guard, "possible", lambda: True)
        monkeypatch.setattr(guard, "UNITS", str(found.units))
        return found

    def run(self, *command: str, **_: Any) -> Outcome:
        with self._log.open("a") as log:
            log.write(f"{json.dumps(command)}\n")
        if self.refuses and command[0] == self.refuses:
            return Outcome(1, "", "Failed to start transient timer unit: no bus")
        if self.refuses_words and command[: len(self.refuses_words)] == self.refuses_words:
            return Outcome(5, "", "Unit not found.")
        if "--property=NeedDaemonReload" in command:
            return Outcome(0, f"NeedDaemonReload={self.knows_the_unit}\n", "")
        return Outcome(0, "", "")

    @property
    def said(self) -> list[list[str]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def timer(self) -> list[str]:
        """What the timer that was set last runs."""
        words = [words for words in self.said if words[0] == "systemd-run"][-1]
        return words[words.index("--") + 1 :]

    def at_boot(self) -> list[str]:
        """What the unit runs."""
        return self._line("ExecStart=")

    def after_boot(self) -> list[str]:
        """What the unit runs afterwards, however that ended."""
        return self._line("ExecStopPost=-")

    def _line(self, key: str) -> list[str]:
        lines = (self.units / "hardener-guard.service").read_text().splitlines()
        (line,) = [line for line in lines if line.startswith(key)]
        return line.removeprefix(key).strip('"').split('" "')


def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run finds an engine of the machine that runs the tests, and takes its containers for its own."""

    def find(_running: object, _units: object, socket: str | None = None) -> engines.Engine:
        found = engines.Engine()
        found.socket = socket or "/nowhere/docker.sock"
        found.config = {"path": "/nowhere/daemon.json"}
        return found

    monkeypatch.setattr(engines, "find", find)


def no_look(host: Host, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the host misses, by what its file x holds; nobody looks at the machine that runs the tests."""
    found: dict[str, list[str]] = {}
    picture = health.take_baseline(None, login_port=0)

    def compare(*_: Any, **__: Any) -> tuple[list[str], list[str]]:
        return found.get(host.read("x"), []), []

    monkeypatch.setattr(health, "take_baseline", lambda *_, **__: picture)
    monkeypatch.setattr(health, "compare", compare)
    monkeypatch.setattr(health, "recover", compare)
    return found


def change(host: Host, content: str = "new", *, impact: str = "daemon-restart", token: str = TOKEN) -> Any:
    document = {"name": "a", "impact": impact, "resources": [host.file("x", content)]}
    request = documents.parse({"documents": [document], "allow": "reboot"}, tuple(activations.KINDS))
    return Transaction(request, host.store, Terms(token, 180, "me@here")).run()


def let_time_pass(host: Host) -> None:
    """As if the run's time were over."""
    journal = Journal.find(host.store)
    assert journal is not None
    journal.enter(journal.phase, seconds=-1)


def start(command: list[str]) -> None:
    """As systemd would."""
    subprocess.run(command, check=True, cwd="/", env={}, timeout=60)
