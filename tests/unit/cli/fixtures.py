"""Fixtures of tests that run the command line; a folder's conftest imports them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from hardener.cli import main
from tests.unit.cli.fake_fleet import FakeFleet, runner


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the command line keeps its history."""
    folder = tmp_path_factory.mktemp("home") / "hardener"
    monkeypatch.setenv("HARDENER_HOME", str(folder))
    return folder


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch, home: Path) -> FakeFleet:
    """The fleet that the command line talks to."""
    fake = FakeFleet()
    monkeypatch.setattr("hardener.fleet.Fleet", fake)
    return fake


@pytest.fixture
def hardener() -> Callable[..., Result]:
    """Run the command line as a user does."""

    def run(*arguments: str, **options: Any) -> Result:
        return runner().invoke(main, arguments, prog_name="hardener", **options)

    return run
