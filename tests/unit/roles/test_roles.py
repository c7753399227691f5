"""What every role with a document must have, and what runs on the hosts may use."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

from hardener import catalogue
from tests.unit.roles.plugins import ROLES
from tests.unit.snapshots import make

PROTECTIONS = sorted({path.parents[1].name for path in ROLES.glob("*/filter_plugins/*.py")})
DESCRIBED = sorted({path.parents[1].name for path in ROLES.glob("*/meta/argument_specs.yml")})
ON_HOST = sorted((ROLES / "converge" / "files").rglob("*.py"))


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
        for path in ROLES.glob(f"{role}/filter_plugins/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    collected = read("collect", "defaults/main.yml")["collect_facts"]
    assert isinstance(collected, list)
    assert texts & make().raw["sources"].keys() <= set(collected)


@pytest.mark.parametrize("path", ON_HOST, ids=lambda path: path.name)
def test_what_runs_on_the_hosts_is_python_3_8_and_stands_alone(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not imported & {"ansible", "hardener", "yaml", "jinja2", "tomllib", "zoneinfo"}
