r"""Make a host what documents say, in one transaction (`roles/converge/README.md` describes them).

    - name: Converge
      converge:
        documents: "{{ converge_pending }}"
        allow: daemon-restart # the worst that a change may cost the host
        only: [docker_daemon_icc] # no others than these, and what serves them; all without it
        plan: 9f86d0… # refuse what is not exactly this plan, which somebody has reviewed

Check mode changes nothing and predicts exactly. The result has ``outcome`` (``unchanged``, ``would_change``,
``changed``, ``refused``, ``rolled_back``, ``rollback_failed``, ``interrupted``), ``reason``, ``run`` (name of
the backup on the host), ``documents`` (what became of each, its impact, and why), ``changes``,
``activations``, ``notes``, ``pending``, ``recovered``, ``refused``, ``plan`` (its digest), and with --diff a
unified diff a path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

_ROLE = Path(__file__).resolve().parents[1]
_SOURCE = _ROLE / "files" / "host_converge"
_HOST_SCRIPT = _ROLE.parent / "collect" / "action_plugins"

_ENDINGS = {
    "refused": "nothing was changed: {reason}",
    "rolled_back": "rolled back, everything is as it was before: {reason}",
    "rollback_failed": "{reason}; and not all of it could be taken back: {problems}",
    "interrupted": "{reason}",
}


class ActionModule(ActionBase):
    """The action; see the module's documentation."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset({"documents", "allow", "only", "plan"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Deliver the documents to the host and return what was done there."""
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            argument_spec={
                "documents": {"type": "list", "elements": "dict", "required": True},
                "allow": {"type": "str", "default": "daemon-restart"},
                "only": {"type": "list", "elements": "str"},
                "plan": {"type": "str", "default": ""},
            },
        )
        documents = args["documents"]
        if args["only"] is not None:
            documents = [document for document in documents if _belongs(document, args["only"])]
        if not documents:
            return {"changed": False, "outcome": "unchanged", "msg": "there is nothing to converge"}
        answer = self._host_script().run_script(
            source=_SOURCE,
            entry="main:converge",
            arguments={
                "documents": documents,
                "check": bool(self._task.check_mode),
                "allow": args["allow"],
                "plan": args["plan"],
            },
            task_vars=task_vars,
        )
        result = answer.result
        if not isinstance(result, dict) or "outcome" not in result:
            raise AnsibleActionFail("the host gave no result of the transaction")
        if not self._task.diff:
            result.pop("diff", None)
        if answer.facts:
            result["ansible_facts"] = answer.facts
        result["msg"] = _summary(result)
        result["warnings"] = [f"pending: {note}" for note in result.get("pending", ())] + [
            f"{document['state']}: {document['name']}: {document['reason']}"
            for document in result.get("documents", ())
            if document["state"] in ("held", "refused")
        ]
        return result

    def _host_script(self) -> Any:
        """The action that delivers sources to the host; it lives in the role beside this one."""
        loader = self._shared_loader_obj.action_loader
        loader.add_directory(str(_HOST_SCRIPT))
        return loader.get(
            "host_script",
            task=self._task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )


def _belongs(document: dict[str, Any], names: list[str]) -> bool:
    """Whether a document is one of those; or bears their role's name, to serve them or refuse them all."""
    own = str(document.get("name"))
    return any(name == own or name.startswith(f"{own}_") for name in names)


def _summary(result: dict[str, Any]) -> str:
    """What happened, in a line."""
    ending = _ENDINGS.get(result["outcome"])
    if ending:
        problems = "; ".join(map(str, result.get("problems", ())))
        return ending.format(reason=result.get("reason", ""), problems=problems)
    if not result.get("changed"):
        parts = ["nothing to do"]
    else:
        parts = [f"{change['what']} {change['path']}" for change in result.get("changes", ())]
        parts += [activation["action"] for activation in result.get("activations", ())]
    return "; ".join(parts)
