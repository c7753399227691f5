"""``hardener workload proofs`` lists what is kept, and names what is damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from hardener.history.proofs import Proofs
from hardener.workload.proven import check
from tests.unit.workload.proofs import proven_files

Hardener = Callable[..., Result]


@pytest.mark.parametrize("damaged", [(), (0,), (1,), (0, 1)])
def test_a_damaged_proof_does_not_hide_others(
    hardener: Hardener, home: Path, tmp_path: Path, damaged: tuple[int, ...]
) -> None:
    stored = []
    for minute in (5, 6):
        folder = tmp_path / str(minute)
        folder.mkdir()
        files = proven_files(folder, ended=f"2026-11-27T10:{minute:02}:00Z")
        stored.append(Proofs(home).keep(check(files)))
    for number in damaged:
        stored[number].path.write_bytes(b"no archive")
    result = hardener("workload", "proofs")
    assert result.exit_code == (4 if damaged else 0)
    for number, proof in enumerate(stored):
        assert (proof.id in result.stdout) is (number not in damaged)
        assert (proof.path.name in result.stderr) is (number in damaged)
