from __future__ import annotations

from typing import Any

import pytest

from hardener.fleet.events import (
    Event,
    Hosts,
    Outcome,
    State,
    StepStarted,
    TaskResult,
    TaskStarted,
    explain,
    translate,
)


def raw(event: str, *, action: str = "collect", host: str = "db01", **data: Any) -> dict[str, Any]:
    """An event as ansible-runner gives it."""
    return {
        "event": event,
        "uuid": "84cd30f4-11a7-4090-8c51-cb2c0ba74909",
        "counter": 7,
        "stdout": "",
        "pid": 26597,
        "event_data": {
            "playbook": "audit.yml",
            "task": "Collect the facts",
            "task_action": action.rpartition(".")[2],
            "resolved_action": action,
            "host": host,
            "remote_addr": host,
            **data,
        },
    }


SUDO_HINT = "root is needed: log in as root, or give the password with --ask-become-pass"
NO_TTY = "sudo: sorry, you must have a tty to run sudo"
TTY_HINT = (
    "sudoers has requiretty: write `Defaults:USER !requiretty` for this user below /etc/sudoers.d, set"
    " ansible_pipelining to false in the inventory, or log in as root"
)


@pytest.mark.parametrize(
    ("given", "event"),
    [
        (
            raw("playbook_on_task_start", name="collect : Read\nthe host"),
            TaskStarted("collect : Read the host"),
        ),
        (raw("playbook_on_task_start", name="List the hosts", action="hardener.docker.hosts"), None),
        (
            raw(
                "runner_on_ok",
                action="hardener.docker.hosts",
                res={"hosts": {"b": ["edge", "web"], "a": ["ungrouped"]}},
            ),
            Hosts(("b", "a"), {"b": ("edge", "web"), "a": ("ungrouped",)}),
        ),
        (
            raw("runner_on_ok", res={"changed": False, "snapshot": "/s"}),
            TaskResult("db01", "collect", State.OK, data={"changed": False, "snapshot": "/s"}),
        ),
        (
            raw("runner_on_ok", action="ansible.builtin.apt", res={"changed": True}),
            TaskResult("db01", "apt", State.CHANGED, data={"changed": True}),
        ),
        (
            raw(
                "runner_on_ok",
                action="hardener.docker.converge",
                res={"changed": True, "inventory_host": "web03"},
            ),
            TaskResult("db01", "converge", State.FAILED, "the answer belongs to another host"),
        ),
        (
            raw("runner_on_ok", action="community.mysql.mysql_user", res={"host": "%"}),
            TaskResult("db01", "mysql_user", State.OK, data={"host": "%"}),
        ),
        (raw("runner_on_skipped", res={}), TaskResult("db01", "collect", State.SKIPPED)),
        (
            raw("runner_on_failed", res={"msg": "no Python"}, ignore_errors=None),
            TaskResult("db01", "collect", State.FAILED, "no Python", {"msg": "no Python"}),
        ),
        (
            raw("runner_on_failed", res={"msg": "no Python"}, ignore_errors=True),
            TaskResult("db01", "collect", State.OK, "", {"msg": "no Python"}),
        ),
        (
            raw("runner_on_unreachable", res={"unreachable": True, "msg": "gone"}),
            TaskResult("db01", "collect", State.UNREACHABLE, "gone", {"unreachable": True, "msg": "gone"}),
        ),
        (raw("runner_on_start"), None),
        (raw("playbook_on_stats"), None),
        ({"event": "verbose", "stdout": "[WARNING]: x"}, None),
        ({}, None),
    ],
)
def test_events_of_ansible_runner_are_converted(given: dict[str, Any], event: Event | None) -> None:
    assert translate(given) == event


def test_a_result_with_a_list_of_hosts_is_not_taken_for_the_list_of_hosts() -> None:
    """A host must not be able to name others by what it returns."""
    event = translate(raw("runner_on_ok", res={"ansible_play_hosts_all": ["x"], "changed": False}))
    assert isinstance(event, TaskResult)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (
            {"msg": "Task failed: Failed to connect to the host via ssh: ssh: connect to host h: refused"},
            "ssh: connect to host h: refused",
        ),
        (
            {"msg": "Task failed: Premature end.\n>>> Standard Error\n\n/bin/sh: 1: sudo: not found"},
            "Premature end. /bin/sh: 1: sudo: not found (install sudo on the host, or log in as root)",
        ),
        (
            {"msg": "Task failed: Missing sudo password"},
            f"Missing sudo password ({SUDO_HINT})",
        ),
        (
            {"msg": "Task failed: Premature end.\n>>> Standard Error\nsudo: a password is required"},
            f"sudo: a password is required ({SUDO_HINT})",
        ),
        (
            {"msg": "Task failed: Incorrect sudo password"},
            "Incorrect sudo password (give the right password with --ask-become-pass)",
        ),
        (
            {
                "msg": "MODULE FAILURE",
                "module_stderr": "sudo: unable to resolve host\nsudo: 1 incorrect attempt",
            },
            "sudo: 1 incorrect attempt",
        ),
        (
            {
                "msg": f"the script ended with code 1 on the host: {NO_TTY}",
            },
            f"the script ended with code 1 on the host: {NO_TTY} ({TTY_HINT})",
        ),
        (
            {"msg": f"Premature end.\n>>> Standard Error\n{NO_TTY}\r\n"},
            f"{NO_TTY} ({TTY_HINT})",
        ),
        (
            {"msg": "MODULE FAILURE", "module_stderr": "Traceback\nOSError: full\n"},
            "MODULE FAILURE OSError: full",
        ),
        ({"msg": "non-zero return code", "stderr": "E: locked"}, "non-zero return code E: locked"),
        (
            {
                "msg": "One or more items failed",
                "results": [{"failed": False}, {"failed": True, "msg": "second"}],
            },
            "second",
        ),
        (
            {
                "msg": "Failed to connect to the host via ssh: @@@@@\r\n@  WARNING: CHANGED!  @\r\n@@@@@\r\n"
                "NASTY!\r\nmore\r\nmore\r\nHost key for h has changed.\r\nHost key verification failed."
            },
            "WARNING: CHANGED! … Host key for h has changed. Host key verification failed.",
        ),
        ({"outcome": "rolled_back", "reason": "dockerd did not come back"}, "dockerd did not come back"),
        ({"msg": "red \x1b[31m\u202e"}, "red \\x1b[31m\\u202e"),
        ({"censored": "the output has been hidden"}, "Ansible gives no reason"),
        ({}, "Ansible gives no reason"),
    ],
)
def test_failures_are_explained_in_one_line(result: dict[str, Any], reason: str) -> None:
    assert explain(result) == reason


def test_a_reason_is_one_line_of_limited_length() -> None:
    reason = explain({"msg": "line\n" * 1000})
    assert "\n" not in reason
    assert len(reason) < 400


def test_successful_outcomes_are_recognised() -> None:
    assert Outcome(State.OK).ended_well
    assert Outcome(State.CHANGED).ended_well
    assert not Outcome(State.FAILED, "x").ended_well
    assert not Outcome(State.UNREACHABLE, "x").ended_well


# A module's result comes from the host: any key can have any value.
ANYTHING: tuple[Any, ...] = (
    None,
    True,
    5,
    -1.5,
    "",
    "x",
    [],
    [5],
    [None],
    [[]],
    {},
    {"failed": 1},
    [{"failed": 1, "msg": 5}],
)


@pytest.mark.parametrize("value", ANYTHING, ids=repr)
@pytest.mark.parametrize(
    "key", ["msg", "reason", "results", "stderr", "module_stderr", "changed", "exception"]
)
def test_a_failure_is_explained_for_any_module_result(key: str, value: Any) -> None:
    event = translate(raw("runner_on_failed", res={key: value, "failed": True}))
    assert isinstance(event, TaskResult)
    assert (event.state, event.reason.isprintable(), bool(event.reason)) == (State.FAILED, True, True)


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("hardener: db01: restart docker\n", StepStarted("db01", "restart docker")),
        ("hardener: a: b: write files", StepStarted("a: b", "write files")),
        ("hardener: db01: Restart", None),
        ("hardener: db01: \x1b[31mred", None),
        (f"hardener: db01: {'x' * 41}", None),
        ("[WARNING]: hardener: db01: restart docker", None),
        ("hardener: db01", None),
    ],
)
def test_only_well_formed_lines_are_steps_of_a_transaction(text: str, event: StepStarted | None) -> None:
    assert translate({"event": "verbose", "stdout": text}) == event
    assert translate({"event": "runner_on_start", "stdout": text}) is None
