"""Make a host what documents say, in one transaction (`roles/converge/README.md` describes them).

A run that costs the host anything is confirmed over a new connection within ``converge_confirm_timeout``
seconds; without that the host takes it back by itself, whether or not anybody here is still alive. So a
connection that is lost on the way is no end: what has become of the run is asked for when the host can be
reached again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

from ..module_utils.contract import (
    ABANDONED,
    CHANGED,
    DAEMON_RESTART,
    HELD,
    INTERRUPTED,
    NOT_STANDING,
    PARTLY_ROLLED_BACK,
    REFUSED,
    ROLLBACK_FAILED,
    ROLLED_BACK,
    UNCHANGED,
    UNCONFIRMED,
    UNKNOWN,
    WORKING,
    WOULD_CHANGE,
)
from ..plugin_utils.transaction import TransactionAction

_ENDINGS = {
    REFUSED: "nothing was changed: {reason}",
    ROLLED_BACK: "rolled back, everything is as it was before: {reason}",
    PARTLY_ROLLED_BACK: "rolled back, except what was changed on the host meanwhile ({kept}): {reason}",
    ROLLBACK_FAILED: "{reason}; and not all of it could be taken back: {problems}",
    ABANDONED: "{reason}; and this was not taken back: {problems}",
    INTERRUPTED: "{reason}",
    UNCONFIRMED: "{reason}",
}
# A connection of our own: one that is shared was let in before the change, and proves nothing. And one that
# notices when the host no longer answers.
_ALONE = (
    "-o ControlMaster=no -o ControlPath=none -o ControlPersist=no"
    " -o ServerAliveInterval=5 -o ServerAliveCountMax=4"
)
_CONNECT_TIMEOUT = 10
_REFUSED = "asked for, and refused by the host (converge_on_refused: warn goes on)"
_PAUSE = 2
_GRACE = 60  # for a host that has just taken itself back
# When the first of these is over, the host is asked what has become of the run.
_PATIENCE = 1800  # seconds for a change: engine and containers started anew, packages, boot loader
_AT_WORK = 6 * 3600  # seconds for a host that says it is still at work: a migration of data
_PREDICTS = 600  # seconds for what would be done
# What ssh says where no connection came about at all, so that nothing can have begun.
_NEVER_THERE = (
    "ssh: connect to host",
    "Could not resolve hostname",
    "Permission denied",
    "Host key verification failed",
    "banner exchange",
    "kex_exchange_identification",
)


class ActionModule(TransactionAction):
    """The action; plugins/modules/converge.py documents it."""

    _VALID_ARGS = frozenset({"documents", "allow", "only", "plan", "on_refused"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Deliver the documents to the host and return what was done there."""
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            argument_spec={
                "documents": {"type": "list", "elements": "dict", "required": True},
                "allow": {"type": "str", "default": DAEMON_RESTART},
                "only": {"type": "list", "elements": "str"},
                "plan": {"type": "str", "default": ""},
                "on_refused": {"type": "str", "default": "fail", "choices": ["fail", "warn"]},
            },
        )
        documents = args["documents"]
        if args["only"] is not None:
            documents = [document for document in documents if _belongs(document, args["only"])]
        if not documents:
            return {"changed": False, "outcome": UNCHANGED, "msg": "there is nothing to converge"}
        arguments = {
            "documents": [_filled(document) for document in documents],
            "check": bool(self._task.check_mode),
            "allow": args["allow"],
            "plan": args["plan"],
        }
        if self._task.check_mode:
            result: dict[str, Any] = self.ask(
                "main:converge", arguments, task_vars=task_vars, timeout=_PREDICTS
            )
        else:
            result = self._guarded(arguments, task_vars=task_vars or {})
        _believe(result, arguments)
        if not self._task.diff:
            result.pop("diff", None)
        result["msg"] = _summary(result)
        failing = _asked_and_refused(result, documents) if args["on_refused"] == "fail" else []
        nothing_possible = result["outcome"] == REFUSED and bool(result.get("documents"))
        if failing:
            done = "nothing was changed" if nothing_possible else f"beside that: {result['msg']}"
            result |= {"failed": True, "msg": f"{_REFUSED}: {'; '.join(failing)} ({done})"}
        elif nothing_possible:
            del result["failed"]
        result["warnings"] = [f"pending: {note}" for note in result.get("pending", ())] + [
            f"{document['state']}: {document['name']}: {document['reason']}"
            for document in result.get("documents", ())
            if document["state"] in (HELD, REFUSED)
        ]
        return result

    # --- the guard ------------------------------------------------------------------------------------------

    def _guarded(self, arguments: dict[str, Any], *, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Have the host changed, and confirm it over a new connection."""
        seconds = float(self._templar.template(task_vars.get("converge_confirm_timeout", 180)))
        token = secrets.token_hex(8)
        arguments["guard"] = {
            "token": token,
            "seconds": seconds,
            "who": self.whoever,
            "restless": _restless(self._templar.template(task_vars.get("converge_restless_containers", []))),
        }
        try:
            with self._new_connection():
                result: dict[str, Any] = self.ask(
                    "main:converge", arguments, task_vars=task_vars, patience=_PATIENCE
                )
        except (AnsibleConnectionFailure, AnsibleActionFail) as lost:
            if any(words in str(lost) for words in _NEVER_THERE):
                raise
            result = self._reconnected(token, seconds, task_vars=task_vars, error=lost)
            if result["outcome"] == UNKNOWN:  # it never began
                raise
        else:
            if result["outcome"] in (UNCONFIRMED, INTERRUPTED):
                found = self._reconnected(token, seconds, task_vars=task_vars)
                for each in ("notes", "pending"):
                    known = result.get(each, [])
                    found[each] = [*known, *(note for note in found.get(each, ()) if note not in known)]
                if found["outcome"] != UNKNOWN:  # it was interrupted before it changed anything
                    result |= found
        if result["outcome"] in (*NOT_STANDING, INTERRUPTED):
            result |= {"failed": True, "changed": True}
        elif result["outcome"] == CHANGED:
            result["changed"] = True
        return result

    def _reconnected(
        self, token: str, seconds: float, *, task_vars: dict[str, Any], error: Exception | None = None
    ) -> dict[str, Any]:
        """Confirm a run, or hear what has become of it, over a new connection; try for as long as it has.

        Args:
            token: of the run.
            seconds: until the host takes it back.
            task_vars: the task's variables.
            error: how the connection was lost, where it was.
        """
        deadline = time.monotonic() + seconds
        longest = time.monotonic() + max(_AT_WORK, seconds)
        reachable_again = time.strftime("%H:%M:%S", time.localtime(time.time() + seconds))
        last = _said(error) if error else ""
        while time.monotonic() < deadline + _GRACE:
            try:
                with self._new_connection():
                    found: dict[str, Any] = self.ask(
                        "main:confirm", {"token": token}, task_vars=task_vars, timeout=int(seconds) + _GRACE
                    )
            except (AnsibleConnectionFailure, AnsibleActionFail) as failed:
                last = _said(failed)
            else:
                if found["outcome"] in (ROLLED_BACK, PARTLY_ROLLED_BACK) and last:
                    found["reason"] = f"{found.get('reason')}: {last}"
                if found["outcome"] != WORKING:
                    return found
                last = last or "it is still at work"
                # It can be asked again, but not for ever.
                deadline = min(longest, max(deadline, time.monotonic() + _GRACE))
            time.sleep(_PAUSE)
        return {
            "outcome": UNCONFIRMED,
            "reason": (
                f"the host cannot be reached since the change ({last}); it takes the change back by itself,"
                f" at {reachable_again} by this machine's clock"
            ),
        }

    @contextmanager
    def _new_connection(self) -> Iterator[None]:
        """Connect anew, to nothing that was there before; afterwards it is what it was."""
        connection = self._connection
        if connection.transport != "ssh":
            if type(connection).reset is not ConnectionBase.reset:
                connection.reset()
            yield
            return
        before = {name: connection.get_option(name) for name in ("ssh_args", "timeout")}
        connection.set_option("ssh_args", f"{_ALONE} {before['ssh_args'] or ''}".rstrip())
        connection.set_option("timeout", max(int(before["timeout"]), _CONNECT_TIMEOUT))
        try:
            yield
        finally:
            for name, value in before.items():
                connection.set_option(name, value)


def _restless(value: Any) -> list[str]:
    """The containers that are not looked at.

    Raises:
        AnsibleActionFail: that is no list of texts.
    """
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise AnsibleActionFail(
            "converge_restless_containers must be a list of names, label=KEY=VALUE or service=NAME"
        )
    return value


def _asked_and_refused(result: Mapping[str, Any], documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was refused of that which the site has asked for, and why; what is in no role is asked for."""
    asked = {str(document.get("name")) for document in documents if document.get("asked", True)}
    return [
        f"{document['name']}: {document['reason']}"
        for document in result.get("documents", ())
        if document["state"] == REFUSED and document["name"] in asked
    ]


def _filled(document: dict[str, Any]) -> dict[str, Any]:
    """A document as the host gets it, with the content of files of this control node in it.

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
    told = {key: value for key, value in document.items() if key != "asked"}
    return {**told, "resources": resources}


def _belongs(document: dict[str, Any], names: list[str]) -> bool:
    """Whether a document is one of those; or bears their role's name, to serve them or refuse them all."""
    own = str(document.get("name"))
    return any(name == own or name.startswith(f"{own}_") for name in names)


def _believe(result: dict[str, Any], arguments: Mapping[str, Any]) -> None:
    """Take from an answer only what the host can know; what was asked of it is known here.

    Raises:
        AnsibleActionFail: it is no answer to what was asked.
    """
    outcome = result["outcome"]
    if outcome in (CHANGED, *NOT_STANDING) and arguments["check"]:
        raise AnsibleActionFail(f"the host says {outcome}, which is no answer to what would be done")
    if outcome == WOULD_CHANGE and not arguments["check"]:
        raise AnsibleActionFail(f"the host says {outcome}, which is no answer to what is to be done")
    asked = {str(document.get("name")) for document in arguments["documents"]}
    named = [document["name"] for document in result.get("documents", ())]
    if len(named) != len(set(named)) or not set(named) <= asked:
        raise AnsibleActionFail("the host answers for documents that it was not given")
    result["allow"] = arguments["allow"]
    if outcome in (UNCHANGED, WOULD_CHANGE, CHANGED):
        result["changed"] = outcome != UNCHANGED
        result.pop("failed", None)
    else:
        result["failed"] = True


def _said(error: Exception) -> str:
    """An error in a line."""
    return " ".join(str(error).split())[-300:]


def _summary(result: Mapping[str, Any]) -> str:
    """What happened, in a line."""
    ending = _ENDINGS.get(result["outcome"])
    if ending:
        lists = {name: "; ".join(map(str, result.get(name, ()))) for name in ("problems", "kept")}
        return ending.format(reason=result.get("reason", ""), **lists)
    if not result.get("changed"):
        parts = ["nothing to do"]
    else:
        parts = [f"{change['what']} {change['path']}" for change in result.get("changes", ())]
        parts += [activation["action"] for activation in result.get("activations", ())]
    return "; ".join(parts)
