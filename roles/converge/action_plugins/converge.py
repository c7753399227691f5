r"""Make a host what documents say, in one transaction (`roles/converge/README.md` describes them).

    - name: Converge
      converge:
        document: {name: motd, resources: [{kind: file, path: /etc/motd, content: "hello\n"}]}

    - name: Converge what several roles want, together
      converge:
        documents: "{{ converge_pending }}"

Check mode changes nothing and predicts exactly. The result has ``outcome`` (``unchanged``, ``would_change``,
``changed``, ``refused``, ``rolled_back``, ``rollback_failed``, ``interrupted``), ``reason``, ``run`` (name of
the backup on the host), ``changes``, ``activations``, ``notes``, ``pending``, ``recovered``, ``refused``, and
with --diff a unified diff a path.
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
    _VALID_ARGS = frozenset({"document", "documents"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Deliver the documents to the host and return what was done there."""
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            argument_spec={
                "document": {"type": "dict"},
                "documents": {"type": "list", "elements": "dict"},
            },
            mutually_exclusive=[("document", "documents")],
            required_one_of=[("document", "documents")],
        )
        documents = args["documents"] if args["documents"] is not None else [args["document"]]
        if not documents:
            return {"changed": False, "outcome": "unchanged", "msg": "there is nothing to converge"}
        answer = self._host_script().run_script(
            source=_SOURCE,
            entry="main:converge",
            arguments={"documents": documents, "check": bool(self._task.check_mode)},
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
    parts += [f"pending: {note}" for note in result.get("pending", ())]
    parts += [f"refused: {reason}" for reason in result.get("refused", ())]
    return "; ".join(parts)
