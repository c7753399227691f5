from __future__ import annotations

import pytest

from tests.unit.plugins.action.answering import Clock
from tests.unit.sleeping import replace_monotonic, replace_sleep


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    replace_monotonic(monkeypatch, lambda: found.now)
    replace_sleep(monkeypatch, found.sleep)
    return found
