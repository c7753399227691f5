"""Refuse a variable of the role that is a text where its specification wants something else.

    - name: Check the variables
      check_variables:

Ansible validates a role's variables and converts none: from an INI inventory or ``-e name=false`` comes the
text "false", which is true wherever it is asked, and a list that is a text has letters for its elements. No
role can set such a variable right, since what ``-e`` says wins over everything.

The role is the one that imports these tasks; its specification is ``meta/argument_specs.yml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

_MEANT: dict[str, tuple[type | tuple[type, ...], str]] = {
    "bool": (bool, "true or false"),
    "int": (int, "a number"),
    "list": ((list, tuple), "a list"),
    "dict": (Mapping, "a mapping"),
}
_SHOWN = ("bool", "int")  # what the others hold may be secret
_MAX_SHOWN = 40
_WAY_OUT = "write it in YAML, or as -e '{\"name\": value}'; INI knows False, 5 and ['a']"


class ActionModule(ActionBase):
    """The action; see the module's documentation."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset[str]()

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Look at every variable that the role specifies."""
        super().run(tmp, task_vars)
        self._look(task_vars or {})
        return {"changed": False}

    def _look(self, known: Mapping[str, Any]) -> None:
        wrong = []
        for name, option in self._options().items():
            if name in known and (problem := fault(name, option, self._templar.template(known[name]))):
                wrong.append(problem)
        if wrong:
            raise AnsibleActionFail(f"{'; '.join(wrong)} ({_WAY_OUT})")

    def _options(self) -> Mapping[str, Any]:
        """The specification of the role around this task."""
        own = self._task._role
        place = self._task
        while place is not None:
            role = place._role
            file = role and role is not own and Path(role._role_path, "meta", "argument_specs.yml")
            if file and file.is_file():
                specified = yaml.safe_load(file.read_text(encoding="utf-8"))["argument_specs"]
                options: Mapping[str, Any] = specified["main"]["options"]
                return options
            place = place._parent
        raise AnsibleActionFail("check_variables belongs into a role that has meta/argument_specs.yml")


def fault(name: str, option: Mapping[str, Any], value: Any) -> str:
    """What is wrong with the value of a variable; empty where nothing is."""
    kind = str(option.get("type"))
    if value is None or kind not in _MEANT:
        return ""
    wanted, called = _MEANT[kind]
    if isinstance(value, wanted) and not (kind == "int" and isinstance(value, bool)):
        return ""
    what = "a text" if isinstance(value, str) else f"of the type {type(value).__name__}"
    shown = f" ({str(value)[:_MAX_SHOWN]!r})" if kind in _SHOWN else ""
    return f"{name} must be {called}, and is {what}{shown}"
