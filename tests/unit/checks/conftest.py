"""Judge one control of one snapshot by its slug."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hardener.checks import all_checks
from hardener.model import Verdict
from hardener.snapshot import Snapshot

Judge = Callable[[str, Snapshot], Verdict]


@pytest.fixture
def judge() -> Judge:
    """``judge("daemon-icc-disabled", make(...))`` gives the check's verdict; missing facts raise."""
    checks = all_checks()

    def judge_one(slug: str, snapshot: Snapshot) -> Verdict:
        verdict = checks[slug](snapshot)
        assert verdict.expected, slug
        assert verdict.actual, slug
        assert "\n" not in verdict.expected + verdict.actual, slug
        return verdict

    return judge_one
