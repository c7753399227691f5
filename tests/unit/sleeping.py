"""Replace the clock for the thread of a test: threads that earlier tests have left keep the real one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest


def replace_sleep(monkeypatch: pytest.MonkeyPatch, ours: Callable[[float], object]) -> None:
    """Replace `time.sleep`."""
    _replace(monkeypatch, "sleep", ours)


def replace_monotonic(monkeypatch: pytest.MonkeyPatch, ours: Callable[[], float]) -> None:
    """Replace `time.monotonic`."""
    _replace(monkeypatch, "monotonic", ours)


def _replace(monkeypatch: pytest.MonkeyPatch, name: str, ours: Callable[..., Any]) -> None:
    real, here = getattr(time, name), threading.get_ident()

    def chosen(*arguments: float) -> Any:
        return (ours if threading.get_ident() == here else real)(*arguments)

    monkeypatch.setattr(time, name, chosen)
