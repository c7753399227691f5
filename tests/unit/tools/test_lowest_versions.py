from __future__ import annotations

from pathlib import Path

import pytest
from packaging.version import Version

from tools import lowest_versions

ROOT = Path(__file__).parents[3]


def test_constraints_are_the_lower_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    lowest_versions.main(ROOT / "pyproject.toml")
    bounds = _versions(capsys.readouterr().out)
    installed = _versions((ROOT / ".ci" / "constraints-lowest.txt").read_text())
    assert {name: installed.get(name) for name in bounds} == bounds, "run: make lock-lowest"


def test_a_dependency_without_a_lower_bound_is_an_error(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\ndependencies = ["click"]\n')
    with pytest.raises(SystemExit, match="'click' names no lowest version"):
        lowest_versions.main(project)


def _versions(constraints: str) -> dict[str, Version]:
    pins = (line.removesuffix(" \\").split("==") for line in constraints.splitlines() if "==" in line)
    return {name.lower(): Version(version) for name, version in pins}
