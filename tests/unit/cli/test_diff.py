from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import Result

from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import Hardener, audited, host, kept
from tests.unit.snapshots import hardened, with_containers


def test_changes_are_shown_with_their_facts(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    audited(hardener, fleet, {"a": host(), "b": host("0666"), "c": host("0666")})
    audited(hardener, fleet, {"a": host("0602"), "b": host(), "c": host("0666")})
    result = hardener("diff")
    assert result.exit_code == 0
    assert "3 hosts compared: 1 broken, 1 fixed, " in result.stdout
    assert "file-daemon-json-mode" in result.stdout
    assert "fact   files /etc/docker/daemon.json mode: 0644 → 0602" in result.stdout
    assert "fact   files /etc/docker/daemon.json mode: 0666 → 0644" in result.stdout
    assert "0 broken" not in result.stdout


def test_runs_are_compared_in_the_given_order(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    audited(hardener, fleet, {"a": host()})
    audited(hardener, fleet, {"a": host("0666")})
    assert "1 broken" in hardener("diff", "latest~1", "latest").stdout
    assert "1 fixed" in hardener("diff", "latest", "latest~1").stdout


def test_hosts_and_controls_of_one_run_only_are_listed(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    audited(hardener, fleet, {"a": host(), "b": host()}, "--only", "files")
    audited(hardener, fleet, {"a": host(), "c": host()})
    result = hardener("diff")
    assert "c: was not assessed before" in result.stdout
    assert "b: was not assessed this time" in result.stdout
    assert "controls cannot be compared" in " ".join(result.stdout.split())


def test_hostile_text_is_escaped(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    name = "\x1b[31m[bold]x\u202e"
    audited(hardener, fleet, {name: with_containers(hardened("web"))})
    evil = hardened(name, HostConfig={"Privileged": True})
    audited(hardener, fleet, {name: with_containers(hardened("web"), evil)})
    result = hardener("diff")
    assert "\\x1b[31m[bold]x\\u202e" in result.stdout
    assert "docker.containers: - → \\x1b[31m[bold]x\\u202e" in result.stdout
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout


def test_a_control_that_changed_in_many_ways_is_listed_once(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    modes = {f"web{number}": f"06{number}6" for number in range(1, 8)}
    audited(hardener, fleet, {name: host() for name in modes})
    audited(hardener, fleet, {name: host(mode) for name, mode in modes.items()})
    shown = hardener("diff").stdout
    assert shown.count("file-daemon-json-mode") == 1
    assert shown.count("after  fail:") == 3
    assert "other changes on 4 more hosts" in shown
    assert "after  fail: /etc/docker/daemon.json has mode 0676" in hardener("diff", "--limit", "web7").stdout


def test_since_compares_with_the_state_of_that_time(
    hardener: Hardener, fleet: FakeFleet, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mode in ("0666", "0644", "0600"):
        audited(hardener, fleet, {"a": host(mode)})
    week = timedelta(days=7)
    *_, second, first = kept(home)

    def since(moment: datetime) -> Result:
        monkeypatch.setattr("hardener.cli.diff.datetime", SimpleNamespace(now=lambda _zone: moment + week))
        return hardener("diff", "--since", "7d")

    for run in (first, second):
        assert since(run.info.ended).stdout == hardener("diff", run.id, "latest").stdout
    early = since(first.info.ended - timedelta(microseconds=1))
    assert early.exit_code == 2
    assert "no run of the inventory inv, had ended at " in early.stderr
    assert hardener("diff", "latest~1", "--since", "4d").exit_code == 2
    assert "is not a time from 1s" in hardener("diff", "--since", "7").stderr


def test_hosts_that_are_lost_for_the_same_reason_are_listed_together(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    names = ["db1", "db2", "db3"]
    audited(hardener, fleet, {name: host() for name in (*names, "web")})
    audited(hardener, fleet, {"web": host(), **{name: f"ssh to {name}: timed out" for name in names}})
    assert "db1, db2, db3: was not audited: ssh to HOST: timed out" in hardener("diff").stdout
    assert "db1, db2, db3: ssh to HOST: timed out" in hardener("show").stdout
    audited(hardener, fleet, {"web": host(), "db1": "ssh to db1: timed out"})
    assert "db1: ssh to db1: timed out" in hardener("show").stdout
