"""What the tests of every package share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str | Path, str], None]:
    """Compare with a file in golden/ beside the test, or of another absolute path.

    HARDENER_UPDATE_GOLDEN=1 writes it instead, and the test fails once.
    """

    def compare(name: str | Path, text: str) -> None:
        path = request.path.parent / "golden" / name
        if os.environ.get("HARDENER_UPDATE_GOLDEN"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            pytest.fail(f"wrote {path.name}: look at the difference")
        assert text == path.read_text(encoding="utf-8"), "as intended? HARDENER_UPDATE_GOLDEN=1 writes it"

    return compare


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A parameter of megabytes is no part of a test's name, which processes get in their environment."""
    return f"{argname} of {len(val)}" if isinstance(val, str | bytes) and len(val) > 200 else None
