"""What Ansible lets pass and no role can use; and where a variable is specified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.hardener.docker.plugins.plugin_utils import specification

from tests.unit.plugins.loading import ROLES


@pytest.mark.parametrize(
    ("kind", "value"),
    [("bool", False), ("int", 0), ("list", []), ("list", ("a",)), ("dict", {}), ("str", 5), ("raw", "x")]
    + [(kind, None) for kind in ("bool", "int", "list", "dict")],
)
def test_valid_values_are_accepted(kind: str, value: Any) -> None:
    assert specification.fault("x", {"type": kind}, value) == ""


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("bool", "false", "x must be true or false, but is a string ('false')"),
        ("bool", 1, "x must be true or false, but is of the type int ('1')"),
        ("int", "5", "x must be a number, but is a string ('5')"),
        ("int", True, "x must be a number, but is of the type bool ('True')"),
        ("list", "s3cret", "x must be a list, but is a string"),
        ("dict", ["s3cret"], "x must be a mapping, but is of the type list"),
    ],
)
def test_invalid_values_are_refused(kind: str, value: Any, told: str) -> None:
    assert specification.fault("x", {"type": kind}, value) == told


def test_variables_of_the_main_entry_point_are_read() -> None:
    assert "kernel_settings" in specification.variables(ROLES / "kernel")
    assert "converge_package" not in specification.shared()
    assert specification.shared()["converge_defer"]["type"] == "bool"


def test_a_role_without_a_specification_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        AnsibleActionFail, match=r"meta/argument_specs\.yml, .* cannot be read: .*No such file"
    ):
        specification.variables(tmp_path)
