"""The inventory whose runs a command means, as the user types it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hardener.snapshot import Snapshot
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import DAEMON_JSON, Hardener, audited, host, kept
from tests.unit.snapshots import make


def run_audit(hardener: Hardener, fleet: FakeFleet, inventory: str, name: str = "a") -> None:
    fleet.snapshots = {name: host()}
    assert hardener("audit", "-i", inventory, "--only", "3.18").exit_code == 0


@pytest.fixture
def two(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    """Two inventories with a run each: a file, audited from its folder, and a list."""
    (tmp_path / "prod.yml").write_text("all: {hosts: {a: }}")
    monkeypatch.chdir(tmp_path)
    run_audit(hardener, fleet, "prod.yml")
    run_audit(hardener, fleet, "db01,db02", "db01")
    return str(tmp_path / "prod.yml"), "db01,db02"


@pytest.mark.parametrize(
    "command",
    [
        ("show",),
        ("show", "latest~1"),
        ("diff",),
        ("runs", "trend"),
        ("report", "write", "--report", "csv=-"),
        ("runs", "baseline", "latest", "--part"),
        ("evidence", "export", "latest", "--out", "x.tar.gz"),
    ],
    ids=" ".join,
)
def test_the_inventory_that_was_used_last_is_the_default_and_named_first(
    hardener: Hardener, home: Path, two: tuple[str, str], command: tuple[str, ...]
) -> None:
    result = hardener(*command)
    said = "inventory db01,db02: it was used last; another has runs, -i chooses"
    assert result.stderr.splitlines()[0] == said
    assert result.stderr.count("inventory db01,db02: ") == 1
    assert two[0] not in result.stdout + result.stderr
    assert said not in hardener(*command, "-i", two[0]).stderr


def test_one_inventory_and_a_run_with_an_id_need_no_remark(
    hardener: Hardener, home: Path, two: tuple[str, str]
) -> None:
    assert hardener("show", kept(home)[1].id).stderr == ""
    assert hardener("runs", "forget", "-i", two[0]).exit_code == 0
    assert hardener("show").stderr == ""


def test_an_inventory_is_recognised_by_its_path_from_another_folder(
    hardener: Hardener, home: Path, two: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_run, file_run = kept(home)
    (tmp_path / "below").mkdir()
    (tmp_path / "link.yml").symlink_to("prod.yml")
    monkeypatch.chdir(tmp_path / "below")
    for typed in ("../prod.yml", "../link.yml", two[0]):
        assert f"run        {file_run.id}\n" in hardener("show", "-i", typed).stdout
    for typed in ("db01,db02", "db02, db01"):
        assert f"run        {list_run.id}\n" in hardener("show", "-i", typed).stdout
    (tmp_path / "prod.yml").unlink()
    (tmp_path / "link.yml").unlink()
    assert hardener("show", "-i", "../prod.yml").exit_code == 0
    assert hardener("show", "-i", "prod.yml").exit_code == 2


def test_a_run_of_another_inventory_is_refused(hardener: Hardener, home: Path, two: tuple[str, str]) -> None:
    list_run, file_run = kept(home)
    assert hardener("show", file_run.id).exit_code == 0
    result = hardener("show", file_run.id, "-i", two[1])
    assert result.exit_code == 2
    assert f"run {file_run.id} belongs to the inventory {two[0]}, not to db01,db02" in result.stderr
    result = hardener("runs", "baseline", list_run.id, "-i", two[0])
    assert result.exit_code == 2


def test_two_runs_without_a_common_host_are_refused(
    hardener: Hardener, home: Path, two: tuple[str, str]
) -> None:
    list_run, file_run = kept(home)
    result = hardener("diff", file_run.id, list_run.id)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "have no host in common" in result.stderr


def test_runs_with_one_common_host_are_compared(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    run_audit(hardener, fleet, "one,", "a")
    run_audit(hardener, fleet, "other,", "a")
    newest, oldest = kept(home)
    assert "1 host compared" in hardener("diff", oldest.id, newest.id).stdout


def test_a_second_inventory_is_refused(hardener: Hardener, home: Path, two: tuple[str, str]) -> None:
    result = hardener("show", "-i", two[0], "-i", two[1])
    assert result.exit_code == 2
    assert "only one inventory is allowed" in result.stderr


def test_runs_of_one_inventory_are_listed(hardener: Hardener, home: Path, two: tuple[str, str]) -> None:
    assert len(hardener("runs", "list").stdout.splitlines()) == 3
    [_, row] = hardener("runs", "list", "-i", "prod.yml").stdout.splitlines()
    assert row.endswith(two[0])
    result = hardener("runs", "list", "-i", "other.yml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no run of " in result.stderr


def test_drift_against_latest_uses_the_last_run_of_the_audited_inventory(
    hardener: Hardener, fleet: FakeFleet, home: Path, two: tuple[str, str]
) -> None:
    fleet.snapshots = {"a": host()}
    result = hardener("drift", "-i", "prod.yml", "--against", "latest")
    assert result.exit_code == 0
    assert "was not assessed" not in result.stdout


ONLY = ("--only", "3.17", "--only", "3.18")


@pytest.fixture
def fleet_of_three(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    """Two runs; b broke since, c cannot be reached, and the groups of c are not known."""
    for mode in ("0644", "0666"):
        a, b = member(host("0666"), "web", "prod"), member(host(mode), "db", "prod")
        audited(hardener, fleet, {"a": a, "b": b, "c": "timed out"}, *ONLY)


def member(snapshot: Snapshot, *groups: str) -> Snapshot:
    """The snapshot of a host in these groups of the inventory."""
    return Snapshot({**snapshot.raw, "inventory_groups": list(groups)})


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (("--status", "fail"), "2 of 6 results, 2 of 3 hosts"),
        (("--status", "fail", "--status", "error"), "4 of 6 results, 3 of 3 hosts"),
        (("--limit", "[ab]"), "4 of 6 results, 2 of 3 hosts"),
        (("--limit", "a,c"), "4 of 6 results, 2 of 3 hosts"),
        (("--limit", "db"), "2 of 6 results, 1 of 3 hosts"),
        (("--limit", "prod", "--status", "pass"), "2 of 6 results, 2 of 3 hosts"),
        (("--only", "3.18"), "3 of 6 results, 3 of 3 hosts"),
        (("--severity", "low"), "0 of 6 results, 0 of 3 hosts"),
    ],
)
def test_filter_options_select_results_and_show_their_number(
    hardener: Hardener, fleet_of_three: None, options: tuple[str, ...], chosen: str
) -> None:
    result = hardener("show", *options)
    assert result.exit_code == 0
    assert f"chosen     {chosen}\n" in result.stdout
    assert f"filter     {' '.join(options)}\n".replace("[ab]", "'[ab]'") in result.stdout


def test_filtered_results_show_no_compliance_percentage(hardener: Hardener, fleet_of_three: None) -> None:
    assert "% compliant" in hardener("show").stdout
    part = hardener("show", "--status", "pass").stdout
    assert "% compliant" not in part
    assert "2 hosts, of the chosen results" in part
    assert "Passing (1)" in part


@pytest.mark.parametrize(
    "command",
    [("show",), ("report", "write", "--report", "html=-"), ("report", "write", "--report", "markdown=-")],
    ids=" ".join,
)
def test_only_a_choice_of_whole_hosts_has_a_compliance_percentage(
    hardener: Hardener, fleet_of_three: None, command: tuple[str, ...]
) -> None:
    said = re.compile(r"\d+% compliant|[Cc]ompliance \d+%")
    assert said.search(hardener(*command, "--limit", "prod").stdout)
    assert not said.search(hardener(*command, "--limit", "prod", "--status", "fail").stdout)


def test_hosts_with_unknown_groups_are_counted(hardener: Hardener, fleet_of_three: None) -> None:
    assert "left out   1 host whose groups" in hardener("show", "--limit", "web").stdout
    assert "left out" not in hardener("show", "--limit", "a").stdout


@pytest.mark.parametrize(
    "verb", [("show",), ("diff",), ("report", "write", "--report", "csv=-")], ids=" ".join
)
@pytest.mark.parametrize(
    ("option", "value"), [("--limit", "d"), ("--limit", "!d"), ("--only", "d"), ("--only", "9.9")]
)
def test_a_filter_that_matches_nothing_is_refused(
    hardener: Hardener, fleet_of_three: None, verb: tuple[str, ...], option: str, value: str
) -> None:
    result = hardener(*verb, option, value)
    assert (result.exit_code, result.stdout) == (2, "")
    assert repr(value) in result.stderr


def test_a_filtered_report_has_only_the_chosen_results(
    hardener: Hardener, fleet_of_three: None, tmp_path: Path
) -> None:
    result = hardener("report", "write", "--report", "json=-", "--status", "fail", "--limit", "a")
    document = json.loads(result.stdout)
    assert document["run"]["filter"] == "--limit a --status fail"
    [only] = document["hosts"]
    assert [each["id"] for each in only["findings"]] == ["3.18"]
    assert document["summary"]["findings"] == 1
    assert "chosen     1 of 6 results" in result.stderr
    out = tmp_path / "part.json"
    assert hardener("report", "write", "--report", f"json={out}", "--status", "fail", "--limit", "a")
    assert out.read_text() == result.stdout


@pytest.mark.parametrize(
    ("command", "pattern"),
    [
        (("show",), r"^ \S+ +(3\.\d+) "),
        (("show", "--json", "-"), r'"id": "(3\.\d+)"'),
        (("report", "write", "--report", "markdown=-"), r"\b(3\.1\d)\b"),
        (("report", "write", "--report", "html=-"), r'<span class="id">(3\.\d+)<'),
        (("report", "write", "--report", "oscal=-"), r'"target-id":"(file-daemon-json-\w+)"'),
    ],
    ids=" ".join,
)
def test_the_controls_of_a_part_of_a_run_are_in_the_order_of_the_benchmark(
    hardener: Hardener, fleet: FakeFleet, home: Path, command: tuple[str, ...], pattern: str
) -> None:
    of_a_user = make(files={"/etc/docker/daemon.json": {**DAEMON_JSON, "uid": 1000, "owner": "joe"}})
    audited(hardener, fleet, {"a": host("0666"), "b": of_a_user}, *ONLY)
    shown = hardener(*command, "--status", "fail").stdout
    expected = (
        ["file-daemon-json-owner", "file-daemon-json-mode"] if "oscal=-" in command else ["3.17", "3.18"]
    )
    assert list(dict.fromkeys(re.findall(pattern, shown, re.MULTILINE))) == expected


def test_a_filtered_report_is_not_compared_with_complete_runs(
    hardener: Hardener, fleet_of_three: None
) -> None:
    assert "Since the last run" in hardener("report", "write", "--report", "markdown=-").stdout
    part = hardener("report", "write", "--report", "markdown=-", "--limit", "a").stdout
    assert "Since the last run" not in part
    assert "Filtered: this report has a part of the run, chosen by `--limit a`" in part


@pytest.mark.parametrize("name", ["html", "markdown"])
@pytest.mark.parametrize("options", [("--status", "pass"), ("--severity", "low")], ids=" ".join)
def test_a_filtered_report_does_not_call_a_run_compliant(
    hardener: Hardener, fleet_of_three: None, name: str, options: tuple[str, ...]
) -> None:
    text = hardener("report", "write", "--report", f"{name}=-", *options).stdout
    assert "No failure among the chosen results" in text
    assert "Compliant" not in text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "2 hosts compared: 1 broken, 3 unchanged (1 of them failing)"),
        (("--status", "fail"), "2 hosts compared: 1 broken, 1 unchanged (1 of them failing)"),
        (("--status", "fail", "--limit", "b"), "1 host compared: 1 broken, 0 unchanged"),
        (("--limit", "web"), "1 host compared: 2 unchanged (1 of them failing)"),
        (("--only", "3.17"), "2 hosts compared: 2 unchanged (0 of them failing)"),
    ],
)
def test_a_filtered_diff_compares_the_chosen_results(
    hardener: Hardener, fleet_of_three: None, options: tuple[str, ...], told: str
) -> None:
    result = hardener("diff", *options)
    assert told in result.stdout
    assert ("filter " in result.stdout) is bool(options)


def test_a_filtered_diff_names_only_selected_hosts_that_were_not_compared(
    hardener: Hardener, fleet_of_three: None
) -> None:
    assert "c: was not audited: timed out" in hardener("diff", "--status", "fail").stdout
    assert "c: was not audited" not in hardener("diff", "--limit", "a").stdout
