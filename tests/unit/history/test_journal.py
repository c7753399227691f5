from __future__ import annotations

import random
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.history.home import Home
from hardener.history.journal import Ending, Journal, unfinished_run, unfinished_runs

HOSTS = ("a", "b\udcff", "c\n", "d")


def journal(home: Home, run: str = "aa-1") -> Journal:
    return Journal(
        home, run=run, number=7, arguments=["harden", "-i", "x y"], folder="/tmp", hosts=HOSTS, finished=["z"]
    )


def test_a_written_journal_is_read(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    kept = journal(home)
    kept.begin(["a", "b\udcff"])
    kept.end({"a": (Ending.CONFIRMED, "")})
    (found,) = unfinished_runs(home)
    assert (found.run, found.number, found.arguments) == ("aa-1", 7, ("harden", "-i", "x y"))
    assert (found.hosts, found.unknown, found.at_work) == (HOSTS, ("b\udcff",), True)
    assert (sorted(found.confirmed), found.left) == (["a", "z"], HOSTS[1:])
    kept.begin(["a", "e"])  # it is begun again, and one that was not known before
    (found,) = unfinished_runs(home)
    assert (found.unknown, found.hosts) == (("a", "b\udcff", "e"), (*HOSTS, "e"))
    kept.close(over=False)
    assert not unfinished_run(home, "aa").at_work
    assert (home.changes / "aa-1.jsonl").stat().st_mode & 0o777 == 0o600


def test_runs_are_found_by_the_beginning_of_their_ids(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    for run in ("aa-1", "aa-2", "bb-1"):
        journal(home, run).close(over=False)
    assert unfinished_run(home, "latest").run == "bb-1"
    assert unfinished_run(home, "b").run == "bb-1"
    for name, said in (
        ("aa", "2 unfinished runs have an id that begins with 'aa'"),
        ("x", "no unfinished run"),
        ("", "no unfinished run"),
    ):
        with pytest.raises(HardenerError, match=said):
            unfinished_run(home, name)
    journal(home, "cc-1").close(over=True)
    with pytest.raises(HardenerError):
        unfinished_run(home, "cc-1")


@pytest.mark.parametrize("seed", range(60))
def test_after_a_power_loss_each_host_is_recorded_or_unknown(tmp_path: Path, seed: int) -> None:
    """Whatever part of the file is on the disk: no host is taken for confirmed that was not."""
    home = Home(tmp_path / "home")
    kept = journal(home)
    kept.begin(["a", "d"])
    kept.end({"a": (Ending.CONFIRMED, ""), "d": (Ending.ROLLED_BACK, "why")})
    kept.begin(["d"])
    kept.close(over=False)
    path = home.changes / "aa-1.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: random.Random(seed).randrange(len(whole))])
    for found in unfinished_runs(home):
        assert found.confirmed <= {"a", "z"}
        assert set(found.unknown) | found.confirmed | set(found.ended) <= {*HOSTS, "z"}
        lines = path.read_bytes().count(b"\n")
        assert found.unknown == {1: (), 2: ("a", "d"), 3: (), 4: ("d",)}[lines]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b"\xff\n",
        b"[" * 5000 + b"\n",
        b'{"format": "x", "run": "a"}\n',
    ],
)
def test_a_damaged_journal_is_ignored(tmp_path: Path, content: bytes) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    (home.changes / "aa-1.jsonl").write_bytes(content)
    assert list(unfinished_runs(home)) == []
