"""Roll a host back to its state before a run, or list its runs (`roles/converge/README.md`)."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail

from ..module_utils.contract import PARTLY_ROLLED_BACK, REFUSED
from ..plugin_utils.transaction import TransactionAction

_TAKES_BACK = 3600  # seconds for rolling back all runs together


class ActionModule(TransactionAction):
    """The action; plugins/modules/rollback.py documents it."""

    _VALID_ARGS = frozenset({"run", "list"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Roll the host back, and return its changes."""
        super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(
            argument_spec={
                "run": {"type": "str", "default": ""},
                "list": {"type": "bool", "default": False},
            }
        )
        result: dict[str, Any] = self.ask(
            "main:rollback",
            {
                **args,
                "who": self.requester,
                "check": bool(self._task.check_mode),
                **self.numbered(task_vars),
            },
            task_vars=task_vars,
            patience=_TAKES_BACK,
        )
        if any(isinstance(run, str) is args["list"] for run in result.get("runs", ())):
            raise AnsibleActionFail("the host gave no result of the rollback: the list of runs is missing")
        if not self._task.diff:
            result.pop("diff", None)
        try:
            result["msg"] = _summary(result, listing=args["list"])
        except LookupError as error:
            raise AnsibleActionFail(f"the host gave no result of the rollback: {error} is missing") from None
        return result


def _summary(result: dict[str, Any], *, listing: bool) -> str:
    """Return a one-line summary of the result."""
    if result["outcome"] == REFUSED:
        return f"nothing was changed: {result['reason']}"
    if result["outcome"] == PARTLY_ROLLED_BACK:
        kept = "; ".join(map(str, result["kept"]))
        return f"{_restored_run(result['runs'])}, except what was changed on the host meanwhile ({kept})"
    if result.get("failed"):
        return f"{result['reason']}: {'; '.join(map(str, result.get('problems', ())))}"
    runs = result["runs"]
    if listing:
        return f"{len(runs)} run{'' if len(runs) == 1 else 's'}"
    if not runs:
        return "there is no run to roll back"
    return _restored_run(runs)


def _restored_run(runs: list[str]) -> str:
    return f"back to before run {runs[-1]}" + (f" ({len(runs)} runs)" if len(runs) > 1 else "")
