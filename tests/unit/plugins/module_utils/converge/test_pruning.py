from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import (
    activations,
    documents,
    origin,
    worker,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.pruning import Limits, prune
from ansible_collections.hardener.docker.plugins.module_utils.converge.transaction import Transaction

from tests.unit.plugins.module_utils.converge.host import Host
from tests.unit.plugins.module_utils.converge.transactions import Recorded, when

MIB = 1 << 20
EVERYTHING = Limits(1000, 1_000_000)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run transactions in this process, and without waiting for the disk: there are many."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(worker, "run", lambda work, *, name: work())


@pytest.fixture(autouse=True)
def recorded(host: Host, monkeypatch: pytest.MonkeyPatch) -> type[Recorded]:
    class Mine(Recorded):
        log = host.folder / "log"

    monkeypatch.setattr(activations, "KINDS", {"systemd-reload": Mine})
    return Mine


def converge(host: Host, limits: Limits, *resources: dict[str, Any], told: bool = False) -> dict[str, Any]:
    """Run a transaction with limits of the host's backups."""
    paths = [resource["path"] for resource in resources]
    document = {"name": "a", "resources": list(resources), "activations": when(*paths) if told else []}
    request = documents.parse({"documents": [document]}, tuple(activations.KINDS))
    return Transaction(request, host.store, limits=limits).run()


def repeat(host: Host, limits: Limits, count: int, *, size: int = 0) -> list[str]:
    """Change a file in each of several runs; return these runs."""
    fill = "x" * size
    return [converge(host, limits, host.file("x", f"{number}{fill}"))["run"] for number in range(count)]


@pytest.mark.parametrize("keep", [1, 2, 3, 7])
def test_the_newest_backups_stay_and_the_removed_ones_are_named(host: Host, keep: int) -> None:
    limits = Limits(keep, 100)
    runs = repeat(host, EVERYTHING, 6)
    assert host.store.runs() == runs
    done = converge(host, limits, host.file("x", "last"))
    runs.append(done["run"])
    kept = max(2, keep)  # the last confirmed run stays beside the one that is not over
    assert host.store.runs() == runs[-kept:]
    removed = runs[:-kept]
    assert [note for note in done["notes"] if "backups" in note] == [
        f"removed the oldest backups, {removed[0]} to {removed[-1]} ({len(removed)}): at most {keep}"
        " backups and 100 MiB are kept (converge_keep_runs, converge_keep_size), and no rollback reaches"
        " further back"
        for _ in removed[:1]
    ]
    assert host.store.record(done["run"])["notes"] == done["notes"], "the host's own record says so, too"


def test_the_oldest_backups_are_removed_if_all_together_exceed_the_size_limit(host: Host) -> None:
    runs = repeat(host, Limits(100, 2), 9, size=MIB // 2)
    kept = host.store.runs()
    assert kept == runs[-len(kept) :]
    assert 3 <= len(kept) < 9
    taken = sum(path.stat().st_size for path in Path(host.store.backups).rglob("*") if path.is_file())
    assert taken <= 2 * MIB + MIB // 4


def test_needed_backups_beyond_the_size_limit_stay_and_a_note_reports_their_size(host: Host) -> None:
    host.write("x", "w" * MIB)
    first, second = (converge(host, EVERYTHING, host.file("x", each * MIB))["run"] for each in "xy")
    third = converge(host, Limits(10, 1), host.file("x", "z"))
    assert host.store.runs() == [second, third["run"]]
    assert third["notes"][0].startswith(
        f"removed the oldest backups, {first}: at most 10 backups and 1 MiB are kept"
    )
    assert third["notes"][1] == (
        "the backups that have to stay take 3 MiB, more than converge_keep_size allows (1)"
    )


def test_the_backup_of_the_last_confirmed_run_stays_after_any_number_of_failed_runs(
    host: Host, recorded: type[Recorded]
) -> None:
    confirmed = converge(host, Limits(3, 1), host.file("x", "good"))["run"]
    recorded.fails = "problems"
    failed = [converge(host, Limits(3, 1), host.file("x", str(n)), told=True) for n in range(8)]
    assert {done["outcome"] for done in failed} == {"rolled_back"}
    assert host.store.runs() == [confirmed, failed[-2]["run"], failed[-1]["run"]]
    assert host.read("x") == "good"


def test_the_backup_of_an_unfinished_run_stays(host: Host) -> None:
    runs = repeat(host, EVERYTHING, 6)
    Path(host.store.backup_folder(runs[1]), "journal.json").replace(host.store.journal_file)
    (notes,) = prune(host.store, runs[-1], Limits(1, 100))
    assert host.store.runs() == [runs[1], runs[-1]]
    assert f"{runs[0]} to {runs[4]} (4)" in notes


def test_nothing_is_removed_while_the_journal_is_damaged(host: Host) -> None:
    runs = repeat(host, EVERYTHING, 4)
    Path(host.store.journal_file).write_text("{")
    with pytest.raises(Refused, match="cannot be read"):
        prune(host.store, runs[-1], Limits(1, 1))
    assert host.store.runs() == runs


def test_a_foreign_folder_and_the_target_of_a_link_stay(host: Host) -> None:
    repeat(host, EVERYTHING, 4)
    own = Path(host.store.backups, "0-own folder")
    own.mkdir()
    (own / "file").write_text("x")
    secret = host.folder / "secret"
    secret.write_text("s" * 3 * MIB)
    Path(host.store.backup_folder(host.store.runs()[1]), "files", "9").symlink_to(secret)
    assert not converge(host, Limits(10, 1), host.file("x", "y"))["notes"], "a link counts, not its target"
    converge(host, Limits(1, 1), host.file("x", "z"))
    assert (own / "file").read_text() == "x"
    assert secret.stat().st_size == 3 * MIB


def test_a_run_succeeds_if_old_backups_cannot_be_removed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = repeat(host, EVERYTHING, 4)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "left.json")

    with monkeypatch.context() as patched:
        patched.setattr(origin.Origins, "note", full)
        done = converge(host, Limits(2, 100), host.file("x", "new"))
    assert (done["outcome"], host.read("x")) == ("changed", "new")
    assert done["notes"] == ["the oldest backups cannot be removed: left.json: No space left on device"]
    assert host.store.runs() == [*runs, done["run"]]


@pytest.mark.parametrize("damaged", ["manifest.json", "journal.json", "result.json"])
def test_a_damaged_original_state_does_not_affect_the_others(host: Host, damaged: str) -> None:
    host.write("x", "before")
    first = converge(host, EVERYTHING, host.file("y", "1"))["run"]
    repeat(host, Limits(2, 100), 3)
    kept = host.folder / "hardener" / "origins"
    (kept / first / damaged).write_text("{")
    repeat(host, Limits(2, 100), 4)
    runs, _ = origin.standing(host.store)
    states = {each.path: each.then.content for each in origin.before(host.store, runs, known={})}
    assert states[host.path("x")] == b"before"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"runs": 0}, "converge_keep_runs is '0'; it must be a whole number, 1 to 1000"),
        ({"runs": "ten"}, "converge_keep_runs is 'ten'"),
        ({"runs": True}, "converge_keep_runs is 'True'"),
        ({"runs": 2.5}, "converge_keep_runs is '2.5'"),
        ({"size": -1}, "converge_keep_size is '-1'"),
        ({"size": "9" * 5000}, "converge_keep_size is '9{40}'"),
        ({"size": "\uff11"}, "converge_keep_size is '\uff11'"),
        ({"size": None}, "converge_keep_size is 'None'"),
    ],
)
def test_limits_that_are_not_numbers_are_refused(raw: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        Limits.of(raw)


def test_limits_of_the_backups_may_be_numbers_in_text(host: Host) -> None:
    assert Limits.of({}) == Limits(10, 100)
    assert Limits.of({"runs": "3", "size": 7}) == Limits(3, 7)


# --- other tools --------------------------------------------------------------------------------------------

NAMES = ("a", "b", "c")


def meddle(host: Host, chance: random.Random, number: int) -> None:
    """Let another tool change one file: back to its first content, to a new one, or remove it."""
    path = host.folder / chance.choice(NAMES)
    what = chance.randrange(3)
    if what == 2:
        path.unlink(missing_ok=True)
    else:
        path.write_text(f"original {path.name}" if what == 0 else f"another {number}")


def former(host: Host) -> dict[str, Any]:
    """Return what a release would make of each path."""
    runs, damaged = origin.standing(host.store)
    assert not damaged
    return {each.path: each.then for each in origin.before(host.store, runs, known={})}


@pytest.mark.parametrize("seed", range(20))
def test_original_states_stay_the_same_when_backups_are_removed(host: Host, seed: int) -> None:
    chance = random.Random(seed)
    for name in NAMES[: chance.randrange(4)]:
        host.write(name, f"original {name}")
    for number in range(10):
        if chance.random() < 0.6:
            meddle(host, chance, number)
        chosen = chance.sample(NAMES, chance.randrange(1, 4))
        converge(host, EVERYTHING, *(host.file(name, f"ours {chance.randrange(4)}") for name in chosen))
    whole = former(host)
    for keep in (6, 4, 3, 1):
        prune(host.store, host.store.runs()[-1], Limits(keep, 100))
        assert former(host) == whole, keep
    kept = origin.Origins(host.store).runs()
    assert len(kept) <= 2 * len(NAMES)


def test_at_most_two_backups_of_a_path_stay_if_another_tool_changes_it_too(host: Host) -> None:
    """Before each of 60 runs, another tool writes the original content or a new one."""
    host.write("x", "original")
    sizes = []
    for number in range(60):
        host.write("x", "original" if number % 3 else f"another {number}")
        converge(host, Limits(3, 100), host.file("x", f"ours {number % 5}"))
        sizes.append(sum(1 for _ in Path(host.store.folder).rglob("*")))
        left = json.dumps(origin.Origins(host.store).left())
        assert len(left) < 1000
    assert max(sizes[30:]) <= max(sizes[:30])
    assert len(origin.Origins(host.store).runs()) <= 2
