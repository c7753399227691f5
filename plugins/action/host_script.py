"""Run a folder of Python sources on the host as one script: one round trip, no AnsiballZ package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..plugin_utils.host_script import HostScriptAction
from ..plugin_utils.specification import documented

_ARGUMENTS = documented(__name__)


class ActionModule(HostScriptAction):
    """The action; plugins/modules/host_script.py documents it."""

    _VALID_ARGS = frozenset(_ARGUMENTS)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the script that the task names."""
        super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        if self._task.check_mode and not args["read_only"]:
            return {"skipped": True, "changed": False, "msg": "not run in check mode (read_only is not set)"}
        answer = self.run_script(
            Path(self._find_needle("files", args["source"])),
            entry=args["entry"],
            arguments=args["arguments"],
            timeout=args["timeout"],
            task_vars=task_vars,
            repeatable=args["read_only"],
        )
        changed = not args["read_only"]
        if isinstance(answer.result, dict):
            changed = bool(answer.result.get("changed", changed))
        self.see_it_fits(answer.result)
        return {
            "changed": changed,
            "result": answer.result,
            "python": answer.python,
            "ansible_facts": answer.facts,
        }
