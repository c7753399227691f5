from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.history.home import Home
from hardener.history.numbers import believed, next_number, take_number

NOW = 1_800_000_000.0


def test_run_numbers_rise_even_if_the_clock_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    clock = NOW
    monkeypatch.setattr(time, "time", lambda: clock)
    first = take_number(home, 0)
    assert first == NOW * 1000
    clock = NOW - 3600  # it is set back
    assert take_number(home, 0) == first + 1
    assert take_number(home, first + 70) == first + 71, "a host knows a higher one"
    clock = NOW + 3600
    assert take_number(home, 0) == clock * 1000


def test_without_a_history_run_numbers_continue_after_the_highest_one_of_a_host() -> None:
    assert next_number(0, int(NOW * 1000) + 5, now=NOW) == NOW * 1000 + 6


@pytest.mark.parametrize("content", [b"", b"x" * 50, b"-5", b"\xff\xfe", b"1.5", b"9" * 5])
def test_a_damaged_stored_run_number_is_ignored(tmp_path: Path, content: bytes) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    (home.path / "number").write_bytes(content)
    before = int(time.time() * 1000)
    number = take_number(home, 0)
    assert number >= before
    assert take_number(home, 0) > number


def test_concurrent_processes_get_different_numbers(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: take_number(home, 0), range(100)))
    assert len(set(numbers)) == 100


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HardenerError, match="the history in"):
        take_number(Home(tmp_path / "file" / "home"), 0)


@pytest.mark.parametrize(
    ("known", "number"),
    [
        *((None, 0), ({}, 0), ([7], 0), ("7", 0), ({"number": "7"}, 0), ({"number": True}, 0)),
        *(({"number": -7}, 0), ({"number": 7}, 7), ({"number": int(NOW * 1000)}, int(NOW * 1000))),
        *(({"number": int(NOW * 1000) * 3}, 0), ({"number": 1 << 62}, 0)),
    ],
)
def test_a_run_number_of_a_host_is_ignored_if_it_is_malformed_or_far_ahead_of_the_clock(
    known: object, number: int
) -> None:
    assert believed(known, now=NOW) == number


@pytest.mark.parametrize("seed", range(50))
def test_the_later_run_of_two_control_nodes_has_the_higher_number(tmp_path: Path, seed: int) -> None:
    """Whatever their clocks say, as soon as it has seen what the other has done."""
    draw = random.Random(seed)
    last = [0, 0]
    ahead = [draw.randrange(-100_000, 100_000), draw.randrange(-100_000, 100_000)]
    host = 0
    now = NOW
    for _ in range(30):
        now += draw.random() * 10
        node = draw.randrange(2)
        if draw.random() < 0.1:
            last[node] = 0  # its history is lost
        clock = now + ahead[node]
        number = next_number(last[node], believed({"number": host}, now=clock), now=clock)
        assert number > host
        last[node] = host = number
