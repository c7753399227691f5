"""Convert Ansible's events into typed objects, and determine the outcome of each host.

ansible-runner hands on Ansible's events as dictionaries. ``translate`` takes what we use out of them and
nothing else; texts come from hosts, so they are made safe to show here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hardener.text import line


class State(StrEnum):
    """The result of a task, or of a whole run, on a host."""

    OK = "ok"
    CHANGED = "changed"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts of this run in inventory order, and their groups."""

    names: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """Ansible starts a task."""

    name: str


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A task ended on a host.

    ``data`` is what the task returned; ``reason`` one line that says why it failed. A failure that the
    playbook ignores is ``OK``. After the ``last`` one the host is done.
    """

    host: str
    action: str  # without the name of its collection: "collect", "converge", "apt"
    state: State
    reason: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    last: bool = False


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A transaction begins a step on a host."""

    host: str
    name: str


@dataclass(frozen=True, slots=True)
class SliceLost:
    """A slice was lost; another process or node takes its hosts that have not answered."""

    number: int
    hosts: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Idle:
    """No event for a second, so that the display can update the time."""


Event = Hosts | TaskStarted | StepStarted | TaskResult | SliceLost | Idle


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a run on one host: ``OK``, ``CHANGED``, ``FAILED`` or ``UNREACHABLE``, with a reason."""

    state: State
    reason: str = ""

    @property
    def ended_well(self) -> bool:
        """Return whether the outcome is a success, changed or not."""
        return self.state in (State.OK, State.CHANGED)


_STATES = {
    "runner_on_ok": State.OK,
    "runner_on_failed": State.FAILED,
    "runner_on_unreachable": State.UNREACHABLE,
    "runner_on_skipped": State.SKIPPED,
}
_LINES_TOLD = 4
_SUDO = "sudo: "
_SUDO_HINT = "root is needed: log in as root, or give the password with --ask-become-pass"
_TTY_HINT = (
    "sudoers has requiretty: write `Defaults:USER !requiretty` for this user below /etc/sudoers.d, set"
    " ansible_pipelining to false in the inventory, or log in as root"
)
_NO_SUDO_HINT = "install sudo on the host, or log in as root"
# Error messages of sudo, each with a hint.
_HINTS = {
    "sudo: a password is required": _SUDO_HINT,
    "Missing sudo password": _SUDO_HINT,
    "Incorrect sudo password": "give the right password with --ask-become-pass",
    "sudo: not found": _NO_SUDO_HINT,
    "sudo: command not found": _NO_SUDO_HINT,
    "you must have a tty to run sudo": _TTY_HINT,
}
# What the actions print when a transaction begins a step (plugin_utils/transaction.py).
_STEP = re.compile(r"hardener: (?P<host>.{1,300}): (?P<name>[a-z0-9][a-z0-9 -]{0,39})")
_OURS = "hardener.docker."  # our actions name the host of each answer
_LISTS_HOSTS = f"{_OURS}hosts"


def translate(raw: Mapping[str, Any]) -> Event | None:
    """Convert an event of ansible-runner; return None for an irrelevant event."""
    data = raw.get("event_data") or {}
    if raw.get("event") == "playbook_on_task_start":
        lists = data.get("resolved_action") == _LISTS_HOSTS  # nothing that a person waits for
        return None if lists else TaskStarted(line(str(data.get("name", ""))))
    if raw.get("event") == "verbose" and (step := _STEP.fullmatch(str(raw.get("stdout", "")).strip())):
        return StepStarted(step["host"], step["name"])
    state = _STATES.get(raw.get("event", ""))
    if state is None:
        return None
    result = data.get("res") or {}
    # The first task of each playbook, so that hosts without an answer are known too.
    if data.get("resolved_action") == _LISTS_HOSTS and "hosts" in result:
        groups: Mapping[str, Sequence[Any]] = result["hosts"]
        return Hosts(
            tuple(map(str, groups)), {str(host): tuple(map(str, inside)) for host, inside in groups.items()}
        )
    reason = ""
    if state is State.FAILED and data.get("ignore_errors"):
        state = State.OK
    elif state in (State.FAILED, State.UNREACHABLE):
        reason = explain(result)
    elif state is State.OK and result.get("changed") is True:
        state = State.CHANGED
    host, action = str(data.get("host", "")), str(data.get("resolved_action") or data.get("task_action", ""))
    if action.startswith(_OURS) and result.get("inventory_host", host) != host:
        state, result = State.FAILED, {}
        reason = "the answer belongs to another host"
    return TaskResult(host=host, action=action.rpartition(".")[2], state=state, reason=reason, data=result)


def explain(result: Mapping[str, Any]) -> str:
    """Describe in one line why a task failed."""
    message = str(result.get("msg") or result.get("reason") or "")
    results = result.get("results")  # results of a loop; a module can return any type here
    for item in results if isinstance(results, list) else ():  # "one or more items failed" is not informative
        if isinstance(item, Mapping) and item.get("failed") and item.get("msg"):
            message = str(item["msg"])
            break
    for prefix in ("Task failed: ", "Action failed: ", "Failed to connect to the host via ssh: "):
        message = message.removeprefix(prefix)
    head, _, said = message.partition(">>> Standard Error")
    # A changed host key is reported in a frame of @.
    lines = [text for text in (each.strip("@ ") for each in head.splitlines()) if text]
    if len(lines) > _LINES_TOLD:
        lines = [lines[0], "…", *lines[-2:]]
    if said.strip():
        lines.append(said.strip().splitlines()[-1].strip())
    said = str(result.get("stderr") or result.get("module_stderr") or "").strip()
    if said and said.splitlines()[-1] not in message:
        lines.append(said.splitlines()[-1].strip())
    # What sudo says is the reason; what Ansible makes of the missing answer is not.
    lines = next(([each] for each in reversed(lines) if each.startswith(_SUDO)), lines)
    reason = line(" ".join(lines)) or "Ansible gives no reason"
    hint = next((hint for ending, hint in _HINTS.items() if reason.endswith(ending)), "")
    return f"{reason} ({hint})" if hint else reason
