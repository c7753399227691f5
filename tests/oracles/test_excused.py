"""The conditions that no oracle can find are those of the judges as they are."""

from __future__ import annotations

from tests.oracles import mutants


def test_every_condition_excused_from_the_oracles_still_exists() -> None:
    assert mutants.stale() == []
