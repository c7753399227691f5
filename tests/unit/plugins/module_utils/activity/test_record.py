"""The record: whole or not at all, and read with distrust."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.activity import record
from ansible_collections.hardener.docker.plugins.module_utils.activity.tally import Baseline, Sighting, Tally
from ansible_collections.hardener.docker.plugins.module_utils.contract import ACTIVITY_FORMAT
from ansible_collections.hardener.docker.plugins.module_utils.host.text import NAME, SHORT, shown

from tests.small_disk import no_file_past

GOOD: dict[str, Any] = {
    "schema": ACTIVITY_FORMAT,
    "entries": [],
    "baseline": {},
    "lost": {},
    "deaf": [],
    "blind": [],
    "began": 1.0,
    "ended": 2,
    "learning": 86400.0,
}


def test_a_record_is_readable_by_root_alone(tmp_path: Path) -> None:
    folder = tmp_path / "activity"
    record.write(GOOD, str(folder))
    assert record.read(str(folder)) == (GOOD, "")
    assert (folder.stat().st_mode & 0o777, (folder / "record.json").stat().st_mode & 0o777) == (0o700, 0o600)
    record.write({**GOOD, "ended": 3}, str(folder))
    found, _ = record.read(str(folder))
    assert found is not None
    assert found["ended"] == 3
    assert [path.name for path in folder.iterdir()] == ["record.json"]


def test_a_missing_record_is_not_a_problem(tmp_path: Path) -> None:
    assert record.read(str(tmp_path)) == (None, "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is not JSON"),
        ("[" * 100000, "is not JSON"),
        ("[]", "is not a record that this version reads"),
        (json.dumps({**GOOD, "schema": "other"}), "is not a record that this version reads"),
        (json.dumps({**GOOD, "baseline": []}), "baseline has the wrong type"),
        (json.dumps({**GOOD, "began": True}), "began has the wrong type"),
        (json.dumps({**GOOD, "x": "y" * 17_000_000}), "is larger than"),
    ],
)
def test_an_invalid_record_is_reported_with_the_reason(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "record.json").write_text(content)
    found, problem = record.read(str(tmp_path))
    assert found is None
    assert reason in problem


def test_links_and_pipes_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "record.json").symlink_to("/etc/shadow")
    assert "Too many levels" in record.read(str(tmp_path))[1]
    (tmp_path / "record.json").unlink()
    os.mkfifo(tmp_path / "record.json")
    assert "is not a regular file" in record.read(str(tmp_path))[1]


def test_a_full_disk_keeps_the_previous_record(tmp_path: Path) -> None:
    record.write(GOOD, str(tmp_path))
    with no_file_past(1_000_000), pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        record.write({**GOOD, "x": "y" * 3_000_000}, str(tmp_path))
    assert record.read(str(tmp_path)) == (GOOD, "")
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_the_largest_possible_record_can_be_read(tmp_path: Path) -> None:
    worst = "\U0001f600" * 300  # four bytes each; what cannot be printed is shorter
    tally, baseline = Tally(), Baseline(0)
    for number in range(2000):
        for example in range(4):
            one = Sighting(
                float(number),
                "selinux",
                f"{number} {'x' * 190}",
                "denied",
                "capability",
                "high",
                f"{example}{worst}",
                f"{example}{worst}",
                f"{number:064x}",
                shown(worst, NAME),
                shown(f"{number}{worst}", NAME),
                f"not attributed ({shown(worst, SHORT)})",
            )
            tally.add(one)
    for image in range(200):
        for kind in range(100):
            one = one._replace(image=shown(f"{image}{worst}", NAME), kind=f"{kind} {'x' * 190}")
            baseline.learn(one)
    full = {**GOOD, "entries": tally.data(baseline), "baseline": baseline.data()}
    record.write(full, str(tmp_path))
    assert record.read(str(tmp_path)) == (full, "")
    assert (tmp_path / "record.json").stat().st_size < record._LARGEST
    again = Tally()
    again.restore(full["entries"])
    assert again.data(baseline) == full["entries"]


def test_an_installed_collector_that_writes_nothing_is_reported(tmp_path: Path) -> None:
    unit = tmp_path / "hardener-activity.service"
    fresh, stale = {**GOOD, "ended": time.time() - 60}, {**GOOD, "ended": 1795616400.0 - 10**8}
    for past in (None, fresh, stale):
        assert record.silence(past, str(unit)) == ""
    unit.write_text("x")
    for past in (None, fresh):
        assert record.silence(past, str(unit)) == ""  # it was installed this very minute
    assert record.silence(stale, str(unit)) == (
        "the collector has written nothing since 2023-09-25 04:33:20 UTC:"
        " systemctl status hardener-activity.service"
    )
    os.utime(unit, (1, 1))
    assert record.silence(None, str(unit)).startswith(
        "the collector has written nothing since 1970-01-01 00:00:01 UTC"
    )
