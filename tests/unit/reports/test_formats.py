from __future__ import annotations

import subprocess
import sys

import pytest

from hardener.reports.formats import FORMATS


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
