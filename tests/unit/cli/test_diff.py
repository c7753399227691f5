from __future__ import annotations

from pathlib import Path

from tests.unit.cli.conftest import FakeFleet
from tests.unit.cli.histories import Hardener, audited, host
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
    assert "controls are in one of the runs only" in " ".join(result.stdout.split())


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
