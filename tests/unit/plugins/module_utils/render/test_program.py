from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.render.program import program, retired, start

from tests.unit.plugins.loading import LIBRARY

FOLDER = "/usr/local/lib/hardener/x"


@pytest.mark.parametrize("package", ["activity", "scan", "trust"])
def test_all_of_a_package_and_of_its_floor_is_installed(package: str) -> None:
    installed = {each["path"]: each["content_from"] for each in program(FOLDER, package) if "mode" in each}
    for name in (package, "docker", "host"):
        for path in (LIBRARY / name).rglob("*.py"):
            target = f"{FOLDER}/hardener_host/{path.relative_to(LIBRARY)}"
            assert Path(installed[target]).samefile(path)
    assert f"{FOLDER}/hardener_host/__init__.py" in installed


@pytest.mark.parametrize("package", ["activity", "scan", "snapshot", "trust"])
def test_what_earlier_versions_installed_goes(package: str) -> None:
    paths = retired(FOLDER, package)
    assert {f"{FOLDER}/host_{package}/main.py", f"{FOLDER}/host/descriptors.py"} <= set(paths)
    gone = [each["path"] for each in program(FOLDER, package) if each["kind"] == "absent"]
    assert gone == paths


def test_the_script_that_starts_it_is_python() -> None:
    text = start(FOLDER, "scan.main", "scans", interpreter="/usr/bin/python3 -IB")
    assert text.startswith("#!/usr/bin/python3 -IB\n")
    compile(text, "start", "exec")
