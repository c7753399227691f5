"""Require that a maintenance window of the host is open, before a play changes the host."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils.guarded import closed
from ..plugin_utils.specification import documented

_ARGUMENTS = documented(__name__)


class ActionModule(ActionBase):
    """The action; plugins/modules/window.py documents it."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(_ARGUMENTS)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail outside the maintenance windows; in check mode report the failure only."""
        super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        result = closed(args["windows"])
        if result and self._task.check_mode:
            return {"changed": False, "msg": f"the host would not be changed now: {result['reason']}"}
        return result or {"changed": False, "msg": "the host may be changed now"}
