"""Restore a host to its state before hardener, and remove hardener from it (`roles/converge/README.md`)."""

from __future__ import annotations

from typing import Any

from ..module_utils.contract import CHANGED, UNCHANGED, WOULD_CHANGE
from ..plugin_utils.guarded import PREDICTS, GuardedAction, believe, ending
from ..plugin_utils.specification import documented

_ARGUMENTS = documented(__name__)


class ActionModule(GuardedAction):
    """The action; plugins/modules/release.py documents it."""

    _VALID_ARGS = frozenset(_ARGUMENTS)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Release the host, and return its changes."""
        super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        check = bool(self._task.check_mode)
        arguments = {**args, "check": check, **self.numbered(task_vars)}
        if not check and (outside := self._closed(task_vars or {})):
            return outside
        # For a release too: on a host that gives no prediction, nothing has begun.
        result: dict[str, Any] = self.ask(
            "main:release", {**arguments, "check": True}, task_vars=task_vars, timeout=PREDICTS
        )
        if not check:
            result = self._guarded(
                arguments, task_vars=task_vars or {}, entry="main:release", forgets=not args["role"]
            )
        believe(result, check=check)
        if result["outcome"] == CHANGED and result.get("kept"):
            result["failed"] = True
        if not self._task.diff:
            result.pop("diff", None)
        result["msg"] = _summary(result, role=args["role"])
        result["warnings"] = [f"pending: {note}" for note in result.get("pending", ())]
        return result


def _summary(result: dict[str, Any], *, role: str) -> str:
    """Return a one-line summary of the result."""
    if text := ending(result):
        return text
    what = f"what the role {role} owns" if role else "the host"
    if result["outcome"] == UNCHANGED:
        return f"nothing to do: {'the role ' + role if role else 'hardener'} has no changes on this host"
    said = f"{what} is {'to be ' if result['outcome'] == WOULD_CHANGE else ''}restored"
    parts = [f"{change['what']} {change['path']}" for change in result.get("changes", ())]
    parts += [activation["action"] for activation in result.get("activations", ())]
    if result.get("kept"):
        said += f", except what was changed on the host meanwhile ({'; '.join(map(str, result['kept']))})"
    return f"{said}: {'; '.join(parts)}" if parts else said
