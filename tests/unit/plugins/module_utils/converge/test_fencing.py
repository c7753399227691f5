from __future__ import annotations

import errno
import json
import os
import random
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import (
    confirm,
    departure,
    documents,
    history,
    main,
    records,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import KINDS
from ansible_collections.hardener.docker.plugins.module_utils.converge.backup import Store
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed, Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.fencing import Number
from ansible_collections.hardener.docker.plugins.module_utils.converge.release import Release
from ansible_collections.hardener.docker.plugins.module_utils.converge.transaction import Terms, Transaction
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import own_records

from tests.unit.plugins.module_utils.converge.host import Host


def converge(
    host: Host, content: str, number: Number | None, *, check: bool = False, token: str = ""
) -> dict[str, Any]:
    raw = {"documents": [{"name": "a", "resources": [host.file("x", content)]}], "check": check}
    request = documents.parse(raw, tuple(KINDS))
    terms = Terms(token, 180, "me") if token else None
    return Transaction(request, host.store, terms, number).run()


def test_a_run_that_is_older_than_the_last_one_is_refused(host: Host) -> None:
    converge(host, "new", Number(7, "b", "root@two"))
    with pytest.raises(Refused, match=r"a newer run of root@two was on this host \(number 7, 20.*has 6\)"):
        converge(host, "old", Number(6, "a", "root@one"))
    assert host.read("x") == "new"
    assert converge(host, "old", Number(6, "a", ""), check=True)["outcome"] == "would_change"
    assert converge(host, "newer", Number(8, "c", ""))["outcome"] == "changed"


def test_an_older_run_is_refused_after_a_newer_run_without_changes(host: Host) -> None:
    converge(host, "x", Number(6, "a", ""))
    assert converge(host, "x", Number(7, "b", ""))["outcome"] == "unchanged"
    with pytest.raises(Refused, match="newer run"):
        converge(host, "old", Number(6, "a", ""))


def test_a_second_run_with_the_same_number_is_refused(host: Host) -> None:
    converge(host, "one", Number(7, "a", ""))
    with pytest.raises(Refused, match="newer run"):
        converge(host, "two", Number(7, "b", ""))
    assert converge(host, "more", Number(7, "a", ""))["outcome"] == "changed"


def test_a_run_without_a_number_is_accepted_and_keeps_the_stored_number(host: Host) -> None:
    converge(host, "one", Number(7, "a", ""))
    assert converge(host, "two", None)["outcome"] == "changed"
    with pytest.raises(Refused, match="newer run"):
        converge(host, "three", Number(6, "b", ""))


def test_an_older_rollback_is_refused(host: Host) -> None:
    converge(host, "one", Number(7, "a", ""))
    with pytest.raises(Refused, match="newer run"):
        history.back_to(host.store, before="", who="", check=False, number=Number(6, "b", ""))
    back = history.back_to(host.store, before="", who="", check=False, number=Number(8, "c", ""))
    assert back["outcome"] == "changed"
    with pytest.raises(Refused, match="newer run"):
        converge(host, "one", Number(7, "a", ""))


def test_a_run_number_that_cannot_be_stored_stops_only_runs_with_changes(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    converge(host, "one", None)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(records, "write", full)
    assert converge(host, "one", Number(7, "a", ""))["outcome"] == "unchanged"
    with pytest.raises(Refused, match=r"cannot be kept in .*number.json: No space left"):
        converge(host, "two", Number(7, "a", ""))
    assert host.read("x") == "one"


@pytest.mark.parametrize("content", ["", "[]", '{"number": "7"}', '{"number": true}', "{" * 100, "\x00"])
def test_a_damaged_stored_run_number_is_ignored(host: Host, content: str) -> None:
    converge(host, "one", Number(7, "a", ""))
    host.write("hardener/number.json", content)
    assert converge(host, "two", Number(3, "b", ""))["outcome"] == "changed"


@pytest.mark.parametrize(
    "raw",
    [
        *(None, 7, [], {}, {"number": 7}, {"number": 0, "run": "a"}, {"number": -1, "run": "a"}),
        *({"number": True, "run": "a"}, {"number": "7", "run": "a"}, {"number": 1 << 54, "run": "a"}),
        *({"number": 7, "run": ""}, {"number": 7, "run": "a" * 65}, {"number": 7, "run": "../x"}),
    ],
)
def test_an_invalid_run_number_is_refused(raw: object) -> None:
    with pytest.raises(Refused, match=r"is not the number|is not the name"):
        Number.of(raw)
    answer = main._answer(lambda: {"number": main._number({"number": raw})})
    assert answer["outcome"] == "refused"


def test_the_snapshot_contains_the_stored_run_number_and_the_number_of_each_run(host: Host) -> None:
    converge(host, "one", None)
    converge(host, "two", Number(7, "a-b", "root@\none"))
    found = own_records.read_runs(host.store.folder)
    assert found["number"] == {"number": 7, "run": "a-b", "who": "root@ one"}
    assert [each.get("number") for each in found["runs"]] == [7, None]
    listed = history.reported(host.store)["runs"]
    assert [each["number"] for each in listed] == [7, None]
    host.write("hardener/number.json", json.dumps({"number": 1 << 60, "run": "a", "who": ""}))
    assert "number" not in own_records.read_runs(host.store.folder)


@pytest.mark.parametrize("seed", range(15))
def test_after_runs_in_any_order_the_host_has_the_state_of_the_newest_run(host: Host, seed: int) -> None:
    draw = random.Random(seed)
    newest, there = 0, ""
    for step in range(12):
        number = draw.randrange(1, 9)
        try:
            converge(host, f"{step}", Number(number, f"{step}", ""))
        except Refused:
            assert number <= newest
        else:
            assert number > newest
            newest, there = number, f"{step}"
        assert host.read("x") == there


TOKENS = [f"{number:016x}" for number in range(40)]


def outcome(host: Host, token: str, *, forgets: bool = False) -> str:
    return str(confirm.confirm(host.store, {"token": token, "forgets": forgets})["outcome"])


@pytest.mark.parametrize("known", [False, True], ids=["new host", "known host"])
def test_a_run_that_was_reported_as_not_begun_cannot_begin_later(host: Host, known: bool) -> None:
    if known:
        converge(host, "old", None)
    assert outcome(host, TOKENS[0]) == "unknown"
    with pytest.raises(Refused, match="lost before the run began"):
        converge(host, "new", None, token=TOKENS[0])
    assert (host.folder / "x").exists() is known
    assert converge(host, "new", None, token=TOKENS[1])["outcome"] == "changed"
    assert outcome(host, TOKENS[1]) == "changed"


def test_the_last_withdrawn_runs_are_kept(host: Host) -> None:
    for token in TOKENS:
        outcome(host, token)
    for token in TOKENS[-16:]:
        with pytest.raises(Refused, match="lost before the run began"):
            converge(host, "x", None, token=token)
    assert len((host.folder / "hardener/withdrawn.json").read_text()) < 1024


def test_a_repeated_query_removes_no_other_withdrawn_run(host: Host) -> None:
    for token in (TOKENS[0], *[TOKENS[1]] * 40):
        outcome(host, token)
    with pytest.raises(Refused, match="lost before the run began"):
        converge(host, "x", None, token=TOKENS[0])


@pytest.mark.parametrize(
    "damaged",
    ["", "[]", "{}", '{"tokens": 7}', '{"tokens": [7, null]}', "[" * 100_000, '{"tokens": "' + "a" * 10_000],
)
def test_a_damaged_list_of_withdrawn_runs_is_replaced(host: Host, damaged: str) -> None:
    converge(host, "old", None)
    host.write("hardener/withdrawn.json", damaged)
    assert converge(host, "new", None, token=TOKENS[1])["outcome"] == "changed"
    assert outcome(host, TOKENS[0]) == "unknown"
    with pytest.raises(Refused, match="lost before the run began"):
        converge(host, "newer", None, token=TOKENS[0])


def test_a_run_is_not_reported_as_unknown_if_the_list_of_withdrawn_runs_is_a_folder(host: Host) -> None:
    converge(host, "old", None)
    (host.folder / "hardener/withdrawn.json").mkdir()
    with pytest.raises(Failed, match="may still begin, since it cannot be withdrawn: "):
        outcome(host, TOKENS[0])
    assert converge(host, "new", None, token=TOKENS[1])["outcome"] == "changed"


def test_a_run_that_changed_nothing_is_unknown_and_an_earlier_one_keeps_its_outcome(host: Host) -> None:
    assert converge(host, "new", None, token=TOKENS[0])["outcome"] == "changed"
    assert converge(host, "new", None, token=TOKENS[1])["outcome"] == "unchanged"
    assert outcome(host, TOKENS[1]) == "unknown"
    assert outcome(host, TOKENS[0]) == "changed"
    assert host.read("x") == "new"


def test_a_query_for_an_unknown_release_creates_no_folder(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(departure, "strays", lambda _: ([], ["/etc/sysctl.d/99-hardener-other.conf"]))
    assert outcome(host, TOKENS[0], forgets=True) == "unknown"
    assert not host.store.exists


def test_a_release_that_has_files_left_to_remove_is_withdrawn(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("x", "# Written by hardener\n")
    monkeypatch.setattr(departure, "strays", lambda _: ([host.path("x")], []))
    assert outcome(host, TOKENS[0], forgets=True) == "unknown"
    late = Release(host.store, role="", check=False, allow="reload", terms=Terms(TOKENS[0], 180, "me"))
    with pytest.raises(Refused, match="lost before the run began"):
        late.run()
    assert (host.folder / "x").exists()


def test_a_release_that_is_just_ending_is_reported_as_working(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "exists", True)  # it was, when confirm looked
    assert outcome(host, TOKENS[0], forgets=True) == "working"


def test_a_run_that_cannot_be_withdrawn_is_not_reported_as_unknown(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(records, "write", full)
    with pytest.raises(Failed, match=r"cannot be withdrawn: .*No space left"):
        outcome(host, TOKENS[0])


@pytest.mark.parametrize("seed", range(8))
def test_a_run_and_a_concurrent_query_of_its_outcome_agree(host: Host, seed: int) -> None:
    """The program for a run and the question for its outcome reach the host at the same time."""
    pick = random.Random(seed)
    asked = Path(host.folder / "asked")
    if (child := os.fork()) == 0:
        time.sleep(pick.random() / 20)
        asked.write_text(outcome(host, TOKENS[0]))
        os._exit(0)
    time.sleep(pick.random() / 20)
    with suppress(Refused):
        converge(host, "new", None, token=TOKENS[0])
    os.waitpid(child, 0)
    assert (host.folder / "x").exists() is (asked.read_text() != "unknown")


def test_a_rollback_that_was_withdrawn_or_prepared_for_other_runs_changes_nothing(host: Host) -> None:
    for content in ("1", "2"):
        converge(host, content, None)
    first, second = host.store.runs()

    def back(token: str, *predicted: str) -> dict[str, Any]:
        return history.back_to(host.store, before="", who="", check=False, token=token, predicted=predicted)

    assert outcome(host, TOKENS[0]) == "unknown"
    with pytest.raises(Refused, match="lost before the run began"):
        back(TOKENS[0], second)
    with pytest.raises(Refused, match="have changed since the rollback was prepared"):
        back(TOKENS[1], first)
    assert host.read("x") == "2"
    assert back(TOKENS[1], second)["outcome"] == "changed"
    assert host.read("x") == "1"
    with pytest.raises(Refused, match="have changed since the rollback was prepared"):
        back(TOKENS[1], second)
    assert host.read("x") == "1"
