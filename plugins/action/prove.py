"""Try profiles of a container on twins, one after another (docs/workloads.md).

The stage `attempt` without a trial ends the run; `abandon` ends it at once. A run that is not ended stops at
its time limit. The original container is not touched.
"""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail

from ..plugin_utils.objects import TwinAction
from ..plugin_utils.specification import documented

_ARGUMENTS = documented(__name__)


class ActionModule(TwinAction):
    """The action; plugins/modules/prove.py documents it."""

    _VALID_ARGS = frozenset(_ARGUMENTS)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run one stage of a proof."""
        super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        if self._task.check_mode:
            return {
                "skipped": True,
                "changed": False,
                "msg": "not run in check mode: a proof starts containers",
            }
        if args["stage"] == "begin" and not args["container"]:
            raise AnsibleActionFail("the argument container is missing")
        return self.stage("prove", args, needs=("refusals",), told=_expected_fields, task_vars=task_vars)


def _expected_fields(stage: str, answer: Any) -> dict[str, Any]:
    """Return only the expected fields of an answer, since Ansible interprets some other keys.

    Raises:
        AnsibleActionFail: it is no answer.
    """
    if stage == "abandon":
        return {}
    keys = {
        "begin": ("run", "addresses", "container", "host", "missing", "problems"),
        "attempt": ("observed", "up", "empty", "problems"),
        "fill": ("up", "problems"),
    }
    if not isinstance(answer, dict) or not answer.keys() >= set(keys[stage]):
        raise AnsibleActionFail("the host returned no result of the proof")
    return {key: answer[key] for key in keys[stage]}
