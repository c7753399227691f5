"""What ``--json`` writes, as programs read it: by its schema, on standard output or in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hardener as package
from hardener.documents import schedule_document
from hardener.schedule import Scheduled
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import Hardener, audited, host, kept
from tests.unit.reports.assessments import HOSTILE
from tests.unit.reports.schemas import validator

VALIDATE = validator(json.loads((Path(package.__file__).parent / "documents.schema.json").read_text()))
ONLY = ("--only", "3.17", "--only", "3.18")
QUERIES = [("runs", "list"), ("show",), ("diff",), ("runs", "trend"), ("controls",)]


def document(hardener: Hardener, *command: str, exit_code: int = 0) -> Any:
    """What a command writes to standard output; it is one valid document in ASCII and nothing else."""
    result = hardener(*command, "--json", "-")
    assert result.exit_code == exit_code, result.stderr
    assert result.stdout.isascii()
    found = json.loads(result.stdout)
    VALIDATE(found)
    return found


@pytest.fixture
def two_runs(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    for mode in ("0644", "0666"):
        audited(hardener, fleet, {"a": host("0666"), "b": host(mode), "c": "timed out"}, *ONLY)


def test_the_json_of_runs_follows_its_schema(hardener: Hardener, two_runs: None, home: Path) -> None:
    newest, oldest = kept(home)
    hardener("runs", "baseline", oldest.id, "--part")
    found = document(hardener, "runs", "list")["runs"]
    assert [(each["id"], each["baseline"]) for each in found] == [(newest.id, False), (oldest.id, True)]
    assert found[0]["counts"]["fail"] == 2
    assert found[0]["only"] == ["3.17", "3.18"]
    assert (found[0]["hosts"], found[0]["unreachable"], found[0]["limit"]) == (3, 1, None)
    assert found[0]["compliance"] == pytest.approx(2 / 6)


def test_an_empty_history_is_an_empty_list(hardener: Hardener, home: Path) -> None:
    assert document(hardener, "runs", "list") == {"schema": "hardener/runs/1", "runs": []}


def test_the_json_of_a_shown_run_follows_its_schema(hardener: Hardener, two_runs: None) -> None:
    found = document(hardener, "show")
    assert found["filter"] is None
    assert found["chosen"]["results"] == sum(found["chosen"]["counts"].values()) == 6
    assert found["unreachable"] == [{"host": "c", "reason": "timed out"}]
    failing = [each for each in found["controls"] if each["status"] == "fail"]
    assert [(each["id"], each["hosts"]) for each in failing] == [("3.18", ["a", "b"])]
    part = document(hardener, "show", "--status", "fail", "--limit", "b")
    assert part["filter"] == "--limit b --status fail"
    assert [each["hosts"] for each in part["controls"]] == [["b"]]
    assert (part["chosen"]["hosts"], part["run"]["hosts"]) == (1, 3)


def test_the_json_of_a_diff_follows_its_schema(hardener: Hardener, two_runs: None, home: Path) -> None:
    found = document(hardener, "diff")
    newest, oldest = kept(home)
    assert (found["before"]["id"], found["after"]["id"]) == (oldest.id, newest.id)
    assert [(each["id"], each["kind"], each["hosts"]) for each in found["moved"]] == [
        ("3.18", "broken", ["b"])
    ]
    assert found["not_compared"] == [{"host": "c", "why": "was not audited: timed out"}]


def test_the_json_of_a_trend_follows_its_schema(hardener: Hardener, two_runs: None) -> None:
    found = document(hardener, "runs", "trend")["runs"]
    assert [each["sections"][0]["counts"]["fail"] for each in found] == [1, 2]


def test_the_json_of_controls_follows_its_schema(hardener: Hardener) -> None:
    found = document(hardener, "controls")["controls"]
    assert len(found) == len(hardener("controls").stdout.splitlines()) - 1
    assert {each["slug"]: each["role"] for each in found}["daemon-icc-disabled"] == "docker_daemon"


WAIVERS = """waivers:
  - {id: W-1, control: daemon-icc-disabled, hosts: [a], reason: r, owner: o, approved_by: p, ticket: t,
     created: 2026-01-01, expires: 2026-06-01}
"""


def test_the_json_of_lint_follows_its_schema(hardener: Hardener, tmp_path: Path) -> None:
    path = tmp_path / "waivers.yml"
    path.write_text(WAIVERS)
    found = document(hardener, "waivers", "lint", str(path), exit_code=3)
    [entry] = found["entries"]
    assert (entry["id"], entry["by"], entry["days"] < 0) == ("W-1", "o", True)
    path.write_text(WAIVERS.replace("owner: o, ", ""))
    found = document(hardener, "waivers", "lint", str(path), exit_code=2)
    assert (found["kind"], found["entries"]) == (None, [])
    assert [each["line"] for each in found["problems"]] == [2]


def test_the_json_of_schedules_follows_its_schema() -> None:
    one = Scheduled(
        name="drift",
        active=True,
        running=False,
        next="Fri",
        last="Thu",
        ended="Thu",
        result="exit-code",
        code=6,
    )
    never = Scheduled(name="x", active=False, running=True, next="", last="", ended="", result="", code=0)
    found = schedule_document([one, never])
    VALIDATE(found)
    assert [each["exit_code"] for each in found["schedules"]] == [6, None]


@pytest.mark.parametrize("command", QUERIES, ids=" ".join)
def test_json_goes_to_the_named_file_and_the_text_to_standard_output(
    hardener: Hardener, two_runs: None, tmp_path: Path, command: tuple[str, ...]
) -> None:
    path = tmp_path / "found.json"
    result = hardener(*command, "--json", str(path))
    assert (result.exit_code, result.stdout) == (0, hardener(*command).stdout)
    assert path.read_text() == hardener(*command, "--json", "-").stdout
    assert not (Path.cwd() / "-").exists()


def test_hostile_text_is_escaped(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    names = dict.fromkeys(HOSTILE, host("0666"))
    audited(hardener, fleet, names | {"gone\x1b\u202e": "\x1b]0;x\x07\ud800"}, *ONLY)
    audited(hardener, fleet, names, *ONLY)
    for command in QUERIES:
        assert "\x1b" not in json.dumps(document(hardener, *command), ensure_ascii=True)


# --- reports on standard output -------------------------------------------------------------------------


@pytest.mark.parametrize("options", [("--json", "-"), ("--report", "json=-")], ids=" ".join)
def test_a_json_report_is_alone_on_standard_output(
    hardener: Hardener, fleet: FakeFleet, home: Path, options: tuple[str, ...]
) -> None:
    result = audited(hardener, fleet, {"a": host("0666")}, *ONLY, *options)
    assert result.exit_code == 3
    assert json.loads(result.stdout)["schema"] == "hardener/assessment/1"
    assert "compliant" in result.stderr
    assert hardener("report", "write", "--report", "json=-").stdout == result.stdout
    assert not (Path.cwd() / "-").exists()


def test_two_reports_to_standard_output_are_refused(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    result = audited(hardener, fleet, {"a": host()}, "--json", "-", "--junit", "-")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "two reports would go to the same file" in result.stderr


def test_harden_writes_only_the_report_after_the_change_to_standard_output(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    fleet.snapshots = {"a": host("0666")}
    result = hardener("harden", "-i", "inv,", "--only", "3.18", "--json", "-")
    assert json.loads(result.stdout)["summary"]["hosts"] == 1
    assert not list(Path.cwd().glob("-*"))
