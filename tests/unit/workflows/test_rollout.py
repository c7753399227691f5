from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest

from hardener.batches import Batch, Batches, Share
from hardener.workflows.remediate import RemediationResult
from hardener.workflows.rollout import roll_out


class Notes:
    """Notes what a run in batches tells."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.reasons: list[str] = []

    def divided(self, batches: Sequence[Batch], most_failures: int) -> None:
        raise AssertionError

    def batch_begins(self, number: int, batches: int, batch: Batch) -> None:
        assert 1 <= number <= batches
        self.begun += batch.hosts

    def stopped(self, reason: str) -> None:
        self.reasons.append(reason)

    def not_begun(self, hosts: Mapping[str, str]) -> None:
        raise AssertionError

    def resumable(self, run: str) -> None:
        raise AssertionError


def run(
    batches: Sequence[Batch],
    *,
    most: int,
    fail: Sequence[str] = (),
    worse: Sequence[str] = (),
    away: Sequence[str] = (),
    closed: Sequence[str] = (),
) -> tuple[RemediationResult, Notes, list[list[str]]]:
    notes, looked = Notes(), list[list[str]]()

    def look(hosts: Sequence[str]) -> Mapping[str, str]:
        looked.append(list(hosts))
        return {host: "worse" for host in hosts if host in worse}

    result = roll_out(
        batches,
        most_failures=most,
        failed=dict.fromkeys(away, "away"),
        carry_out=lambda batch: RemediationResult(
            failed={host: "rolled back" for host in batch.hosts if host in fail},
            rolled_back=frozenset(host for host in batch.hosts if host in fail),
            not_begun={host: "closed" for host in batch.hosts if host in closed},
        ),
        look=look,
        listener=notes,
    )
    return result, notes, looked


ABC = [Batch(("a",), is_canary=True), Batch(("b", "c")), Batch(("d", "e"))]


def test_hosts_of_each_batch_except_the_last_are_checked_before_the_next_batch() -> None:
    result, notes, looked = run(ABC, most=0)
    assert (result, notes.reasons) == (RemediationResult(), [])
    assert looked == [["a"], ["b", "c"]]


def test_a_failed_canary_ends_the_run() -> None:
    result, notes, _ = run(ABC, most=0, fail=["a"])
    assert notes.begun == ["a"]
    assert notes.reasons == ["1 failed where --max-fail allows 0 (a: rolled back)"]
    assert list(result.not_begun) == ["b", "c", "d", "e"]
    assert result.rolled_back == {"a"}


def test_a_canary_that_is_worse_after_its_change_ends_the_run() -> None:
    result, notes, _ = run(ABC, most=0, worse=["a"])
    assert (notes.begun, list(result.failed)) == (["a"], ["a"])
    assert result.rolled_back == frozenset()


def test_a_completely_failed_batch_within_the_limit_of_failures_does_not_end_the_run() -> None:
    result, notes, _ = run(ABC, most=3, fail=["a", "b", "c"])
    assert (notes.begun, notes.reasons) == (["a", "b", "c", "d", "e"], [])
    assert not result.not_begun


def test_unreachable_hosts_count_as_failed() -> None:
    result, notes, _ = run(ABC, most=0, away=["z"])
    assert notes.begun == []
    assert list(result.not_begun) == ["a", "b", "c", "d", "e"]
    assert not result.failed, "it was never begun, and the audit tells that it cannot be reached"
    result, notes, _ = run(ABC, most=1, away=["z"], fail=["b"])
    assert notes.begun == ["a", "b", "c"]


def test_only_canaries_outside_their_window_end_the_run() -> None:
    result, notes, _ = run(ABC, most=0, closed=["a"])
    assert notes.reasons == ["a canary was not begun: closed"]
    assert result.not_begun == {"a": "closed"} | dict.fromkeys("bcde", notes.reasons[0])
    result, notes, looked = run(ABC, most=0, closed=["b", "c"])
    assert (notes.reasons, result.not_begun) == ([], {"b": "closed", "c": "closed"})
    assert looked == [["a"]]


def test_control_characters_in_host_names_are_escaped_in_reasons() -> None:
    _, notes, _ = run([Batch(("a\x1b[2J",)), Batch(("b",))], most=0, fail=["a\x1b[2J"])
    assert notes.reasons[0].isprintable()


@pytest.mark.parametrize("seed", range(200))
def test_the_run_ends_when_too_many_hosts_have_failed(seed: int) -> None:
    draw = random.Random(seed)
    hosts = [f"h{number}" for number in range(draw.randrange(1, 40))]
    chance = draw.choice([0.0, 0.1, 0.5, 1.0])
    bad = [host for host in hosts if draw.random() < chance]
    worse = [host for host in hosts if draw.random() < chance]
    away = [f"z{number}" for number in range(draw.randrange(3))]
    batches = Batches(canary=draw.choice(["", "1", "3"]), batch=Share(draw.randrange(1, 9))).divide(
        hosts, lambda _group: ()
    )
    most = draw.randrange(10)
    result, notes, _ = run(batches, most=most, fail=bad, worse=worse, away=away)
    assert [*notes.begun, *result.not_begun] == hosts, "every host is begun or named, once"
    failing = {*bad, *worse}
    ended = 0
    for batch in batches:  # the last batch that may begin
        if len(away) + len(failing & set(hosts[:ended])) > most:
            break
        ended += len(batch.hosts)
    assert len(notes.begun) == ended
    assert bool(notes.reasons) == (ended < len(hosts))
