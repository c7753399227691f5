from __future__ import annotations

from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.history.home import KEEP_DAYS, KEEP_RUNS, read_retention


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", (KEEP_RUNS, KEEP_DAYS)),
        ("keep_runs: 7\n", (7, KEEP_DAYS)),
        ("keep_days: 0.5\nkeep_runs: 1\n", (1, 0.5)),
        ("keep_days: 30", (KEEP_RUNS, 30.0)),
    ],
)
def test_limits_are_read_from_the_retention_file(tmp_path: Path, text: str, kept: tuple[int, float]) -> None:
    path = tmp_path / "retention.yml"
    path.write_text(text)
    assert read_retention(path) == kept


def test_without_a_retention_file_the_default_limits_apply(tmp_path: Path) -> None:
    assert read_retention(tmp_path / "retention.yml") == (KEEP_RUNS, KEEP_DAYS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keep_runs: 0", "keep_runs: .*greater"),
        ("keep_days: forever", "keep_days: "),
        ("keep_weeks: 3", "keep_weeks: "),
        ("- 3", "the file: "),
        ("a: [", "while parsing"),
        ("keep_runs: 99999999999999999999", "keep_runs: "),
        ("keep_days: 2026-31-12", "keep_days: "),
        ("keep_days: .inf", "keep_days: "),
        ("keep_runs: 12:30", "keep_runs: "),
        ("keep_runs: 5\nkeep_runs: 1", "keep_runs: appears twice"),
        ("!!timestamp x", "is not supported"),
    ],
)
def test_invalid_limits_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "retention.yml"
    path.write_text(text)
    with pytest.raises(HardenerError, match=f"{path}.*{message}"):
        read_retention(path)
