from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
NAMES = {"ansible-core": "ansible-core", "pyyaml": "python3-yaml", "junit-xml": "python3-junit.xml"}


def test_the_debian_package_is_built_with_every_dependency_in_its_lowest_version() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    control = (ROOT / "debian/control").read_text()
    built_with = dict(re.findall(r"^ (\S+?)(?: \(>= (\S+)\))?,$", control, re.MULTILINE))
    for name, lowest in re.findall(r"^([\w-]+)[>=]=([\d.]+)", "\n".join(wanted), re.MULTILINE):
        assert built_with[NAMES.get(name, f"python3-{name}")] in ("", lowest), name
