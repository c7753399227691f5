"""Change a host under its guard: a run is confirmed over a new connection, or the host rolls it back.

A lost connection is not fatal: the action asks for the outcome as soon as the host can be reached again.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleAuthenticationFailure, AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

from ..module_utils.contract import (
    ABANDONED,
    CHANGED,
    CONFIRM_TIMEOUT,
    INTERRUPTED,
    NOT_BEGUN,
    NOT_CONFIRMED,
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
from . import host_time, limits
from .host_script import RETRIES
from .ssh_command import SEPARATE
from .transaction import TransactionAction
from .windows import refusal

PREDICTS = 600  # seconds for a prediction
_ENDINGS = {
    REFUSED: "nothing was changed: {reason}",
    ROLLED_BACK: "rolled back, everything is as it was before: {reason}",
    PARTLY_ROLLED_BACK: "rolled back, except what was changed on the host meanwhile ({kept}): {reason}",
    ROLLBACK_FAILED: "{reason}; and the rollback was incomplete: {problems}",
    ABANDONED: "{reason}; and this was not rolled back: {problems}",
    INTERRUPTED: "{reason}",
    UNCONFIRMED: "{reason}",
}
_MISSING = "rolled back, all changes are undone, but not everything works as before ({missing}): {reason}"
_CONNECT_TIMEOUT = 10
# Limits of the host's backups; the host checks them.
_KEEP = {"runs": "converge_keep_runs", "size": "converge_keep_size"}
_NAMES = {
    "converge_restless_containers": "names, label=KEY=VALUE or service=NAME",
    "converge_accept_losses": "names of containers, networks, services or registries",
}
_PAUSE = 2
_GRACE = 180  # seconds for a host that is rolling back: it may restart its engine with all containers
# When the first of these is over, the host is asked for the run's outcome.
_PATIENCE = 1800  # seconds for a change: restarts of engine and containers, packages, boot loader
_AT_WORK = 6 * 3600  # seconds for a host that reports progress: a migration of data
# What ssh and Ansible say of a connection that was never established, so that nothing can have begun.
# Ansible's message has all that ssh printed, also what programs on the host wrote before the connection
# broke: their "Permission denied" is not that of ssh.
_NEVER_THERE = (
    "ssh: connect to host ",
    "ssh: Could not resolve hostname ",
    "Host key verification failed.",
    "Connection timed out during banner exchange",
    "banner exchange",
    "kex_exchange_identification: ",
)
_NO_FOLDER = (
    "Failed to create temporary directory."  # Ansible's: without pipelining it is made before anything
)
_METHODS = re.compile(r"[\w@.,-]+\)\.")  # of logging in, which ssh names after "Permission denied ("


class GuardedAction(TransactionAction):
    """An action whose change the host rolls back unless it is confirmed."""

    def _guarded(
        self,
        arguments: dict[str, Any],
        *,
        task_vars: dict[str, Any],
        entry: str = "main:converge",
        forgets: bool = False,
    ) -> dict[str, Any]:
        """Change the host, and confirm the run over a new connection.

        Args:
            arguments: of the function on the host, without its guard.
            task_vars: the task's variables.
            entry: that function.
            forgets: the host keeps no record of the run once it is confirmed.
        """
        timeout = task_vars.get("converge_confirm_timeout", CONFIRM_TIMEOUT)
        seconds = float(self._templar.template(timeout))
        token = secrets.token_hex(8)
        arguments["guard"] = {
            "token": token,
            "seconds": seconds,
            "who": self.requester,
            "restless": self._names(task_vars, "converge_restless_containers"),
            "accept_losses": self._names(task_vars, "converge_accept_losses"),
        }
        set_here = {name: variable for name, variable in _KEEP.items() if variable in task_vars}
        if set_here:
            arguments["keep"] = {
                name: self._templar.template(task_vars[each]) for name, each in set_here.items()
            }
        try:
            result = self._begun(entry, arguments, task_vars=task_vars)
        except (AnsibleConnectionFailure, AnsibleActionFail) as lost:
            if was_never_there(lost):
                raise
            result = self._reconnected(token, seconds, task_vars=task_vars, error=lost, forgets=forgets)
            if result["outcome"] == UNKNOWN:
                if not forgets:  # it has not begun, and now cannot
                    raise
                result = self._never_began_or_forgotten(entry, arguments, task_vars=task_vars, lost=lost)
        else:
            if result["outcome"] in (UNCONFIRMED, INTERRUPTED):
                ended = result["outcome"] == INTERRUPTED
                found = self._reconnected(
                    token,
                    seconds,
                    task_vars=task_vars,
                    forgets=forgets,
                    error=AnsibleActionFail(str(result.get("reason"))) if ended else None,
                )
                for each in ("notes", "pending"):
                    known = result.get(each, [])
                    found[each] = [*known, *(note for note in found.get(each, ()) if note not in known)]
                if found["outcome"] != UNKNOWN:
                    result |= found
                elif forgets and result["outcome"] == UNCONFIRMED:
                    # the answer to its confirmation was lost
                    result["outcome"] = CHANGED
                # else it was interrupted before it changed anything
        if result["outcome"] in (*NOT_STANDING, INTERRUPTED):
            result |= {"failed": True, "changed": True}
        elif result["outcome"] == CHANGED:
            result["changed"] = True
        return result

    def _names(self, task_vars: Mapping[str, Any], variable: str) -> list[str]:
        """Return a variable that is a list of names.

        Raises:
            AnsibleActionFail: it is not.
        """
        value = self._templar.template(task_vars.get(variable, []))
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise AnsibleActionFail(f"{variable} must be a list of {_NAMES[variable]}")
        return value

    def _begun(
        self,
        entry: str,
        arguments: Mapping[str, Any],
        *,
        task_vars: dict[str, Any],
        patience: float = _PATIENCE,
    ) -> dict[str, Any]:
        """Make the host begin the change; connect again if the host cannot have received the program.

        As often as Ansible may, which would itself run the program again after any lost connection.
        """
        ssh = self._connection.transport == "ssh"
        retries = int(self._connection.get_option(RETRIES)) if ssh else 0
        while True:
            try:
                with self._new_connection():
                    found: dict[str, Any] = self.ask(entry, arguments, task_vars=task_vars, patience=patience)
                    return found
            except AnsibleConnectionFailure as lost:
                again = was_never_there(lost) and not isinstance(lost, AnsibleAuthenticationFailure)
                if not (retries and again):
                    raise
            retries -= 1
            time.sleep(_PAUSE)

    def _closed(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result for a host outside its windows (``converge_windows``); empty inside them."""
        windows = self._templar.template(task_vars.get("converge_windows", []))
        if not isinstance(windows, list) or not all(isinstance(each, str) for each in windows):
            raise AnsibleActionFail("converge_windows must be a list of strings")
        return closed(windows)

    def _never_began_or_forgotten(
        self, entry: str, arguments: Mapping[str, Any], *, task_vars: dict[str, Any], lost: Exception
    ) -> dict[str, Any]:
        """Determine the outcome of a run without a record on the host, from the remaining changes.

        Args:
            entry: the function on the host.
            arguments: its arguments.
            task_vars: the task's variables.
            lost: how the connection was lost.

        Raises:
            AnsibleConnectionFailure, AnsibleActionFail: how the connection was lost: the run never began.
        """
        asked = {key: value for key, value in arguments.items() if key != "guard"}
        try:
            with self._new_connection():
                found: dict[str, Any] = self.ask(
                    entry, {**asked, "check": True}, task_vars=task_vars, timeout=PREDICTS
                )
        except (AnsibleConnectionFailure, AnsibleActionFail) as failed:
            reason = (
                f"the connection was lost ({error_line(lost)}), the host has no record of the run, and"
                f" whether it finished is not known ({error_line(failed)}): repeat the run, which"
                " changes nothing if it had finished"
            )
            return {"outcome": UNCONFIRMED, "reason": reason}
        if found["outcome"] != UNCHANGED:
            raise lost
        note = f"the connection was lost ({error_line(lost)}); over a new connection, nothing is left to do"
        return {"outcome": CHANGED, "notes": [note, *found.get("notes", ())]}

    def _reconnected(
        self,
        token: str,
        seconds: float,
        *,
        task_vars: dict[str, Any],
        forgets: bool,
        error: Exception | None = None,
    ) -> dict[str, Any]:
        """Confirm a run over a new connection, or get its outcome; retry until its time is over.

        Args:
            token: of the run.
            seconds: until the host rolls it back.
            task_vars: the task's variables.
            forgets: the host keeps no record of the run once it is confirmed.
            error: how the connection was lost, if it was.
        """
        asked = {"token": token, "forgets": forgets}
        begun = time.monotonic()
        deadline = begun + seconds
        longest = begun + min(max(_AT_WORK, seconds + _GRACE), host_time.left())
        reachable_again = time.strftime("%H:%M:%S", time.localtime(time.time() + seconds))
        last = error_line(error) if error else ""
        self.step(task_vars, f"{'ask for the outcome' if error else 'confirm'} over a new connection")
        while time.monotonic() < min(deadline + _GRACE, longest):
            try:
                with self._new_connection():
                    found: dict[str, Any] = self.ask(
                        "main:confirm", asked, task_vars=task_vars, timeout=int(seconds) + _GRACE
                    )
            except (AnsibleConnectionFailure, AnsibleActionFail) as failed:
                last = error_line(failed)
            else:
                took = time.monotonic() - begun
                if took > seconds or str(found.get("reason")).startswith(NOT_CONFIRMED):
                    last = last or f"the answer over a new connection took {took:.0f} s"
                if found["outcome"] in (ROLLED_BACK, PARTLY_ROLLED_BACK) and last:
                    found["reason"] = f"{found.get('reason')}: {last}"
                if found["outcome"] != WORKING:
                    return found
                last = last or "the host is still at work"
                # It can be asked again, with a limit.
                deadline = min(longest, max(deadline, time.monotonic() + _GRACE))
            time.sleep(_PAUSE)
        return {
            "outcome": UNCONFIRMED,
            "reason": (
                f"the host cannot be reached since the change ({last}); it rolls the change back by itself,"
                f" at {reachable_again} by this machine's clock"
            ),
        }

    @contextmanager
    def _new_connection(self) -> Iterator[None]:
        """Use a new connection during the context, then restore the connection settings.

        A shared connection was accepted before the change, and proves nothing.
        """
        connection = self._connection
        if connection.transport != "ssh":
            if type(connection).reset is not ConnectionBase.reset:
                with limits.bounded(connection, seconds=limits.MARGIN):  # some plugins connect again
                    connection.reset()
            yield
            return
        before = {name: connection.get_option(name) for name in ("ssh_args", "timeout")}
        connection.set_option("ssh_args", f"{SEPARATE} {before['ssh_args'] or ''}".rstrip())
        connection.set_option("timeout", max(int(before["timeout"]), _CONNECT_TIMEOUT))
        try:
            yield
        finally:
            for name, value in before.items():
                connection.set_option(name, value)


def closed(windows: Sequence[str]) -> dict[str, Any]:
    """Return the result for a host outside its maintenance windows; empty if it may be changed now.

    Raises:
        AnsibleActionFail: one of them is no window.
    """
    try:
        reason = refusal(windows, datetime.now(UTC))
    except ValueError as error:
        raise AnsibleActionFail(f"converge_windows: {error}") from error
    if not reason:
        return {}
    return {
        "changed": False,
        "failed": True,
        "outcome": NOT_BEGUN,
        "reason": reason,
        "msg": f"nothing was changed: {reason}",
    }


def ending(result: Mapping[str, Any]) -> str:
    """Describe the failure of a run in one line; empty if it did not fail."""
    lists = {name: "; ".join(map(str, result.get(name, ()))) for name in ("problems", "kept", "missing")}
    text = _ENDINGS.get(result["outcome"], "")
    if result["outcome"] == ROLLED_BACK and lists["missing"]:
        text = _MISSING
    return text.format(reason=result.get("reason", ""), **lists)


def believe(result: dict[str, Any], *, check: bool) -> None:
    """Check that an outcome fits the request, and set ``changed`` and ``failed`` accordingly.

    Raises:
        AnsibleActionFail: the outcome is not valid.
    """
    outcome = result["outcome"]
    if outcome in (CHANGED, *NOT_STANDING) and check:
        raise AnsibleActionFail(f"the host says {outcome}, which is not a valid outcome in check mode")
    if outcome == WOULD_CHANGE and not check:
        raise AnsibleActionFail(f"the host says {outcome}, which is not a valid outcome")
    if outcome in (UNCHANGED, WOULD_CHANGE, CHANGED):
        result["changed"] = outcome != UNCHANGED
        result.pop("failed", None)
    else:
        result["failed"] = True


def was_never_there(error: Exception) -> bool:
    """Return whether an error says that no connection was made, so the host received no program."""
    if isinstance(error, AnsibleAuthenticationFailure):
        return True
    if not isinstance(error, AnsibleConnectionFailure):
        return False
    first, *others = str(error).splitlines() or [""]
    if first.startswith(_NO_FOLDER):
        return True
    _ansible, found, ssh = first.partition(" ssh: ")  # "Failed to connect to the host via ssh: …"
    lines = [ssh if found else first, *others]
    return any(line.startswith(_NEVER_THERE) or _is_denied(line) for line in lines)


def _is_denied(line: str) -> bool:
    """Return whether a line is ssh's message that the server accepted no method of authentication."""
    login, found, methods = line.partition("Permission denied (")
    name = login.removesuffix(": ")
    whose = not login or (name != login and "@" in name and " " not in name)
    return bool(found and whose and _METHODS.fullmatch(methods.rstrip()))


def error_line(error: Exception) -> str:
    """Return an error as one line."""
    return " ".join(str(error).split())[-300:]
