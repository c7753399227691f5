"""Roll a host back to its state before a run, or list its runs (`roles/converge/README.md`)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from ..module_utils.contract import (
    CHANGED,
    CONFIRM_TIMEOUT,
    INTERRUPTED,
    PARTLY_ROLLED_BACK,
    REFUSED,
    ROLLBACK_FAILED,
    ROLLED_BACK,
    UNKNOWN,
    WOULD_CHANGE,
)
from ..plugin_utils.guarded import PREDICTS, GuardedAction, error_line, was_never_there
from ..plugin_utils.specification import documented

_TAKES_BACK = 3600  # seconds for rolling back all runs together

_ARGUMENTS = documented(__name__)


class ActionModule(GuardedAction):
    """The action; plugins/modules/rollback.py documents it."""

    _VALID_ARGS = frozenset(_ARGUMENTS)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Roll the host back, and return its changes."""
        super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        arguments = {**args, "who": self.requester, **self.numbered(task_vars)}
        if args["list"] or self._task.check_mode:
            result = self._predicted(arguments, task_vars=task_vars)
        else:
            result = self._rolled_back(arguments, task_vars=task_vars or {})
        if any(isinstance(run, str) is args["list"] for run in result.get("runs", ())):
            raise AnsibleActionFail("the host gave no result of the rollback: the list of runs is missing")
        if not self._task.diff:
            result.pop("diff", None)
        try:
            result["msg"] = _summary(result, listing=args["list"])
        except LookupError as error:
            raise AnsibleActionFail(f"the host gave no result of the rollback: {error} is missing") from None
        return result

    def _predicted(self, arguments: Mapping[str, Any], *, task_vars: Any) -> dict[str, Any]:
        """Return what a rollback would do, or the list of runs."""
        found: dict[str, Any] = self.ask(
            "main:rollback", {**arguments, "check": True}, task_vars=task_vars, timeout=PREDICTS
        )
        return found

    def _rolled_back(self, arguments: Mapping[str, Any], *, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Roll the host back; after a lost connection, return what the host has recorded.

        A second call for the last run would roll back one more.

        Raises:
            AnsibleConnectionFailure, AnsibleActionFail: nothing was rolled back, or the host cannot be
                reached any more.
        """
        predicted = self._predicted(arguments, task_vars=task_vars)
        if predicted["outcome"] != WOULD_CHANGE:
            return predicted
        runs = predicted.get("runs")
        if not runs or not all(isinstance(run, str) for run in runs):
            raise AnsibleActionFail("the host gave no result of the rollback: the list of runs is missing")
        token = secrets.token_hex(8)
        asked = {**arguments, "check": False, "runs": runs, "token": token}
        try:
            return self._begun("main:rollback", asked, task_vars=task_vars, patience=_TAKES_BACK)
        except (AnsibleConnectionFailure, AnsibleActionFail) as lost:
            if was_never_there(lost):
                raise
            settled = self._reconnected(
                token, CONFIRM_TIMEOUT, task_vars=task_vars, forgets=False, error=lost
            )
            if settled["outcome"] != UNKNOWN:  # the host cannot be reached, or is still at work
                raise
            listed = self._predicted({"list": True}, task_vars=task_vars)
            found = _as_recorded(predicted, listed, why=f"the connection was lost ({error_line(lost)})")
            if not found:
                raise
            return found


def _as_recorded(predicted: Mapping[str, Any], listed: Mapping[str, Any], *, why: str) -> dict[str, Any]:
    """Return the result of a rollback from the host's list of runs; empty if nothing was rolled back.

    Args:
        predicted: what it was to do.
        listed: the runs of the host afterwards.
        why: the reason why the answer is missing.
    """
    runs = predicted["runs"]
    known = {run["run"]: run["outcome"] for run in listed.get("runs", ()) if isinstance(run, Mapping)}
    outcomes = {run: known.get(run, "without a record") for run in runs}
    left = [run for run in runs if outcomes[run] not in (ROLLED_BACK, PARTLY_ROLLED_BACK)]
    found = {**predicted, "changed": True, "outcome": CHANGED, "notes": [*predicted.get("notes", ()), why]}
    if left == runs and not {INTERRUPTED, ROLLBACK_FAILED}.intersection(outcomes.values()):
        return {}
    if left:
        problems = [f"run {run}: {outcomes[run]}" for run in left]
        reason = f"{why}, and the rollback is incomplete"
        return {**found, "failed": True, "outcome": ROLLBACK_FAILED, "reason": reason, "problems": problems}
    if PARTLY_ROLLED_BACK in outcomes.values():
        kept = predicted.get("notes") or ["see the list of runs"]
        return {**found, "failed": True, "outcome": PARTLY_ROLLED_BACK, "reason": why, "kept": kept}
    return found


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
    return f"restored to the state before run {runs[-1]}" + (f" ({len(runs)} runs)" if len(runs) > 1 else "")
