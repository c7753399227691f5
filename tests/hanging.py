"""End a test that hangs, so that it fails alone and its fixtures are still taken down."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

LIMIT = 120.0  # seconds, many times what a busy machine needs: this measures nothing
_AGAIN = 5.0  # seconds: what is left because of the failure may hang as well


@contextmanager
def must_end() -> Iterator[None]:
    """Fail where the block hangs.

    In the main thread only. No limit of a test that passes ends by it: what the block shows is in what it
    returns or raises, and the block would take very much longer than LIMIT without the property under test.
    """

    def late(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"did not end within {LIMIT:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LIMIT, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
