"""Every action, filter and role is documented, by what Ansible itself shows; and says what the code does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.plugins.loading import COLLECTIONS, ROLES, ROOT, action

ACTIONS = sorted(path.stem for path in (ROOT / "plugins" / "action").glob("*.py"))
FILTERS = sorted(path.stem for path in (ROOT / "plugins" / "filter").glob("*.yml"))


def shown(kind: str, *names: str) -> dict[str, Any]:
    """What ansible-doc says of plugins, by their names without the collection's."""
    wanted = [f"hardener.docker.{name}" for name in names]
    ended = subprocess.run(
        [Path(sys.executable).with_name("ansible-doc"), "--json", "--type", kind, *wanted],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)},
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(ended.stdout)
    return {name.removeprefix("hardener.docker."): each for name, each in found.items()}


@pytest.fixture(scope="module")
def modules() -> dict[str, Any]:
    return shown("module", *ACTIONS)


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_is_documented_with_examples_and_return_values(
    modules: dict[str, Any], name: str
) -> None:
    found = modules[name]
    assert found["doc"]["has_action"]
    assert found["doc"]["short_description"]
    assert f"hardener.docker.{name}:" in found["examples"]
    assert all({"description", "type", "returned"} <= set(each) for each in found["return"].values())
    assert found["return"]


def test_every_documented_plugin_exists() -> None:
    assert sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")) == ACTIONS


class _Specified(Exception):  # noqa: N818 - it carries a specification
    def __init__(self, specification: dict[str, Any]) -> None:
        self.specification = specification


def specification(name: str) -> dict[str, Any]:
    """The arguments that an action takes, as it tells Ansible."""

    def told(argument_spec: dict[str, Any]) -> None:
        raise _Specified(argument_spec)

    found = action(name).ActionModule.__new__(action(name).ActionModule)
    found._task = SimpleNamespace(args={}, async_val=0, check_mode=False)
    found._connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/none"))
    found.validate_argument_spec = told
    with pytest.raises(_Specified) as specified:
        found.run(task_vars={})
    assert set(specified.value.specification) == found._VALID_ARGS
    return specified.value.specification


@pytest.mark.parametrize("name", ACTIONS)
def test_the_documented_options_of_an_action_are_its_parameters(modules: dict[str, Any], name: str) -> None:
    said = {
        option: {key: value for key, value in told.items() if key != "description" and value is not None}
        for option, told in modules[name]["doc"]["options"].items()
    }
    assert said == specification(name)


def test_every_filter_is_documented() -> None:
    filters: set[str] = set()
    for path in (ROOT / "plugins" / "filter").glob("*.py"):
        source = {"__name__": path.stem}
        exec(compile(path.read_text(), path, "exec"), source)
        maker: Any = source["FilterModule"]
        filters |= set(maker().filters())
    assert filters == set(FILTERS)
    found = shown("filter", *FILTERS)
    for name in FILTERS:
        assert f"hardener.docker.{name}" in found[name]["examples"]
        assert found[name]["return"]["_value"]["description"]


def test_every_role_is_documented() -> None:
    roles = sorted(path.name for path in ROLES.iterdir() if path.is_dir())
    found = shown("role", *roles)
    assert sorted(found) == roles
    for role in roles:
        points = found[role]["entry_points"]
        assert "main" in points, role
        assert all(point["short_description"] and point["description"] for point in points.values()), role
