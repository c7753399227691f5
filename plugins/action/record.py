"""Record the system calls, capabilities and files that containers use (docs/recordings.md)."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail

from ..plugin_utils.objects import TwinAction


class ActionModule(TwinAction):
    """The action; plugins/modules/record.py documents it."""

    _VALID_ARGS = frozenset(
        {
            "stage",
            "container",
            "compose",
            "seconds",
            "run_in",
            "run_in_service",
            "network",
            "restart",
            "install",
            "forward",
            "run",
            "owner",
            "exercise",
            "socket",
            "starts",
        }
    )

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run one stage of a recording."""
        super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(
            argument_spec={
                "stage": {"type": "str", "required": True, "choices": ["begin", "end", "abandon"]},
                "container": {"type": "str", "default": ""},
                "compose": {"type": "dict", "default": {}},
                "seconds": {"type": "int", "default": 300},
                "run_in": {"type": "list", "elements": "str", "default": []},
                "run_in_service": {"type": "str", "default": ""},
                "network": {"type": "str", "default": "own", "choices": ["own", "same"]},
                "restart": {"type": "bool", "default": False},
                "install": {"type": "bool", "default": False},
                "forward": {"type": "bool", "default": False},
                "owner": {"type": "dict", "default": {}},
                "run": {"type": "str", "default": ""},
                "exercise": {"type": "dict", "default": {}},
                "socket": {"type": "str", "default": ""},
                "starts": {"type": "int", "default": 3},
            }
        )
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
    keys = ("run", "addresses", "problems") if stage == "begin" else ("recordings", "problems")
    if not isinstance(answer, dict) or not answer.keys() >= set(keys):
        raise AnsibleActionFail("the host returned no recording")
    return {key: answer[key] for key in keys}
