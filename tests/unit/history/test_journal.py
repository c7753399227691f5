from __future__ import annotations

import json
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


@pytest.mark.parametrize(
    "forged",
    [
        {"started": "nan"},
        {"started": 1e300},
        {"started": -1e300},
        {"started": 10**400},
        {"number": 1e400},
        {"number": "9" * 5000},
        {"run": "bb-1"},
        {"run": "../../x"},
        {"run": ["aa-1"]},
        {"hosts": "abc"},
        {"hosts": [["a"]]},
        {"hosts": {"a": 1}},
        {"arguments": "harden"},
        {"arguments": [{}]},
        {"finished": 5},
        {"begin": "abc"},
        {"begin": [None]},
        {"end": {"a": ["won"]}},
        {"end": [1]},
    ],
)
def test_a_forged_journal_is_ignored_and_the_others_are_found(
    tmp_path: Path, forged: dict[str, object]
) -> None:
    home = Home(tmp_path / "home")
    for run in ("aa-1", "bb-1"):
        journal(home, run).close(over=False)
    path = home.changes / "aa-1.jsonl"
    first = json.loads(path.read_bytes())
    in_first = forged.keys() <= first.keys()
    lines = [{**first, **forged}] if in_first else [first, forged]
    path.write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    assert [each.run for each in unfinished_runs(home)] == ["bb-1"]


@pytest.mark.parametrize("started", [0, 1, 2**31 - 1, 2**31, 253_402_300_799])
def test_journals_from_1970_to_the_end_of_the_calendar_are_read(tmp_path: Path, started: int) -> None:
    home = Home(tmp_path / "home")
    journal(home).close(over=False)
    path = home.changes / "aa-1.jsonl"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "started": started}) + "\n")
    assert unfinished_run(home, "aa").started == started
