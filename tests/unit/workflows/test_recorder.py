from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hardener.errors import HardenerError
from hardener.history import Recording
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import Hardener, audited, host, kept

ONLY = ("--only", "file-daemon-json-mode")


def repairing(fleet: FakeFleet) -> None:
    def converge(name: str) -> dict[str, Any]:
        fleet.snapshots[name] = host()
        return {"outcome": "changed", "changed": True, "msg": "changed /etc/docker/daemon.json"}

    fleet.converge = converge


def test_an_audit_is_recorded_with_its_snapshots(
    hardener: Hardener, fleet: FakeFleet, home: Path, tmp_path: Path
) -> None:
    native = tmp_path / "report.json"
    hosts = {"b": host("0666"), "a": host()}
    audit = audited(hardener, fleet, {"gone": "timed out", **hosts}, *ONLY, "--json", str(native))
    assert audit.exit_code == 3
    [run] = kept(home)
    report = json.loads(native.read_text())
    assert run.id == report["run"]["id"]
    assert (run.record.verb, run.record.exit_code) == ("audit", 3)
    assert (run.record.only, run.record.level) == (("file-daemon-json-mode",), 2)
    assert run.record.inventory == "inv,"
    assert len(run.record.inventory_digest) == 64
    assert [each.host for each in run.assessments()] == ["gone", "b", "a"]
    facts = {name: json.loads(data) for name, data in run.snapshots()}
    assert facts == {name: {**snapshot.raw, "host": name} for name, snapshot in hosts.items()}


def test_the_history_stores_the_exit_code_that_the_option_exit_zero_hides(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    assert audited(hardener, fleet, {"a": host("0666")}, *ONLY, "--exit-zero").exit_code == 0
    assert kept(home)[0].record.exit_code == 3


def test_harden_records_the_audits_before_and_after(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    fleet.snapshots = {"a": host("0666")}
    repairing(fleet)
    assert hardener("harden", "-i", "inv,", *ONLY).exit_code == 0
    after, before = kept(home)
    assert [(run.record.verb, run.record.exit_code) for run in (before, after)] == [
        ("before harden", 3),
        ("harden", 0),
    ]
    assert json.loads(before.snapshot("a") or b"")["sources"] == host("0666").raw["sources"]
    assert json.loads(after.snapshot("a") or b"")["sources"] == host().raw["sources"]


def test_the_audit_before_a_killed_hardening_is_recorded(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    def die(name: str) -> dict[str, Any]:
        raise KeyboardInterrupt

    fleet.snapshots = {"a": host("0666")}
    fleet.converge = die
    assert hardener("harden", "-i", "inv,", *ONLY).exit_code == 130
    assert [run.record.verb for run in kept(home)] == ["before harden"]
    assert not list((home / "staging").iterdir())


def test_a_hardening_without_changes_is_recorded_as_one_run(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    fleet.snapshots = {"a": host()}
    hardener("harden", "-i", "inv,", *ONLY)
    fleet.snapshots = {"a": host("0666")}
    hardener("harden", "-i", "inv,", *ONLY, "--check")
    assert [run.record.verb for run in kept(home)] == ["harden --check", "harden"]


def test_assess_and_plan_are_not_recorded(
    hardener: Hardener, fleet: FakeFleet, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(host().raw))
    hardener("assess", str(tmp_path / "a.json"))
    fleet.snapshots = {"a": host("0666")}
    hardener("plan", "-i", "inv,", *ONLY)
    assert not home.exists()


def test_an_unwritable_history_is_only_a_warning(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    result = audited(hardener, fleet, {"a": host("0666")}, *ONLY, "--home", str(tmp_path / "file" / "home"))
    assert result.exit_code == 3
    assert "Failing (1)" in result.stdout
    assert result.stderr.count("hardener: warning: this run is not recorded: the history in") == 1
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("moment", ["keep", "finish"])
def test_a_disk_that_becomes_full_while_a_run_is_recorded_is_only_a_warning(
    hardener: Hardener, fleet: FakeFleet, home: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def full(*_: object) -> None:
        raise HardenerError("the history in /h: No space left on device")

    monkeypatch.setattr(Recording, moment, full)
    result = audited(hardener, fleet, {"a": host("0666"), "b": host()}, *ONLY)
    assert result.exit_code == 3
    assert result.stderr.count("this run is not recorded: the history in /h: No space left on device") == 1
    assert not kept(home)


def test_invalid_limits_of_retention_are_reported(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    home.mkdir(mode=0o700, parents=True)
    (home / "retention.yml").write_text("keep_runs: all\n")
    result = audited(hardener, fleet, {"a": host()}, *ONLY)
    assert result.exit_code == 0
    assert f"not recorded: {home}/retention.yml: keep_runs: " in result.stderr


def test_progress_expects_a_duration_only_after_a_comparable_run(
    hardener: Hardener, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected: list[float] = []
    monkeypatch.setattr(
        "hardener.cli.listener.TerminalListener.expect", lambda _, seconds: expected.append(seconds)
    )
    other = ("--only", "2.1")
    for only in (ONLY, ONLY, other, ONLY):
        audited(hardener, fleet, {"a": host()}, *only)
    assert [seconds > 0 for seconds in expected] == [False, True, False, True]
