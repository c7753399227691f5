from __future__ import annotations

from collections import Counter
from random import Random

from hardener.fleet.events import Outcome, SliceLost, State, TaskResult
from hardener.fleet.slices import ATTEMPTS, Slice, SliceQueue

PLACES = ("a", "b", "c")


def answer(host: str, state: State = State.OK, action: str = "collect") -> TaskResult:
    return TaskResult(host, action, state, "no" if state in (State.FAILED, State.UNREACHABLE) else "")


def test_slices_have_the_given_size_in_inventory_order() -> None:
    slices = SliceQueue("audit", "edcba", 2)
    taken = [slices.take("a", PLACES) for _ in range(3)]
    assert [piece.hosts for piece in taken if piece] == [("e", "d"), ("c", "b"), ("a",)]
    assert slices.take("a", PLACES) is None
    assert not slices.waiting


def test_hosts_that_have_answered_are_not_repeated() -> None:
    slices = SliceQueue("audit", "ab", 2)
    first = slices.take("a", PLACES)
    assert first
    assert slices.result(first, answer("a"))
    assert list(slices.lost(first, "a", "killed")) == [SliceLost(1, ("b",), "killed")]
    again = slices.take("b", PLACES)
    assert again
    assert again.hosts == ("b",)
    assert not slices.result(again, answer("a")), "a second answer of the same host"
    assert list(slices.ended(again, {"b": Outcome(State.CHANGED)})) == []
    assert slices.outcomes == {"a": Outcome(State.OK), "b": Outcome(State.CHANGED)}


def test_a_lost_slice_is_given_to_another_executor_if_there_is_one() -> None:
    slices = SliceQueue("audit", "a", 1)
    first = slices.take("a", PLACES)
    assert first
    assert list(slices.lost(first, "a", "killed")) == [SliceLost(1, ("a",), "killed")]
    assert slices.take("a", PLACES) is None
    assert slices.take("a", ("a",)), "no other place is left"


def test_hosts_that_may_have_changed_are_not_repeated() -> None:
    slices = SliceQueue("harden", "abc", 3)
    piece = slices.take("a", PLACES)
    assert piece
    assert slices.result(piece, answer("a", State.CHANGED, "converge"))
    assert slices.result(piece, answer("b", State.FAILED, "converge"))
    told = list(slices.lost(piece, "a", "killed"))
    assert not slices.waiting
    assert [each.host for each in told if isinstance(each, TaskResult)] == ["a", "c"], (
        "b has said why it failed"
    )
    assert len(told) == 2
    assert slices.outcomes["b"] == Outcome(State.FAILED, "no")
    assert "killed" in slices.outcomes["a"].reason
    assert "audit it" in slices.outcomes["a"].reason


def test_a_slice_is_repeated_up_to_a_limit() -> None:
    slices = SliceQueue("audit", "a", 1)
    for _ in range(ATTEMPTS - 1):
        piece = slices.take("a", ("a",))
        assert piece
        assert list(slices.lost(piece, "a", "killed")) == [SliceLost(1, ("a",), "killed")]
    piece = slices.take("a", ("a",))
    assert piece
    reason = "lost with its slice: killed"
    assert list(slices.lost(piece, "a", "killed")) == [TaskResult("a", "", State.FAILED, reason)]
    assert slices.outcomes == {"a": Outcome(State.FAILED, reason)}
    assert not slices.waiting


def test_hosts_without_an_executor_are_reported() -> None:
    slices = SliceQueue("audit", "ab", 1)
    assert [result.host for result in slices.abandon("no node")] == ["a", "b"]
    assert slices.outcomes == dict.fromkeys("ab", Outcome(State.FAILED, "no node"))


def test_a_host_that_left_the_inventory_is_reported() -> None:
    slices = SliceQueue("audit", "ab", 2)
    piece = slices.take("a", PLACES)
    assert piece
    assert [result.host for result in slices.ended(piece, {"b": Outcome(State.OK)})] == ["a"]
    assert "no longer" in slices.outcomes["a"].reason


def test_each_host_has_one_outcome_after_any_losses() -> None:
    """Slices answer partly, get lost, end, and answer for hosts of others, in any order."""
    for seed in range(500):
        lose(Random(seed))


def lose(random: Random) -> None:
    hosts = [f"h{number}" for number in range(random.randint(1, 12))]
    size = random.randint(1, 5)
    playbook, last = random.choice(
        [
            ("audit", "collect"),
            ("scan", "vulnerability_scan"),
            ("harden", "converge"),
            ("rollback", "rollback"),
        ]
    )
    slices = SliceQueue(playbook, hosts, size)
    given_out: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    running: list[tuple[str, Slice]] = []
    while slices.waiting or running:
        if slices.waiting and (not running or random.random() < 0.5):
            place = random.choice(PLACES)
            if piece := slices.take(place, PLACES):
                assert len(piece.hosts) <= size
                assert not answers.keys() & set(piece.hosts), "what has answered is asked again"
                given_out.update(piece.hosts)
                running.append((place, piece))
            continue
        place, piece = running.pop(random.randrange(len(running)))
        for host in random.sample([*hosts, "another"], random.randint(0, min(4, len(hosts)))):
            state = random.choice([State.OK, State.CHANGED, State.FAILED, State.UNREACHABLE])
            if slices.result(piece, answer(host, state, last)):
                assert host in piece.hosts
                (failures if state in (State.FAILED, State.UNREACHABLE) else answers)[host] += 1
        if random.random() < 0.5:
            ended = {host: Outcome(State.FAILED if failures[host] else State.OK) for host in piece.hosts}
            failures.update(result.host for result in slices.ended(piece, ended))
        else:
            told = list(slices.lost(piece, place, "killed"))
            failures.update(each.host for each in told if isinstance(each, TaskResult))
    assert list(slices.outcomes) == hosts, "complete, and in inventory order"
    assert max(answers.values(), default=0) <= 1
    assert max(failures.values(), default=0) <= 1
    assert all(failures[host] == (not outcome.ended_well) for host, outcome in slices.outcomes.items())
    most = ATTEMPTS if playbook in ("audit", "scan") else 1
    assert max(given_out.values()) <= most
