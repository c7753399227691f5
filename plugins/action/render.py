"""Render the documents of the role that contains this task, from a snapshot and the role's variables."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..plugin_utils import files, specification
from ..plugin_utils.host_script import host_of, require_own
from ..plugin_utils.wishes import Wishes, is_asked, named_variables, set_by_site

_RENDERERS = f"{__package__.rpartition('.')[0]}.module_utils.render"
_WAY_OUT = "write it in YAML, or as -e '{\"name\": value}'; in INI, write Python's False, 5 or ['a']"

_ARGUMENTS = specification.documented(__name__)


class ActionModule(ActionBase):
    """The action; plugins/modules/render.py documents it."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(_ARGUMENTS)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Check the role's variables, and return its documents."""
        super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        known = task_vars or {}
        if self._task._role is None:
            raise AnsibleActionFail("render must be a task of a role that has meta/argument_specs.yml")
        specification.warn_renamed_role(self._task._role)
        role = Path(self._task._role._role_path)
        own = specification.variables(role)
        variables = {**self._variables(role.name, own, known), **args["beside"]}
        if args["folders"]:
            variables["files"] = {path: files.folder(path) for path in args["folders"]}
        renderer = _renderer(role.name)
        snapshot = _snapshot(known)
        try:
            documents = renderer.documents(snapshot, variables)
            details = renderer.details(snapshot, variables) if hasattr(renderer, "details") else {}
        except ValueError as error:  # a variable has a wrong value; the message names the variable
            raise AnsibleActionFail(str(error)) from error
        decided_by = getattr(renderer, "DECIDED_BY", {})
        documents = self._chosen(documents, role.name, own, known, decided_by)
        policy = self._templar.template(known.get("hardener_policy"))
        named = named_variables(self._task, known, own, policy)
        for document in documents:
            document["host"] = snapshot["host"]
            document["asked"] = is_asked(document, role.name, named, variables=own, decided_by=decided_by)
        # Variables may hold secrets, such as a token in log options: hide the result from logs.
        return {"changed": False, "documents": documents, "details": details, "_ansible_no_log": True}

    def _chosen(
        self,
        documents: list[dict[str, Any]],
        role: str,
        own: Mapping[str, Any],
        known: Mapping[str, Any],
        decided_by: Mapping[str, Any],
    ) -> list[dict[str, Any]]:
        """Return the documents that ``converge_only`` and ``converge_wishes`` choose; by default all."""
        template = self._templar.template
        only = template(known.get("converge_only"))
        if only is None:  # what was set for a wish is taken back only where wishes are known
            return [each for each in documents if not each.pop("takes_back", False)]
        # Only hardener sets it. To template the rules of all hosts for each host would take hours.
        terms = known.get("converge_wishes") or {}
        roles = (terms.get("roles") or {}).get(host_of(known))
        is_chosen = roles is None or role in roles
        source = _snapshot(known)["sources"].get("hardener.runs") or {}
        wishes = Wishes(
            role=role,
            only=frozenset(only),
            inventory=terms.get("inventory") if is_chosen else None,
            if_applied=bool(terms.get("if_applied")),
            reviewed=bool(terms.get("reviewed")),
            guarded=(terms.get("guarded") or {}).get(host_of(known)) or {},
            named=set_by_site(known) if terms and is_chosen else frozenset(),
            options=own,
            decided_by=decided_by,
            runs=source.get("data") or {},
            value=lambda name: template(known[name]),
        )
        return [dict(each) for each in wishes.chosen(documents)]

    def _variables(self, role: str, own: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
        """Return the role's own variables, without the role's name as a prefix.

        Raises:
            AnsibleActionFail: one of them, or of those that all roles share, is not as it is specified.
        """
        found, wrong = {}, []
        for name, option in {**own, **specification.shared()}.items():
            if name not in known:
                continue
            value = self._templar.template(known[name])
            if problem := specification.fault(name, option, value):
                wrong.append(problem)
            elif name in own:
                found[name.removeprefix(f"{role}_")] = value
        if wrong:
            raise AnsibleActionFail(f"{'; '.join(wrong)} ({_WAY_OUT})")
        return found


def _snapshot(known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the snapshot of the host at work.

    Raises:
        AnsibleActionFail: it was not collected, or it is the snapshot of another host.
    """
    snapshot: Any = (known.get("collect_result") or {}).get("facts")
    if not isinstance(snapshot, Mapping):
        raise AnsibleActionFail("collect_result.facts is missing: run the role hardener.docker.collect first")
    require_own(known, snapshot, "collect_result.facts")
    return snapshot


def _renderer(role: str) -> Any:
    """Return the module that renders the documents of a role.

    Raises:
        AnsibleActionFail: there is none.
    """
    try:
        return import_module(f"{_RENDERERS}.{role}")
    except ModuleNotFoundError:
        raise AnsibleActionFail(f"no document is rendered for the role {role}") from None
