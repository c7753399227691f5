from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import durations

REPORT = """
<testsuites><testsuite name="pytest">
<testcase classname="tests.system.test_guard" name="test_lock[a.b]@test_guard.py" time="12.345"/>
<testcase classname="tests.system.test_guard" name="test_disk" time="0.5"/>
<testcase classname="tests.system.test_guard.TestTimer" name="test_runs@test_guard.py" time="3"/>
</testsuite></testsuites>
"""


def test_new_durations_are_merged_with_known_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known, report = tmp_path / "durations.json", tmp_path / "system.xml"
    known.write_text('{"tests/e2e/test_other.py::test": 7, "tests/system/test_guard.py::test_disk": 9}')
    report.write_text(REPORT)
    monkeypatch.setattr(durations, "DURATIONS", known)
    durations.main([str(report)])
    assert json.loads(known.read_text()) == {
        "tests/e2e/test_other.py::test": 7,
        "tests/system/test_guard.py::TestTimer::test_runs": 3.0,
        "tests/system/test_guard.py::test_disk": 0.5,
        "tests/system/test_guard.py::test_lock[a.b]": 12.3,
    }
