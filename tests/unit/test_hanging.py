"""A block that hangs ends, and nothing of that stays behind."""

from __future__ import annotations

import signal
import time

import pytest

from tests import hanging
from tests.hanging import must_end


def test_a_block_that_hangs_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hanging, "LIMIT", 0.1)
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(pytest.fail.Exception, match=r"^did not end within 0\.1 s$"), must_end():
        time.sleep(3600)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_cleanup_that_hangs_after_a_failure_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hanging, "LIMIT", 0.1)
    monkeypatch.setattr(hanging, "_AGAIN", 0.1)

    def hang_twice() -> None:
        try:
            time.sleep(3600)
        finally:
            time.sleep(3600)

    with pytest.raises(pytest.fail.Exception), must_end():
        hang_twice()


def test_a_block_that_ends_leaves_no_timer() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with must_end():
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is before
