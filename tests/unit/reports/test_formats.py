from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hardener.reports.formats import FORMATS
from hardener.reports.interface import RunInfo, write_reports
from tests.unit.reports.conftest import assessment, gone, hostile_assessment


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_reports_every_host_the_same_way_twice(name: str, run: RunInfo, tmp_path: Path) -> None:
    hosts = [
        assessment("first.example.com"),
        gone("second"),
        hostile_assessment("\x1b[31m<b>\ud800=1"),
        gone(""),
    ]
    files = [tmp_path / "one", tmp_path / "two"]
    for path in files:
        write_reports(hosts, {path: FORMATS[name].report(run)})
    text = files[0].read_text(encoding="utf-8")
    assert "first.example.com" in text
    assert "second" in text
    assert "\x1b" not in text
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("name", FORMATS)
def test_the_name_is_a_name(name: str) -> None:
    assert name == FORMATS[name].name
    assert name.isalnum()


def test_the_files_of_all_formats_can_lie_side_by_side() -> None:
    assert len({each.file for each in FORMATS.values()}) == len(FORMATS)


def test_knowing_the_formats_loads_none() -> None:
    code = "import sys, hardener.reports.formats; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"jinja2", "junit_xml", "hardener.reports.native"} & set(loaded.split())
