"""Verify the images of a host against a policy, and write the record that the next audit judges."""

from __future__ import annotations

import json
from typing import Any

from ansible.errors import AnsibleActionFail

from ..plugin_utils.host_script import PACKAGES, HostScriptAction, host_of
from ..plugin_utils.specification import documented

_TIMEOUT = 900  # seconds
_MOST = 10_000
_LONGEST = 500
_TEXTS = ("id", "status", "detail", "rule")

_ARGUMENTS = documented(__name__)


class ActionModule(HostScriptAction):
    """The action; plugins/modules/verify_images.py documents it."""

    _VALID_ARGS = frozenset(_ARGUMENTS)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Verify the images on the host, and return the result."""
        super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        if self._task.check_mode:
            return {"skipped": True, "changed": False, "msg": "not run in check mode: it writes a record"}
        answer = self.run_script(
            PACKAGES / "trust",
            entry="main:verify",
            # YAML has dates, JSON has none
            arguments={
                **args,
                "policy": json.loads(json.dumps(args["policy"], default=str)),
                "limit": _TIMEOUT,
            },
            timeout=_TIMEOUT,
            task_vars=task_vars,
        )
        try:
            result = _expected_fields(answer.result)
        except (KeyError, TypeError, ValueError):
            raise AnsibleActionFail("the host gave no record of its images") from None
        self.see_it_fits(result)
        return {
            "changed": False,
            "inventory_host": host_of(task_vars),
            "ansible_facts": dict(answer.facts),
            **result,
        }


def _expected_fields(answer: Any) -> dict[str, Any]:
    """Return only the expected fields of a record, since Ansible interprets some other keys.

    Raises:
        KeyError, TypeError, ValueError: it is no record.
    """
    if not isinstance(answer["elapsed_ms"], int):  # json.loads accepts Infinity
        raise ValueError("elapsed_ms is not a number")
    if len(answer["images"]) > _MOST:
        raise ValueError(f"images has more than {_MOST} entries")
    return {
        "verified_at": str(answer["verified_at"])[:_LONGEST],
        "elapsed_ms": answer["elapsed_ms"],
        "images": [_image(image) for image in answer["images"]],
    }


def _image(image: dict[str, Any]) -> dict[str, Any]:
    return {
        **{key: str(image[key])[:_LONGEST] for key in _TEXTS},
        "names": [str(name)[:_LONGEST] for name in image["names"]],
        "containers": [
            {
                "name": str(container["name"])[:_LONGEST],
                "running": container["running"] is True,
                "by_digest": container["by_digest"] is True,
            }
            for container in image["containers"]
        ],
    }
