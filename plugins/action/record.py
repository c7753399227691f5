"""Record the system calls, capabilities and files that containers use (docs/recordings.md)."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail

from ..plugin_utils.objects import TwinAction
from ..plugin_utils.specification import documented

_ARGUMENTS = documented(__name__)


class ActionModule(TwinAction):
    """The action; plugins/modules/record.py documents it."""

    _VALID_ARGS = frozenset(_ARGUMENTS)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run one stage of a recording."""
        super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        if self._task.check_mode:
            return {
                "skipped": True,
                "changed": False,
                "msg": "not run in check mode: a recording starts a container",
            }
        if args["stage"] == "begin" and bool(args["container"]) == bool(args["compose"]):
            raise AnsibleActionFail("give exactly one of container and compose")
        if args["restart"] and (args["compose"] or args["network"] == "same"):
            raise AnsibleActionFail("restart is for one container, and excludes compose and network: same")
        return self.stage(
            "main", args, needs=("calls", "capabilities", "opens"), told=_expected_fields, task_vars=task_vars
        )


def _expected_fields(stage: str, answer: Any) -> dict[str, Any]:
    """Return only the expected fields of an answer, since Ansible interprets some other keys.

    Raises:
        AnsibleActionFail: it is no answer.
    """
    if stage == "abandon":
        return {}
    keys = {
        "begin": ("run", "addresses", "empty", "problems"),
        "fill": ("problems",),
        "end": ("recordings", "problems"),
    }
    if not isinstance(answer, dict) or not answer.keys() >= set(keys[stage]):
        raise AnsibleActionFail("the host returned no recording")
    return {key: answer[key] for key in keys[stage]}
