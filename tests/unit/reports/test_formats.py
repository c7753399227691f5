from __future__ import annotations

import subprocess
import sys

import pytest

from hardener.reports.formats import FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_the_names_of_formats_are_valid(name: str) -> None:
    assert name == FORMATS[name].name
    assert name.isalnum()


def test_file_names_of_formats_are_unique() -> None:
    assert len({each.file for each in FORMATS.values()}) == len(FORMATS)


def test_listing_formats_imports_no_format() -> None:
    code = "import sys, hardener.reports.formats; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"jinja2", "junit_xml", "hardener.reports.native"} & set(loaded.split())
