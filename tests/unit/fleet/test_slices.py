from __future__ import annotations

from collections import Counter
from random import Random

from hardener.fleet.events import Outcome, State, TaskResult
from hardener.fleet.slices import ATTEMPTS, Ledger, Slice

PLACES = ("a", "b", "c")


def answer(host: str, state: State = State.OK, action: str = "collect") -> TaskResult:
    return TaskResult(host, action, state, "no" if state in (State.FAILED, State.UNREACHABLE) else "")


def test_slices_have_the_given_size_in_inventory_order() -> None:
    ledger = Ledger("audit", "edcba", 2)
    taken = [ledger.take("a", PLACES) for _ in range(3)]
    assert [piece.hosts for piece in taken if piece] == [("e", "d"), ("c", "b"), ("a",)]
    assert ledger.take("a", PLACES) is None
    assert not ledger.waiting


def test_hosts_that_have_answered_are_not_repeated() -> None:
    ledger = Ledger("audit", "ab", 2)
    first = ledger.take("a", PLACES)
    assert first
    assert ledger.result(first, answer("a"))
    assert list(ledger.lost(first, "a", "killed")) == []
    again = ledger.take("b", PLACES)
    assert again
    assert again.hosts == ("b",)
    assert not ledger.result(again, answer("a")), "a second answer of the same host"
    assert list(ledger.ended(again, {"b": Outcome(State.CHANGED)})) == []
    assert ledger.outcomes == {"a": Outcome(State.OK), "b": Outcome(State.CHANGED)}


def test_a_lost_slice_goes_to_another_place_if_there_is_one() -> None:
    ledger = Ledger("audit", "a", 1)
    first = ledger.take("a", PLACES)
    assert first
    assert not list(ledger.lost(first, "a", "killed"))
    assert ledger.take("a", PLACES) is None
    assert ledger.take("a", ("a",)), "no other place is left"


def test_hosts_that_may_have_changed_are_not_repeated() -> None:
    ledger = Ledger("harden", "abc", 3)
    piece = ledger.take("a", PLACES)
    assert piece
    assert ledger.result(piece, answer("a", State.CHANGED, "converge"))
    assert ledger.result(piece, answer("b", State.FAILED, "converge"))
    told = list(ledger.lost(piece, "a", "killed"))
    assert not ledger.waiting
    assert [result.host for result in told] == ["a", "c"], "b has said why it failed"
    assert ledger.outcomes["b"] == Outcome(State.FAILED, "no")
    assert "killed" in ledger.outcomes["a"].reason
    assert "audit it" in ledger.outcomes["a"].reason


def test_a_slice_is_repeated_up_to_a_limit() -> None:
    ledger = Ledger("audit", "a", 1)
    for _ in range(ATTEMPTS - 1):
        piece = ledger.take("a", ("a",))
        assert piece
        assert not list(ledger.lost(piece, "a", "killed"))
    piece = ledger.take("a", ("a",))
    assert piece
    reason = "lost with its slice: killed"
    assert list(ledger.lost(piece, "a", "killed")) == [TaskResult("a", "", State.FAILED, reason)]
    assert ledger.outcomes == {"a": Outcome(State.FAILED, reason)}
    assert not ledger.waiting


def test_hosts_without_an_executor_are_reported() -> None:
    ledger = Ledger("audit", "ab", 1)
    assert [result.host for result in ledger.abandon("no node")] == ["a", "b"]
    assert ledger.outcomes == dict.fromkeys("ab", Outcome(State.FAILED, "no node"))


def test_a_host_that_left_the_inventory_is_reported() -> None:
    ledger = Ledger("audit", "ab", 2)
    piece = ledger.take("a", PLACES)
    assert piece
    assert [result.host for result in ledger.ended(piece, {"b": Outcome(State.OK)})] == ["a"]
    assert "no longer" in ledger.outcomes["a"].reason


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
    ledger = Ledger(playbook, hosts, size)
    given_out: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    running: list[tuple[str, Slice]] = []
    while ledger.waiting or running:
        if ledger.waiting and (not running or random.random() < 0.5):
            place = random.choice(PLACES)
            if piece := ledger.take(place, PLACES):
                assert len(piece.hosts) <= size
                assert not answers.keys() & set(piece.hosts), "what has answered is asked again"
                given_out.update(piece.hosts)
                running.append((place, piece))
            continue
        place, piece = running.pop(random.randrange(len(running)))
        for host in random.sample([*hosts, "another"], random.randint(0, min(4, len(hosts)))):
            state = random.choice([State.OK, State.CHANGED, State.FAILED, State.UNREACHABLE])
            if ledger.result(piece, answer(host, state, last)):
                assert host in piece.hosts
                (failures if state in (State.FAILED, State.UNREACHABLE) else answers)[host] += 1
        if random.random() < 0.5:
            ended = {host: Outcome(State.FAILED if failures[host] else State.OK) for host in piece.hosts}
            failures.update(result.host for result in ledger.ended(piece, ended))
        else:
            failures.update(result.host for result in ledger.lost(piece, place, "killed"))
    assert list(ledger.outcomes) == hosts, "complete, and in inventory order"
    assert max(answers.values(), default=0) <= 1
    assert max(failures.values(), default=0) <= 1
    assert all(failures[host] == (not outcome.ended_well) for host, outcome in ledger.outcomes.items())
    most = ATTEMPTS if playbook in ("audit", "scan") else 1
    assert max(given_out.values()) <= most
