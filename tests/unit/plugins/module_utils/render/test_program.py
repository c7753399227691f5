from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.render.program import program, retired, start

from tests.unit.plugins.loading import LIBRARY

FOLDER = "/usr/local/lib/hardener/x"


@pytest.mark.parametrize("package", ["activity", "scan", "trust"])
def test_a_program_is_installed_with_all_its_packages(package: str) -> None:
    installed = {each["path"]: each["content_from"] for each in program(FOLDER, package) if "mode" in each}
    for name in (package, "docker", "host"):
        for path in (LIBRARY / name).rglob("*.py"):
            target = f"{FOLDER}/hardener_host/{path.relative_to(LIBRARY)}"
            assert Path(installed[target]).samefile(path)
    assert f"{FOLDER}/hardener_host/__init__.py" in installed


@pytest.mark.parametrize("package", ["activity", "scan", "snapshot", "trust"])
def test_files_of_earlier_versions_are_removed(package: str) -> None:
    paths = retired(FOLDER, package)
    assert {f"{FOLDER}/host_{package}/main.py", f"{FOLDER}/host/descriptors.py"} <= set(paths)
    gone = [each["path"] for each in program(FOLDER, package) if each["kind"] == "absent"]
    assert gone == paths


def test_the_start_script_is_valid_python() -> None:
    text = start(FOLDER, "scan.main", "scans", interpreter="/usr/bin/python3 -IB")
    assert text.startswith("#!/usr/bin/python3 -IB\n")
    compile(text, "start", "exec")
