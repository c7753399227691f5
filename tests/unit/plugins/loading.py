"""The collection's plugins as modules, and where its parts are."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
COLLECTIONS = ROOT / ".collections"
ROLES = ROOT / "roles"
LIBRARY = ROOT / "plugins" / "module_utils"
_PLUGINS = "ansible_collections.hardener.docker.plugins"


def render(name: str) -> Any:
    """A module that renders documents."""
    return importlib.import_module(f"{_PLUGINS}.module_utils.render.{name}")


def action(name: str) -> Any:
    """The module of an action."""
    return importlib.import_module(f"{_PLUGINS}.action.{name}")
