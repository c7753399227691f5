from __future__ import annotations

import random

import pytest

from hardener.batches import AT_ONCE, Batch, Batches, Share
from hardener.errors import HardenerError


def never(group: str) -> frozenset[str]:
    raise AssertionError(group)


def sizes(batches: list[Batch]) -> list[int]:
    return [len(batch.hosts) for batch in batches]


@pytest.mark.parametrize("text", ["3", "10%", "100%", " 7 ", "0", "0%"])
def test_a_number_or_percentage_of_hosts_is_parsed(text: str) -> None:
    assert str(Share.parse(text, least=0)) == text.strip()


@pytest.mark.parametrize("text", ["", "-1", "101%", "1.5", "10 %", "ten", "%", "٣", "1" * 10, "0x1", "1%%"])
def test_an_invalid_number_or_percentage_of_hosts_is_refused(text: str) -> None:
    with pytest.raises(HardenerError, match="is not a number of hosts"):
        Share.parse(text, least=0)


@pytest.mark.parametrize("text", ["0", "0%"])
def test_a_batch_has_at_least_one_host(text: str) -> None:
    with pytest.raises(HardenerError, match="from 1"):
        Share.parse(text, least=1)


@pytest.mark.parametrize(
    ("text", "hosts", "number"),
    [("10%", 99, 9), ("10%", 9, 0), ("100%", 7, 7), ("33%", 3, 0), ("34%", 3, 1), ("5", 3, 5), ("0%", 99, 0)],
)
def test_a_percentage_is_rounded_down(text: str, hosts: int, number: int) -> None:
    assert Share.parse(text, least=0).of(hosts) == number


def test_a_limit_of_failures_without_batches_is_refused() -> None:
    with pytest.raises(HardenerError, match="needs batches"):
        Batches(max_fail=Share(1))
    with pytest.raises(HardenerError, match="names no host"):
        Batches(canary="0")


@pytest.mark.parametrize(
    ("batches", "most"),
    [
        (AT_ONCE, 40),
        (Batches(canary="1"), 0),
        (Batches(batch=Share(5)), 0),
        (Batches(canary="1", max_fail=Share(2)), 2),
        (Batches(canary="1", max_fail=Share(9, percent=True)), 3),
    ],
)
def test_the_number_of_allowed_failures_is_computed(batches: Batches, most: int) -> None:
    assert batches.most_failures(40) == most


def test_hosts_are_divided_into_batches() -> None:
    hosts = [f"h{number}" for number in range(10)]
    assert sizes(AT_ONCE.divide(hosts, never)) == [10]
    assert sizes(Batches(canary="1").divide(hosts, never)) == [1, 9]
    assert sizes(Batches(canary="1", batch=Share(25, percent=True)).divide(hosts, never)) == [
        1,
        2,
        2,
        2,
        2,
        1,
    ]
    assert sizes(Batches(batch=Share(4)).divide(hosts, never)) == [4, 4, 2]
    assert sizes(Batches(batch=Share(1, percent=True)).divide(hosts, never)) == [1] * 10
    assert sizes(Batches(canary="99", batch=Share(1)).divide(hosts, never)) == [10]
    assert AT_ONCE.divide([], never) == []


def test_canaries_of_a_group_come_first_in_inventory_order() -> None:
    hosts = ["a", "b", "c", "d"]
    found = Batches(canary="edge").divide(
        hosts, lambda group: {"d", "b", "elsewhere"} if group == "edge" else ()
    )
    assert found == [Batch(("b", "d"), is_canary=True), Batch(("a", "c"))]
    none = Batches(canary="edge").divide(hosts, lambda _group: {"elsewhere"})
    assert none == [Batch(("a", "b", "c", "d"))]


@pytest.mark.parametrize("seed", range(200))
def test_every_host_is_in_one_batch_and_in_order(seed: int) -> None:
    draw = random.Random(seed)
    hosts = [f"h{number}" for number in draw.sample(range(1000), draw.randrange(60))]
    group = {host for host in hosts if draw.random() < 0.3}
    canary = draw.choice(["", "edge", str(draw.randrange(1, 70))])
    share = draw.choice([None, Share(draw.randrange(1, 70)), Share(draw.randrange(1, 101), percent=True)])
    batches = Batches(canary=canary, batch=share)
    found = batches.divide(hosts, lambda _group: group)
    assert found == batches.divide(hosts, lambda _group: group), "it is deterministic"
    everyone = [host for batch in found for host in batch.hosts]
    assert sorted(everyone) == sorted(hosts)
    assert all(batch.hosts for batch in found)
    assert not any(batch.is_canary for batch in found[1:])
    for batch in found:
        assert sorted(batch.hosts, key=hosts.index) == list(batch.hosts)
    rest = [batch for batch in found if not batch.is_canary]
    assert [host for batch in rest for host in batch.hosts] == [
        host for host in hosts if not (found and found[0].is_canary and host in found[0].hosts)
    ]
    if share:
        size = max(1, share.of(len(hosts)))
        assert all(len(batch.hosts) == size for batch in rest[:-1])
        assert all(len(batch.hosts) <= size for batch in rest)
    else:
        assert len(rest) <= 1
