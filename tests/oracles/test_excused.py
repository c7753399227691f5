"""The conditions that no oracle can find are those of the judges as they are."""

from __future__ import annotations

from tests.oracles import mutants


def test_every_excuse_is_about_a_condition() -> None:
    assert mutants.stale() == []
