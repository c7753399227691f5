"""The role's action plugins, imported the way a test can."""

from __future__ import annotations

from functools import cache
from types import ModuleType

from tests.unit.roles.plugins import ROLES, role_plugin

ROLE = ROLES / "collect"


@cache
def plugin(name: str) -> ModuleType:
    """An action plugin of the role as a module."""
    module: ModuleType = role_plugin("collect", "action_plugins", name)
    return module
