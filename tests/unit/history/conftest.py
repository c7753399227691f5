"""A history in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hardener.history import History


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "home")


@pytest.fixture
def snapshot(tmp_path: Path) -> Callable[[str], Path]:
    """A file that holds this text."""

    def write(text: str) -> Path:
        path = tmp_path / "snapshot.json"
        path.write_text(text)
        return path

    return write
