"""What every role with a document must have, for people and for the collector."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest
import yaml

from hardener import catalogue
from tests.unit.plugins.loading import LIBRARY, ROLES
from tests.unit.snapshots import make

IMPORTED = r"name: hardener\.docker\.(\w+)\n +tasks_from: (\w+)"
PROTECTIONS = sorted(path.stem for path in (LIBRARY / "render").glob("*.py") if (ROLES / path.stem).is_dir())


def read(role: str, file: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((ROLES / role / file).read_text())
    return data


def test_every_role_specifies_its_variables() -> None:
    for role in (path for path in ROLES.iterdir() if path.is_dir()):
        for point, specification in read(role.name, "meta/argument_specs.yml")["argument_specs"].items():
            assert {"short_description", "description", "options"} <= set(specification), (role, point)
            assert all(option.get("description") for option in specification["options"].values()), role


def test_tasks_imported_from_a_role_have_specifications() -> None:
    for path in [*ROLES.glob("*/tasks/*.yml"), *ROLES.parent.glob("playbooks/*.yml")]:
        for role, point in re.findall(
            r"name: hardener\.docker\.(\w+)\n +tasks_from: (\w+)", path.read_text()
        ):
            assert point in read(role, "meta/argument_specs.yml")["argument_specs"], path


def test_every_remediation_of_the_catalogue_names_a_variable_of_a_role() -> None:
    for control in catalogue.every_control():
        remediation = control.remediation
        if remediation:
            assert remediation.variable in read(remediation.role, "defaults/main.yml"), control.slug


@pytest.mark.parametrize("role", PROTECTIONS)
def test_the_facts_that_a_role_needs_are_collected(role: str) -> None:
    texts = {
        node.value
        for path in [
            *(LIBRARY / "render").glob(f"{role}*.py"),
            *(LIBRARY / "subjects").glob("*.py"),
            LIBRARY / "render" / "hostview.py",
        ]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    collected = read("collect", "defaults/main.yml")["collect_facts"]
    assert texts & make().raw["sources"].keys() <= set(collected)
