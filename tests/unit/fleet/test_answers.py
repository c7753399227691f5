from __future__ import annotations

from typing import Any, cast

import pytest

from hardener.fleet.answers import Answer, Answers, ChangeAnswer
from hardener.fleet.events import Event, Hosts, State, TaskResult
from hardener.model import Impact
from hardener.plan import ActivationResult, DocumentResult, FileChange, TransactionResult

DATA: dict[str, Any] = {
    "documents": [
        {"name": "kernel", "state": "held", "impact": "reboot", "reason": "too much", "paths": ["/etc/x"]}
    ],
    "changes": [
        {"path": "/etc/x", "what": "write", "documents": ["kernel"]},
        {"path": "/etc/y", "what": "remove", "documents": ["kernel"]},
    ],
    "diff": [{"path": "/etc/x", "prepared": "+new"}],
    "activations": [{"name": "docker", "action": "restart docker", "why": ["it differs"], "stops": ["db"]}],
    "notes": ["a note"],
    "pending": ["boot it again"],
    "plan": "abc",
    "allow": "reload",
    "reason": "because",
}


def test_the_result_of_a_transaction_is_typed() -> None:
    assert ChangeAnswer("web1", State.OK, data=DATA).result == TransactionResult(
        documents=(
            DocumentResult(
                name="kernel", state="held", impact=Impact.REBOOT, reason="too much", paths=("/etc/x",)
            ),
        ),
        changes=(
            FileChange(path="/etc/x", what="write", diff="+new"),
            FileChange(path="/etc/y", what="remove", diff=""),
        ),
        activations=(
            ActivationResult(name="docker", action="restart docker", why=("it differs",), stops=("db",)),
        ),
        notes=("a note", "boot it again"),
        allow="reload",
        digest="abc",
        reason="because",
    )


def test_an_empty_answer_has_an_empty_result() -> None:
    assert ChangeAnswer("web1", State.OK).result == TransactionResult()


class Watcher:
    """Keeps the events that it receives."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def event(self, event: Event) -> None:
        self.events.append(event)

    def difference(self, host: str, difference: Any) -> None:
        raise AssertionError


@pytest.mark.parametrize("failures", [True, False])
def test_failed_results_are_passed_to_the_watcher_only_on_request(failures: bool) -> None:
    hosts, good = Hosts(("a", "b")), TaskResult("a", "record", State.OK, "", last=True)
    bad = TaskResult("b", "record", State.FAILED, "why", last=True)
    answers = Answers(
        cast("Any", [hosts, good, bad]), "record", lambda result: Answer(result.host, result.state)
    )
    watcher = Watcher()
    assert [answer.host for answer in answers.each(watcher, failures=failures)] == ["a", "b"]
    assert watcher.events == [hosts, good, *([bad] if failures else [])]
