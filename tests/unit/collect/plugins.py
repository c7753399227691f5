"""The role's action plugins, imported the way a test can."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

ROLE = Path(__file__).parents[3] / "roles" / "collect"


@cache
def plugin(name: str) -> ModuleType:
    """An action plugin of the role as a module."""
    spec = importlib.util.spec_from_file_location(f"role_{name}", ROLE / "action_plugins" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
