"""What Ansible lets pass and no role can use."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from tests.unit.plugins.loading import ROLES, action

MODULE = action("check_variables")


@pytest.mark.parametrize(
    ("kind", "value"),
    [("bool", False), ("int", 0), ("list", []), ("list", ("a",)), ("dict", {}), ("str", 5), ("raw", "x")]
    + [(kind, None) for kind in ("bool", "int", "list", "dict")],
)
def test_what_is_as_it_should_be(kind: str, value: Any) -> None:
    assert MODULE.fault("x", {"type": kind}, value) == ""


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("bool", "false", "x must be true or false, and is a text ('false')"),
        ("bool", 1, "x must be true or false, and is of the type int ('1')"),
        ("int", "5", "x must be a number, and is a text ('5')"),
        ("int", True, "x must be a number, and is of the type bool ('True')"),
        ("list", "s3cret", "x must be a list, and is a text"),
        ("dict", ["s3cret"], "x must be a mapping, and is of the type list"),
    ],
)
def test_what_is_not(kind: str, value: Any, told: str) -> None:
    assert MODULE.fault("x", {"type": kind}, value) == told


def look(role: str | None, known: dict[str, Any]) -> Any:
    """The action as a task of `converge` that a role imports."""
    around = SimpleNamespace(_role=role and SimpleNamespace(_role_path=str(ROLES / role)), _parent=None)
    own = SimpleNamespace(_role=SimpleNamespace(_role_path=str(ROLES / "converge")), _parent=around)
    found = MODULE.ActionModule.__new__(MODULE.ActionModule)
    found._task = own
    found._templar = SimpleNamespace(template=lambda value: "" if value == "{{ empty }}" else value)
    return found._look(known)


def test_the_variables_are_those_of_the_role_around_it() -> None:
    with pytest.raises(
        AnsibleActionFail, match=r"kernel_settings must be a mapping.*; kernel_modules_kept must"
    ):
        look(
            "kernel",
            {"kernel_settings": "{{ empty }}", "kernel_modules_kept": "a", "audit_rules_exclude": "b"},
        )
    look("audit_rules", {"kernel_settings": "x"})


def test_it_needs_a_role() -> None:
    with pytest.raises(AnsibleActionFail, match=r"meta/argument_specs\.yml"):
        look(None, {})
