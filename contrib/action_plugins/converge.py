"""The action `converge` by its name of 0.1.0, for plays that use a clone (ansible.cfg); 1.0 removes it."""

from __future__ import annotations

from typing import Any

from ansible_collections.hardener.docker.plugins.action import converge
from ansible_collections.hardener.docker.plugins.plugin_utils import specification


class ActionModule(converge.ActionModule):
    """The action; plugins/modules/converge.py documents it."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Warn that the action has a new name, and run it."""
        specification.warn_renamed("action", "converge")
        return super().run(tmp, task_vars)
