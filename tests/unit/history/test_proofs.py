"""Proofs that are kept come back as they were, the newest first, and the oldest go."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.history.proofs import Kept, Proofs, StoredProof
from hardener.workload.proven import check
from tests.unit.workload.proofs import proven_files


@pytest.fixture
def proofs(tmp_path: Path) -> Proofs:
    return Proofs(tmp_path / "home")


def kept(proofs: Proofs, folder: Path, minute: int = 5) -> StoredProof:
    """Keep a proof that ended at this minute."""
    folder.mkdir(exist_ok=True)
    return proofs.keep(check(proven_files(folder, ended=f"2026-11-27T10:{minute:02}:00Z")))


def test_a_stored_proof_is_read_unchanged(proofs: Proofs, tmp_path: Path) -> None:
    stored = kept(proofs, tmp_path / "profile")
    again = proofs.proof("latest")
    assert again == stored
    assert again.files() == {
        path.name: path.read_bytes() for path in again_files(tmp_path / "profile", again)
    }
    assert stored.path.stat().st_mode & 0o777 == 0o600


def again_files(folder: Path, stored: StoredProof) -> list[Path]:
    """The files of a folder that a proof has."""
    return [path for path in folder.iterdir() if path.name in stored.files()]


def test_proofs_are_found_by_the_beginning_of_the_id_and_by_position_from_latest(
    proofs: Proofs, tmp_path: Path
) -> None:
    first, second = (kept(proofs, tmp_path / str(minute), minute) for minute in (5, 6))
    assert proofs.all() == Kept((second, first), ())
    assert proofs.proof("latest~1") == first
    assert proofs.proof(first.id[:8]) == first
    for name in ("", "none", "latest~2"):
        with pytest.raises(HardenerError, match=r"no proof has an id that begins with|there is no proof"):
            proofs.proof(name)


def test_a_proof_stored_twice_is_listed_once(proofs: Proofs, tmp_path: Path) -> None:
    assert kept(proofs, tmp_path / "profile") == kept(proofs, tmp_path / "profile")
    assert len(proofs.all().proofs) == 1


def test_the_oldest_proofs_are_removed_like_runs(proofs: Proofs, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "retention.yml").write_text("keep_runs: 2\n")
    minutes = [kept(proofs, tmp_path / str(minute), minute).ended for minute in (5, 6, 7)]
    assert [each.ended for each in proofs.all().proofs] == minutes[:0:-1]


def test_a_damaged_proof_is_an_error_that_names_its_file(proofs: Proofs, tmp_path: Path) -> None:
    stored = kept(proofs, tmp_path / "profile")
    whole = stored.path.read_bytes()
    head, _, body = gzip.decompress(whole).partition(b"\n")
    texts = {**json.loads(body), "proof.json": "{}"}
    for damaged in (b"", whole[:100], gzip.compress(b"{}\n{}"), gzip.compress(b"[\n"), b"\0" * 100):
        stored.path.write_bytes(damaged)
        with pytest.raises(HardenerError, match=stored.path.name):
            proofs.proof("latest").files()
    stored.path.write_bytes(gzip.compress(head + b"\n" + json.dumps(texts).encode()))
    with pytest.raises(HardenerError, match="is damaged"):
        proofs.proof("latest").files()


def test_a_damaged_proof_does_not_hide_others(proofs: Proofs, tmp_path: Path) -> None:
    stored = [kept(proofs, tmp_path / str(minute), minute) for minute in (5, 6, 7)]
    for damaged in stored:
        whole = damaged.path.read_bytes()
        damaged.path.write_bytes(whole[:40])
        found = proofs.all()
        assert found.proofs == tuple(each for each in reversed(stored) if each != damaged)
        (problem,) = found.problems
        assert damaged.path.name in problem.message
        damaged.path.write_bytes(whole)


def test_the_temporary_file_of_a_killed_process_is_removed(proofs: Proofs, tmp_path: Path) -> None:
    first = kept(proofs, tmp_path / "profile")
    old, new, foreign = (first.path.with_name(f".{first.path.name}.{end}") for end in ("11", "12", "part"))
    for path in (old, new, foreign):
        path.write_bytes(b"half")
    for path in (old, foreign):
        os.utime(path, (time.time() - 7200,) * 2)
    kept(proofs, tmp_path / "other", 6)
    assert [path.exists() for path in (old, new, foreign)] == [False, True, True]
