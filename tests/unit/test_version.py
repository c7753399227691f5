"""One version: the package, the collection, the changelog and the table of supported versions agree."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from hardener import __version__

ROOT = Path(__file__).parents[2]


def test_the_collection_has_the_version_of_the_package() -> None:
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"] == __version__
    assert (ROOT / "debian/changelog").read_text().startswith(f"hardener ({__version__}) ")


def test_the_bounds_of_ansible_core_are_the_versions_that_the_tests_use() -> None:
    required = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["requires_ansible"]
    lowest, below = re.findall(r"\d+(?:\.\d+)+", required)
    files = sorted((ROOT / ".ci").glob("constraints-*.txt"))
    used = [re.findall(r"^ansible-core==([\d.]+)", path.read_text(), re.MULTILINE) for path in files]
    numbers = sorted(tuple(map(int, version.split("."))) for versions in used for version in versions)
    assert numbers[0] == tuple(map(int, lowest.split(".")))
    major, minor = numbers[-1][:2]
    assert below == f"{major}.{minor + 1}.0"
    minors = {number[1] for number in numbers}
    assert minors == set(range(numbers[0][1], minor + 1))
    bounds = f'"ansible-core>={lowest},<{major}.{minor + 1}"'
    assert bounds in (ROOT / "pyproject.toml").read_text()


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
