"""Bring a host to the state that documents describe, in one transaction (`roles/converge/README.md`).

A run with an impact is confirmed over a new connection within ``converge_confirm_timeout`` seconds; otherwise
the host rolls it back, even if the controller is gone. A lost connection is therefore not fatal: the action
asks for the outcome as soon as the host can be reached again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail

from ..module_utils.contract import HELD, REFUSED, UNCHANGED
from ..plugin_utils.guarded import PREDICTS, GuardedAction, believe, ending
from ..plugin_utils.host_script import require_own
from ..plugin_utils.specification import documented

_REFUSED = "requested, and refused by the host (converge_on_refused: warn continues)"

_ARGUMENTS = documented(__name__)


class ActionModule(GuardedAction):
    """The action; plugins/modules/converge.py documents it."""

    _VALID_ARGS = frozenset(_ARGUMENTS)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Deliver the documents to the host, and return its changes."""
        super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        documents = args["documents"]
        if args["only"] is not None:
            documents = [document for document in documents if _belongs(document, args["only"])]
        for document in documents:
            if "host" in document:  # one that a site has written itself has none
                require_own(task_vars, document, f"the document {document.get('name')}")
        if not documents:
            return {"changed": False, "outcome": UNCHANGED, "msg": "there is nothing to converge"}
        arguments = {
            "documents": [_with_file_contents(_sparing(document, args["spare"])) for document in documents],
            "check": bool(self._task.check_mode),
            "allow": args["allow"],
            "plan": args["plan"],
            "socket": args["socket"],
            **self.numbered(task_vars),
        }
        if self._task.check_mode:
            result: dict[str, Any] = self.ask(
                "main:converge", arguments, task_vars=task_vars, timeout=PREDICTS
            )
        elif outside := self._closed(task_vars or {}):
            return outside
        else:
            result = self._guarded(arguments, task_vars=task_vars or {})
        _trusted_result(result, arguments)
        if not self._task.diff:
            result.pop("diff", None)
        result["msg"] = _summary(result)
        failing = _requested_and_refused(result, documents) if args["on_refused"] == "fail" else []
        nothing_possible = result["outcome"] == REFUSED and bool(result.get("documents"))
        if failing:
            done = "nothing was changed" if nothing_possible else f"also: {result['msg']}"
            result |= {"failed": True, "msg": f"{_REFUSED}: {'; '.join(failing)} ({done})"}
        elif nothing_possible:
            del result["failed"]
        result["warnings"] = [f"pending: {note}" for note in result.get("pending", ())] + [
            f"{document['state']}: {document['name']}: {document['reason']}"
            for document in result.get("documents", ())
            if document["state"] in (HELD, REFUSED)
        ]
        return result


def _requested_and_refused(result: Mapping[str, Any], documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the refused documents that the site requested, with reasons."""
    asked = {str(document.get("name")) for document in documents if document.get("asked", True)}
    return [
        f"{document['name']}: {document['reason']}"
        for document in result.get("documents", ())
        if document["state"] == REFUSED and document["name"] in asked
    ]


def _sparing(document: dict[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """Return the document without owners and modes of these paths."""
    kept = [
        each
        for each in document.get("resources", ())
        if not (each.get("kind") == "attributes" and each.get("path") in paths)
    ]
    return {**document, "resources": kept} if paths else document


def _with_file_contents(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the content of the controller's files that it names.

    ``content_from`` in the place of ``content`` names one: a private key that were part of a variable would
    be part of every event and log that variables get into.

    Raises:
        AnsibleActionFail: it cannot be read.
    """
    resources = []
    for resource in document.get("resources", ()):
        filled = dict(resource)
        if "content_from" in filled:
            path = str(filled.pop("content_from"))
            try:
                filled["content"] = Path(path).read_text(encoding="utf-8")
            except (OSError, ValueError) as error:
                raise AnsibleActionFail(f"{document.get('name')}: {path} cannot be read: {error}") from error
        resources.append(filled)
    told = {key: value for key, value in document.items() if key not in ("asked", "host")}
    return {**told, "resources": resources}


def _belongs(document: dict[str, Any], names: list[str]) -> bool:
    """Return whether to apply a document: it is listed, or has the name of a listed document's role."""
    own = str(document.get("name"))
    return any(name == own or name.startswith(f"{own}_") for name in names)


def _trusted_result(result: dict[str, Any], arguments: Mapping[str, Any]) -> None:
    """Validate an answer against the request, and add the allowed impact of the request.

    Raises:
        AnsibleActionFail: it is no answer to what was asked.
    """
    believe(result, check=arguments["check"])
    asked = {str(document.get("name")) for document in arguments["documents"]}
    named = [document["name"] for document in result.get("documents", ())]
    if len(named) != len(set(named)) or not set(named) <= asked:
        raise AnsibleActionFail(
            "the host returned results for documents that were not sent to it, or two for one document"
        )
    result["allow"] = arguments["allow"]


def _summary(result: Mapping[str, Any]) -> str:
    """Return a one-line summary of the result."""
    if text := ending(result):
        return text
    if not result.get("changed"):
        parts = ["nothing to do"]
    else:
        parts = [f"{change['what']} {change['path']}" for change in result.get("changes", ())]
        parts += [activation["action"] for activation in result.get("activations", ())]
    return "; ".join(parts)
