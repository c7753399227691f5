"""Collect denials and engine events on the host for some time (`roles/activity/README.md`)."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail

from ..plugin_utils.host_script import PACKAGES, HostScriptAction, host_of
from ..plugin_utils.specification import documented

_SPARE = 120  # seconds beyond the requested time after which the host counts as hanging
_LONGEST = 24 * 3600
_TOLD = (
    "version",
    "began",
    "ended",
    "entries",
    "lost",
    "elsewhere",
    "deaf",
    "blind",
    "record",
    "record_problem",
)

_ARGUMENTS = documented(__name__)


class ActionModule(HostScriptAction):
    """The action; plugins/modules/activity.py documents it."""

    _VALID_ARGS = frozenset(_ARGUMENTS)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Collect for the requested time, and return the result."""
        super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        seconds = args["seconds"]
        if not 1 <= seconds <= _LONGEST:
            raise AnsibleActionFail(f"seconds is {seconds}: it must be from 1 to {_LONGEST}")
        answer = self.run_script(
            PACKAGES / "activity",
            entry="main:listen",
            arguments={"seconds": seconds, "socket": args["socket"], "limit": seconds + _SPARE},
            timeout=seconds + _SPARE,
            task_vars=task_vars,
        )
        told = _expected_fields(answer.result)
        self.see_it_fits(told)
        return {"changed": False, "inventory_host": host_of(task_vars), "ansible_facts": answer.facts, **told}


def _expected_fields(answer: Any) -> dict[str, Any]:
    """Return only the expected fields of an answer, since Ansible interprets some other keys.

    Raises:
        AnsibleActionFail: it is no answer.
    """
    if not isinstance(answer, dict) or not set(_TOLD) <= answer.keys():
        raise AnsibleActionFail("the host returned no record of its activity")
    return {key: answer[key] for key in _TOLD}
