"""Call the transaction on a host, and reduce its answer to the expected form."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from ansible.errors import AnsibleActionFail

from ..module_utils.contract import (
    CHANGED,
    IMPACTS,
    INTERRUPTED,
    NOT_STANDING,
    REFUSED,
    STATES,
    UNCHANGED,
    UNKNOWN,
    WISHES,
    WORKING,
    WOULD_CHANGE,
)
from .host_script import PACKAGES, HostScriptAction, host_of

# Fields of a result; "?" ends an optional key. Nothing else becomes part of the task's result: Ansible
# interprets some keys in it, and with `add_host` one host would set the variables of another.
_TEXTS = [str]
_PERHAPS_TEXT = (str, type(None))
_PERHAPS_TIME = (float, type(None))
_LATEST = 253402300800  # the end of year 9999, in seconds since 1970
_LONGEST = 1 << 20  # characters of a text
_MOST = 20_000  # elements of a list
_NAME_OF_RUN = re.compile(r"[\w.:-]{0,100}", re.ASCII)
_ENTRIES = {
    "main:converge": frozenset({UNCHANGED, WOULD_CHANGE, CHANGED, REFUSED}),
    "main:confirm": frozenset({UNCHANGED, CHANGED, WORKING, UNKNOWN, REFUSED}),
    "main:rollback": frozenset({UNCHANGED, WOULD_CHANGE, CHANGED, REFUSED}),
    "main:release": frozenset({UNCHANGED, WOULD_CHANGE, CHANGED, REFUSED}),
}
_DOCUMENT = {
    "name": str,
    "state": frozenset(STATES),
    "impact": frozenset(IMPACTS),
    "reason": str,
    "paths": _TEXTS,
    "wish?": frozenset(WISHES),
    "variables?": _TEXTS,
    "removed?": _TEXTS,
}
_ACTIVATION = {
    "name": str,
    "action": str,
    "why": _TEXTS,
    "first?": str,
    "stops?": _TEXTS,
    "stay_down?": _TEXTS,
    "recreates?": _TEXTS,
    "leaves?": _TEXTS,
}
_RUN = {
    "run": _NAME_OF_RUN,
    "outcome": str,
    "reason": _PERHAPS_TEXT,
    "who": _PERHAPS_TEXT,
    "started": _PERHAPS_TIME,
    "ended": _PERHAPS_TIME,
    "number?": (int, type(None)),
    "paths": _TEXTS,
}
_ANSWER = {
    "outcome": str,
    "changed?": bool,
    "failed?": bool,
    "reason?": str,
    "run?": _NAME_OF_RUN,
    "who?": str,
    "plan?": re.compile("[0-9a-f]{64}"),  # returned to Ansible as a variable, which would be templated
    "recovered?": _NAME_OF_RUN,
    "started?": _PERHAPS_TIME,
    "ended?": _PERHAPS_TIME,
    "confirmed?": _PERHAPS_TIME,
    "notes?": _TEXTS,
    "pending?": _TEXTS,
    "refused?": _TEXTS,
    "problems?": _TEXTS,
    "kept?": _TEXTS,
    "missing?": _TEXTS,
    "left?": _TEXTS,
    "released?": _TEXTS,
    "documents?": [_DOCUMENT],
    "changes?": [{"path": str, "what": str, "documents": _TEXTS}],
    "diff?": [{"path": str, "prepared": str}],
    "activations?": [_ACTIVATION],
}
_OF_A_ROLLBACK = {**_ANSWER, "activations?": [str], "runs?": [(_RUN, str)]}


class TransactionAction(HostScriptAction):
    """An action that calls `module_utils/converge` on the host."""

    def ask(
        self,
        entry: str,
        arguments: Mapping[str, Any],
        *,
        task_vars: Any,
        timeout: int = 0,
        patience: float = 0,
    ) -> Any:
        """Call a function of the transaction on the host, and return its result.

        Args:
            entry: ``main:function``.
            arguments: of the function.
            task_vars: the task's variables.
            timeout: seconds after which it is killed on the host; 0 for never.
            patience: seconds after which the controller gives up.

        Raises:
            AnsibleActionFail: the host gave no result.
            AnsibleConnectionFailure: there is no connection, it was lost, or there was no answer in time.
        """
        answer = self.run_script(
            PACKAGES / "converge",
            entry=entry,
            arguments=dict(arguments),
            task_vars=task_vars,
            timeout=timeout,
            patience=patience,
            repeatable=bool(arguments.get("check")),
            told=partial(self.step, task_vars),
        )
        try:
            shape = _OF_A_ROLLBACK if entry == "main:rollback" else _ANSWER
            result: dict[str, Any] = _fitting_part(answer.result, shape)
            if result["outcome"] not in {*_ENTRIES[entry], *NOT_STANDING, INTERRUPTED}:
                raise ValueError(f"outcome is not valid: {result['outcome'][:40]!r}")
            self.see_it_fits(result)
        except ValueError as error:
            raise AnsibleActionFail(f"the host gave no result of the transaction: {error}") from None
        result["inventory_host"] = host_of(task_vars)
        if answer.facts:
            result["ansible_facts"] = answer.facts
        return result

    def numbered(self, task_vars: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the run number as an argument for the host; empty if the run has no number.

        ``hardener`` sets it, so that a host refuses a run that is older than one that has been there.

        Raises:
            AnsibleActionFail: the variable is not a run number.
        """
        given = self._templar.template((task_vars or {}).get("hardener_number"))
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            raise AnsibleActionFail(
                "hardener_number is set by hardener: leave it out of plays and inventories"
            )
        return {"number": {"number": given.get("number"), "run": given.get("run"), "who": self.requester}}

    @property
    def requester(self) -> str:
        """Return who requests a change, for the host's record."""
        try:
            name = getpass.getuser()
        except (KeyError, OSError):  # a number without a name
            name = str(os.getuid())
        return f"{name}@{socket.gethostname()}"


def _fitting_part(value: Any, shape: Any, where: str = "it") -> Any:
    """Return the part of a host's result that fits a form.

    Raises:
        ValueError: it does not have that shape.
    """
    if isinstance(shape, dict) and isinstance(value, dict):
        found = {}
        for key, inner in shape.items():
            name = key.removesuffix("?")
            if name in value:
                found[name] = _fitting_part(value[name], inner, name)
            elif name == key:
                raise ValueError(f"{where} has no {name}")
        return found
    if isinstance(shape, list) and isinstance(value, list) and len(value) <= _MOST:
        return [_fitting_part(each, shape[0], where) for each in value]
    if isinstance(shape, frozenset) and isinstance(value, str) and value in shape:
        return value
    if isinstance(shape, re.Pattern) and isinstance(value, str) and shape.fullmatch(value):
        return value
    for alternative in shape if isinstance(shape, tuple) else ():
        with suppress(ValueError):
            return _fitting_part(value, alternative, where)
    if shape is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LATEST
    else:
        short = not isinstance(value, str) or len(value) <= _LONGEST
        fits = isinstance(shape, type) and isinstance(value, shape) and short
    if fits:
        return value
    raise ValueError(f"{where} is not valid: {str(value)[:40]!r}")
