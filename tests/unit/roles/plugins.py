"""Plugins of roles, loaded as Ansible does it: by their paths, for no role is a package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

ROLES = Path(__file__).parents[3] / "roles"


def on_host(role: str) -> str:
    """Where Python finds what a role runs on a host, and the package that all of them share."""
    return f"{ROLES / role / 'files'}:{ROLES / 'collect' / 'files'}"


def role_plugin(role: str, kind: str, name: str) -> Any:
    """A plugin as a module, loaded anew; ``kind`` is its folder in the role, such as ``action_plugins``."""
    spec = importlib.util.spec_from_file_location(f"role_{name}", ROLES / role / kind / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
