"""What a host says when it begins is shown to a person, and may be hostile."""

from __future__ import annotations

from typing import Any, cast

import pytest

from hardener.errors import ExitCode, HardenerError
from hardener.fleet import Fleet, Outcome, State
from hardener.workflows import twins


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (["the network of run 7 remains"], ["the network of run 7 remains"]),
        (["a\x1b[31m\nb", 7, None, ["c"]], ["a\\x1b[31m b"]),
        (["a"] * 1000, ["a"] * 10),
        ("text", []),
        ({"a": "b"}, []),
        (None, []),
    ],
)
def test_problems_that_a_host_reports_are_shown_on_one_line_each(told: Any, shown: list[str]) -> None:
    assert twins.problems({"problems": told}) == shown


def test_a_long_problem_that_a_host_reports_is_cut() -> None:
    (text,) = twins.problems({"problems": ["x" * 100_000]})
    assert len(text) < 1100


class Answers:
    """The answers of one host, of which none came."""

    def __init__(self, state: State, *hosts: str) -> None:
        self.outcomes = {host: Outcome(state, "why") for host in hosts or ("web1",)}

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def each(self, _watcher: object, *, failures: bool) -> tuple[()]:
        assert not failures
        return ()


@pytest.mark.parametrize(
    ("state", "code"), [(State.UNREACHABLE, ExitCode.INCOMPLETE), (State.FAILED, ExitCode.USAGE)]
)
def test_only_a_host_that_fails_in_a_stage_is_a_usage_error(
    state: State, code: ExitCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hardener.fleet.requests.stage", lambda *_, **__: Answers(state))
    with pytest.raises(HardenerError, match=r"^web1: why$") as refused:
        twins.stage(cast("Fleet", None), "record", {}, cast("Any", None))
    assert refused.value.exit_code == code


def test_a_playbook_that_refuses_several_hosts_gives_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "hardener.fleet.requests.stage", lambda *_, **__: Answers(State.FAILED, "web1", "web2")
    )
    with pytest.raises(HardenerError, match=r"^why$"):
        twins.stage(cast("Fleet", None), "record", {}, cast("Any", None))
