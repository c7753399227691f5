"""What every role with a document must have, for people and for the collector."""

from __future__ import annotations

import ast

import pytest
import yaml

from hardener import catalogue
from tests.unit.plugins.loading import LIBRARY, ROLES
from tests.unit.snapshots import make

PROTECTIONS = sorted(path.stem for path in (LIBRARY / "render").glob("*.py") if (ROLES / path.stem).is_dir())
DESCRIBED = sorted({path.parents[1].name for path in ROLES.glob("*/meta/argument_specs.yml")})


def read(role: str, file: str) -> dict[str, object]:
    data: dict[str, object] = yaml.safe_load((ROLES / role / file).read_text())
    return data


@pytest.mark.parametrize("role", DESCRIBED)
def test_defaults_and_argument_specs_say_the_same(role: str) -> None:
    defaults = read(role, "defaults/main.yml")
    specs = read(role, "meta/argument_specs.yml")["argument_specs"]
    assert isinstance(specs, dict)
    options = specs["main"]["options"]
    assert {name: option["default"] for name, option in options.items() if name.startswith(role)} == defaults
    assert all(option.get("description") for option in options.values())


@pytest.mark.parametrize("role", PROTECTIONS)
def test_every_variable_is_described_for_people(role: str) -> None:
    text = (ROLES / role / "README.md").read_text()
    assert [name for name in read(role, "defaults/main.yml") if f"`{name}`" not in text] == []


def test_what_the_catalogue_promises_to_remediate_exists() -> None:
    for control in catalogue.every_control():
        remediation = control.remediation
        if remediation:
            assert remediation.variable in read(remediation.role, "defaults/main.yml"), control.slug


@pytest.mark.parametrize("role", PROTECTIONS)
def test_what_a_role_asks_of_the_host_is_collected_for_it(role: str) -> None:
    texts = {
        node.value
        for path in (LIBRARY / "render").glob(f"{role}*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    collected = read("collect", "defaults/main.yml")["collect_facts"]
    assert isinstance(collected, list)
    assert texts & make().raw["sources"].keys() <= set(collected)
