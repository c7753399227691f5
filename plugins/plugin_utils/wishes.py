"""Choose the documents to apply: those that remediate controls, and the wishes of the site.

A wish is a document for which the site has set a variable, in its inventory or by ``-e``. ``hostvars`` has
these variables and results of tasks, but neither the defaults of roles nor the variables of plays.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError

from . import specification

_ROLES = Path(__file__).parents[2] / "roles"
_NEAR = 0.9  # how similar a name has to be to that of a variable to be a mistyped one
_INSTALLS = "docker_engine"  # its variables are for hosts without an engine


def set_by_site(task_vars: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the variables that the site has set for the host at work.

    Raises:
        AnsibleActionFail: they are unknown.
    """
    try:
        return frozenset(map(str, task_vars["hostvars"][task_vars["inventory_hostname"]]))
    except (KeyError, TypeError) as error:
        raise AnsibleActionFail(
            f"the variables that the inventory sets for this host are unknown ({error!r}): no wish is applied"
        ) from error


def roles_of_site(task_vars: Mapping[str, Any]) -> list[str]:
    """Return the roles of which the site has set a variable for the host at work, but for `docker_engine`.

    Raises:
        AnsibleActionFail: the variables of the site are unknown.
    """
    named = set_by_site(task_vars)
    roles = (path.name for path in sorted(_ROLES.iterdir()) if path.name != _INSTALLS)
    return [
        role
        for role in roles
        if any(name.startswith(f"{role}_") for name in named)
        and (Path(__file__).parents[1] / "module_utils" / "render" / f"{role}.py").exists()
        and _concerns(named, role, specification.variables(_ROLES / role))
    ]


def _concerns(named: AbstractSet[str], role: str, variables: Mapping[str, Any]) -> bool:
    return not named.isdisjoint(variables) or any(_mistyped(named, role, variables))


def _mistyped(named: AbstractSet[str], role: str, variables: Mapping[str, Any]) -> Iterator[str]:
    """Yield notes about names that are no variables of a role, and nearly the name of one."""
    for name in sorted(each for each in named - variables.keys() if each.startswith(f"{role}_")):
        for meant in difflib.get_close_matches(name, variables, n=1, cutoff=_NEAR):
            yield f"{name} is no variable of the role {role}, and has no effect: is {meant} meant?"


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """The documents that a role applies on a host.

    Args:
        role: the role.
        only: the documents that remediate controls.
        inventory: the inventory that the wishes are of; None applies no wish.
        if_applied: whether wishes count only if the host remembers them as applied.
        reviewed: whether only the wishes in ``only`` count.
        guarded: the rules of variables that decide controls: by variable ``reason``, and ``only_default``,
            whether the role's default is the only value that is applied, or the only one that is held; None
            if every value is held.
        named: the variables that the site has set.
        options: the specification of the role's variables.
        decided_by: by document, the other variables on which it depends; names without the role's.
        runs: the source `hardener.runs` of the host's snapshot.
        value: returns the value of a variable.
    """

    role: str
    only: Collection[str]
    inventory: str | None
    if_applied: bool = False
    reviewed: bool = False
    guarded: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    named: AbstractSet[str] = frozenset()
    options: Mapping[str, Mapping[str, Any]]
    decided_by: Mapping[str, Collection[str]]
    runs: Mapping[str, Any]
    value: Callable[[str], Any]

    def chosen(self, documents: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return the documents to apply; a document with the role's name serves or refuses all of them."""
        own = list(self._chosen(each for each in documents if each["name"] != self.role))
        whole = [each for each in documents if each["name"] == self.role]
        named = [] if self.inventory is None else sorted(self.named & self.options.keys())
        if named:  # a refusal is the answer to the site's wishes
            wish = self._wish_for(named)
            whole = [{**each, "wish": wish} if "refused" in each else each for each in whole]
        idle = self._idle()
        if idle:
            whole = [*whole, *([] if whole else [{"name": self.role}])]
            whole[0] = {**whole[0], "notes": [*whole[0].get("notes", ()), *idle]}
        is_asked = own or named or idle or any(name.startswith(f"{self.role}_") for name in self.only)
        return [*whole, *own] if is_asked else []

    def _chosen(self, documents: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        for document in documents:
            name = str(document["name"])
            own = {key: value for key, value in document.items() if key != "takes_back"}
            wish = None if self.inventory is None else self._wish(name)
            if wish is not None and (name in self.only or not self.reviewed):
                yield {**self._guard(own), "wish": wish}
            elif name in self.only:
                yield own

    def _idle(self) -> list[str]:
        """Return notes about variables that the site has set without an effect.

        Their names are mistyped, or they only modify what is not applied.
        """
        if self.inventory is None or self.if_applied:
            return []
        modified: dict[str, list[str]] = {}
        for document, variables in self.decided_by.items():
            for variable in self.named & {f"{self.role}_{each}" for each in variables}:
                modified.setdefault(variable, []).append(f"{self.role}_{document}")
        mistyped = _mistyped(self.named, self.role, self.options)
        return [
            *mistyped,
            *(
                f"{variable} has no effect here, since {' and '.join(switches)} is not applied"
                for variable, switches in sorted(modified.items())
                if not any(map(self._is_on, switches))
            ),
        ]

    def _is_on(self, name: str) -> bool:
        """Return whether a document is applied: since the site switches it on, for a control, or before.

        Only a boolean switches a document; an empty text leaves a setting as it is.
        """
        if self.options.get(name, {}).get("type") != "bool" or name in self.only:
            return True
        return bool(self.value(name)) if name in self.named else name in (self.runs.get("in_force") or ())

    def _wish(self, name: str) -> dict[str, Any] | None:
        """Return the wish of a document; without variables if the site wishes it no longer."""
        variables = self._deciding(name)
        if not variables:
            stored = (self.runs.get("wishes") or {}).get(name)
            if not stored or stored["inventory"] != self.inventory:
                return None
        wish = self._wish_for(variables)
        if self.if_applied and name in self.only:  # it repairs a control
            return {**wish, "if_applied": False, "if_unchanged": True}
        return wish

    def _wish_for(self, variables: Iterable[str]) -> dict[str, Any]:
        return {
            "inventory": self.inventory,
            "role": self.role,
            "variables": {each: _digest(self.value(each)) for each in variables},
            "if_applied": self.if_applied,
        }

    def _deciding(self, name: str) -> list[str]:
        """Return the variables by which the site wishes a document.

        Other variables only modify a document that a switch turns on: they count where it is in force, or is
        applied for a control.
        """
        if name not in self.options:
            return []
        others = {
            f"{self.role}_{each}" for each in self.decided_by.get(name.removeprefix(f"{self.role}_"), ())
        }
        modifies = self.options[name].get("type") == "bool" and name not in self.named
        if modifies and name not in {*self.only, *(self.runs.get("in_force") or ())}:
            return []
        return sorted(others.union({name}).intersection(self.named))

    def _guard(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a document, or its refusal if it would weaken a control or repair a waived one."""
        name = str(document["name"])
        rule = self.guarded.get(name)
        if rule is None or (rule["only_default"] is None and name not in self.named):
            return document
        is_default = name not in self.named or self.value(name) == self.options[name].get("default")
        if rule["only_default"] is not None and bool(rule["only_default"]) == is_default:
            return document
        return {"name": name, "refused": str(rule["reason"]), "asked": False}


def _digest(value: Any) -> str:
    try:
        text = json.dumps(value, sort_keys=True, default=str)
    except TypeError:  # keys of several types
        text = repr(value)
    return hashlib.sha256(text.encode()).hexdigest()


def is_asked(
    document: Mapping[str, Any],
    role: str,
    named: Collection[str],
    *,
    variables: Collection[str],
    decided_by: Mapping[str, Collection[str]],
) -> bool:
    """Return whether a site has requested a document; true if unknown.

    Args:
        document: with ``asked`` if the renderer itself knows.
        role: its role.
        named: variables of the role that the site has set.
        variables: all variables of the role.
        decided_by: variables that a document depends on beside the one that it is named after, both without
            the role's name.
    """
    if "asked" in document:
        return bool(document["asked"])
    name = str(document["name"])
    if name == role:  # it serves or refuses all documents of the role
        return bool(named)
    others = [f"{role}_{other}" for other in decided_by.get(name.removeprefix(f"{role}_"), ())]
    deciding = {name, *others} & set(variables)
    return not deciding or bool(deciding & set(named))


def named_variables(
    task: Any, task_vars: Mapping[str, Any], variables: Collection[str], policy: Any
) -> frozenset[str]:
    """Return the variables of a role that the site has set; all variables if that is unknown.

    Args:
        task: a task of the role.
        task_vars: the task's variables.
        variables: of the role.
        policy: the site's; it decides instead of a variable with the same name.
    """
    try:
        manager, play = task.get_variable_manager(), task.get_play()
        host = manager._inventory.get_host(task_vars["inventory_hostname"])
        with _without_defaults(task, play):
            known = manager.get_vars(play=play, host=host, task=task, include_hostvars=False)
    except (AnsibleError, AttributeError, LookupError, TypeError):
        return frozenset(variables)
    more = policy.keys() if isinstance(policy, Mapping) else ()
    return frozenset(name for name in variables if name in known or name in more)


@contextmanager
def _without_defaults(task: Any, play: Any) -> Iterator[None]:
    """Remove a role's defaults temporarily, from each of its occurrences in the play."""
    path = task._role._role_path
    chain = task.get_dep_chain() or ()
    roles = [role for role in (task._role, *chain, *play.roles) if role._role_path == path]
    defaults = [(role, role._default_vars) for role in roles]
    try:
        for role in roles:
            role._default_vars = {}
        yield
    finally:
        for role, before in defaults:
            role._default_vars = before
