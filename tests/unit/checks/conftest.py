"""Judge one control of one snapshot by its slug, and keep book of which verdicts were proven."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardener.checks import all_checks
from hardener.model import Verdict
from hardener.snapshot import Snapshot
from tests.unit.checks.judging import PROVEN, Judge

_ACCOUNT = "test_every_control_has_given_each_of_its_possible_verdicts"


@pytest.fixture
def judge() -> Judge:
    """``judge("daemon-icc-disabled", make(...))`` gives the check's verdict; missing facts raise."""
    checks = all_checks()

    def judge_one(slug: str, snapshot: Snapshot) -> Verdict:
        verdict = checks[slug](snapshot)
        assert verdict.expected, slug
        assert verdict.actual, slug
        assert "\n" not in verdict.expected + verdict.actual, slug
        PROVEN[slug].add(verdict.status)
        return verdict

    return judge_one


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The account is drawn up last, and only where every test of the checks runs."""
    here = Path(__file__).parent
    collected = {item.path for item in items}
    accounts = [item for item in items if item.name == _ACCOUNT]
    others = [item for item in items if item.name != _ACCOUNT]
    if accounts and not collected.issuperset(here.rglob("test_*.py")):
        config.hook.pytest_deselected(items=accounts)
        accounts = []
    items[:] = others + accounts
