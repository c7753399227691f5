"""One version: the package, the collection, the changelog and the table of supported versions agree."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from hardener import __version__

ROOT = Path(__file__).parents[2]


def test_the_collection_has_the_version_of_the_package() -> None:
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"] == __version__


def test_the_changelog_has_a_section_for_the_version() -> None:
    sections = re.findall(
        r"^## \[([^]]+)\](?: - (\d{4}-\d{2}-\d{2}))?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert sections[0] == ("Unreleased", "")
    assert sections[1][0] == __version__
    assert sections[1][1]


def test_security_fixes_are_promised_for_the_minor_version() -> None:
    assert (
        f"the latest minor version ({__version__.rpartition('.')[0]})" in (ROOT / "SECURITY.md").read_text()
    )
