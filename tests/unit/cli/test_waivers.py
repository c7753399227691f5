from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result
from junitparser import JUnitXml

from hardener.fleet import inventory_cli
from hardener.fleet.inventory_cli import Members
from hardener.snapshot import Snapshot
from hardener.workflows.options import DecisionFiles
from tests.unit.cli.bridges import ONLY, bridge, changing
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.waivers import TODAY, entry
from tests.unit.processes import child
from tests.unit.snapshots import make

Hardener = Callable[..., Result]


def written(path: Path, entries: Iterable[str]) -> Path:
    path.write_text("waivers:\n" + "".join(entries))
    return path


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands take the day of the entries for today, even if another one has begun since."""
    read = DecisionFiles.read

    def read_today(self: DecisionFiles, _today: date, **more: Any) -> Any:
        return read(self, TODAY, **more)

    clock = SimpleNamespace(now=lambda zone: datetime.combine(TODAY, time(12), zone))
    monkeypatch.setattr(DecisionFiles, "read", read_today)
    monkeypatch.setattr("hardener.cli.waivers.datetime", clock)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "waivers.yml", [entry()])


@pytest.fixture
def inventory(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Members(frozenset({"web1", "db1"}), {"all": frozenset(), "web": frozenset()})
    monkeypatch.setattr(inventory_cli, "members", lambda inventory: known)


# --- the commands that judge ----------------------------------------------------------------------------


def test_a_waived_control_is_not_a_failure(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path, file: Path
) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    junit = tmp_path / "junit.xml"
    result = hardener("audit", "-i", "inv,", *ONLY, "--waivers", str(file), "--junit", str(junit))
    assert result.exit_code == 0
    assert "1 waived" in result.stdout
    _connectivity, case = next(iter(JUnitXml.fromfile(str(junit))))
    assert case.result[0].message.startswith(f"WAIVED until {TODAY + timedelta(days=90)} [W-001 by team-web]")


def test_a_waiver_does_not_apply_to_other_hosts_or_after_its_last_day(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path, file: Path
) -> None:
    fleet.snapshots = {"db1": bridge(icc=True)}
    assert hardener("audit", "-i", "inv,", *ONLY, "--waivers", str(file)).exit_code == 3
    written(file, [entry(days=-1)])
    fleet.snapshots = {"web1": bridge(icc=True)}
    result = hardener("audit", "-i", "inv,", *ONLY, "--waivers", str(file))
    assert result.exit_code == 3
    assert f"waiver W-001 expired {TODAY - timedelta(days=1)}" in result.stdout


def test_waivers_that_end_soon_are_listed_even_if_unused(
    hardener: Hardener, fleet: FakeFleet, file: Path
) -> None:
    fleet.snapshots = {"db1": bridge(icc=False)}
    written(file, [entry(days=30), entry("W-002", days=31)])
    result = hardener("audit", "-i", "inv,", *ONLY, "--waivers", str(file))
    assert result.exit_code == 0
    assert "waiver W-001 (daemon-icc-disabled, team-web) expires" in result.stdout
    assert "W-002" not in result.stdout


def test_an_unused_waiver_is_listed(hardener: Hardener, fleet: FakeFleet, file: Path) -> None:
    fleet.snapshots = {"web1": bridge(icc=False)}
    result = hardener("audit", "-i", "inv,", *ONLY, "--waivers", str(file))
    assert "waiver W-001 (daemon-icc-disabled, team-web) is stale" in result.stdout


@pytest.mark.parametrize(
    "command", [("audit",), ("plan",), ("harden", "--allow", "daemon-restart"), ("drift",)]
)
def test_a_waiver_of_an_unknown_host_or_group_is_a_warning_of_each_command(
    hardener: Hardener, fleet: FakeFleet, file: Path, command: tuple[str, ...]
) -> None:
    fleet.snapshots = {"web1": make()}
    hardener("audit", "-i", "inv,")
    written(file, [entry(hosts='["web*", "wbe1"]'), entry("W-002", hosts="", groups="[wbe]")])
    said = hardener(*command, "-i", "inv,", "--waivers", str(file)).stderr
    assert said.count("W-001: no host of the inventory matches wbe1; did you mean web1?") == 1
    assert said.count("W-002: the inventory has no group wbe") == 1
    limited = hardener(*command, "-i", "inv,", "--waivers", str(file), "--limit", "web1").stderr
    assert "no host of the inventory" not in limited


def test_files_beside_the_inventory_are_used_and_named(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path, file: Path
) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    (tmp_path / "hosts.yml").write_text("")
    for place in (tmp_path, tmp_path / "hosts.yml"):
        result = hardener("audit", "-i", str(place), *ONLY)
        assert result.exit_code == 0
        assert f"waivers: {file}\n" in result.stderr
    assert hardener("audit", "-i", str(tmp_path), *ONLY, "--waivers", "/dev/null").exit_code == 3


def test_an_error_in_the_file_stops_before_any_host_is_contacted(
    hardener: Hardener, fleet: FakeFleet, file: Path
) -> None:
    file.write_text("waivers:\n  - id: W-001\n")
    for verb in ("audit", "plan", "harden", "provision"):
        result = hardener(verb, "-i", "inv,", "--waivers", str(file))
        assert result.exit_code == 2
        assert f"{file}:2: " in result.stderr
    assert fleet.runs == []


def test_harden_does_not_change_waived_controls(hardener: Hardener, fleet: FakeFleet, file: Path) -> None:
    fleet.snapshots = {"web1": bridge(icc=True), "db1": bridge(icc=True)}
    fleet.converge = changing(fleet)
    result = hardener("harden", "-i", "inv,", *ONLY, "--waivers", str(file))
    assert result.exit_code == 0
    assert list(fleet.runs[1][1]["variables"]["harden_plan"]) == ["db1"]
    assert "1 waived" in result.stdout


def test_harden_omits_a_variable_that_would_change_a_waived_control(
    hardener: Hardener, fleet: FakeFleet, file: Path
) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    written(file, [entry(control="audit-dockerd")])
    only = ("--only", "audit-dockerd", "--only", "audit-etc-docker")
    result = hardener("harden", "-i", "inv,", *only, "--waivers", str(file))
    assert result.exit_code == 3
    assert [playbook for playbook, _ in fleet.runs] == ["audit"]
    assert (
        "not changed: audit-etc-docker (audit_rules_enabled): it would also remediate a waived control"
        in result.stderr
    )
    assert "audit-dockerd (W-001)" in result.stderr


def test_a_plan_that_remediates_a_waived_control_is_refused(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path, file: Path
) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    document = {
        "name": "docker_daemon_icc",
        "state": "change",
        "impact": "daemon-restart",
        "reason": "",
        "paths": [],
    }
    fleet.converge = lambda host: {
        "outcome": "changed",
        "plan": "ab" * 32,
        "allow": "daemon-restart",
        "documents": [document],
        "msg": "",
    }
    plan = tmp_path / "plan.json"
    hardener("plan", "-i", "inv,", *ONLY, "--json", str(plan))
    result = hardener("harden", "-i", "inv,", *ONLY, "--plan", str(plan), "--waivers", str(file))
    assert result.exit_code == 2
    assert "web1: the plan would remediate a waived control by docker_daemon_icc" in result.stderr


def with_groups(snapshot: Snapshot, host: str, *groups: str) -> dict[str, Any]:
    return {**snapshot.raw, "host": host, **({"inventory_groups": list(groups)} if groups else {})}


def test_waivers_by_group_apply_to_snapshots_that_name_their_groups(
    hardener: Hardener, tmp_path: Path, file: Path
) -> None:
    written(file, [entry(hosts="", groups="[web]")])
    folder = tmp_path / "snapshots"
    folder.mkdir()
    report = tmp_path / "report.json"
    for host, groups in (("a", ("web",)), ("b", ("database",)), ("c", ())):
        (folder / f"{host}.json").write_text(json.dumps(with_groups(bridge(icc=True), host, *groups)))
    result = hardener("assess", str(folder), *ONLY, "--waivers", str(file), "--json", str(report))
    assert result.exit_code == 3
    found = {each["host"]: each["findings"][0]["status"] for each in json.loads(report.read_text())["hosts"]}
    assert found == {"a": "waived", "b": "fail", "c": "fail"}
    assert "W-001: not applied to c, whose snapshots do not name groups" in result.stderr


def test_an_attested_control_passes_and_is_reported(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    path = tmp_path / "attestations.yml"
    path.write_text(
        "attestations:\n  - id: A-001\n    control: image-trusted-base\n    hosts: [web1]\n"
        f"    attested_by: J. Doe\n    attested_on: {TODAY}\n    looked_at: Every Dockerfile.\n"
        f"    expires: {TODAY + timedelta(days=10)}\n"
    )
    only = ("--only", "image-trusted-base")
    assert "1 manual" in hardener("audit", "-i", "inv,", *only).stdout
    result = hardener("audit", "-i", "inv,", *only, "--attestations", str(path))
    assert result.exit_code == 0
    assert "manual:" not in result.stdout
    assert "1 passing by attestation" in result.stdout
    assert "attestation A-001 (image-trusted-base, J. Doe) expires" in result.stdout


# --- waivers list ---------------------------------------------------------------------------------------


def test_the_waivers_of_a_file_are_listed_in_the_order_of_their_end(hardener: Hardener, file: Path) -> None:
    written(file, [entry(), entry("W-002", days=-1)])
    done = hardener("waivers", "list", str(file))
    header, first, second = done.stdout.splitlines()
    assert (done.exit_code, header.split()) == (0, ["ID", "CONTROL", "OWNER", "EXPIRES", "WHERE"])
    assert "(expired)" in first
    assert re.search(r"\(\d+ days\)", second)
    linted = hardener("waivers", "lint", str(file), "--json", "-").stdout
    assert hardener("waivers", "list", str(file), "--json", "-").stdout == linted
    file.write_text("waivers: 3\n")
    assert hardener("waivers", "list", str(file)).exit_code == 2


# --- lint -----------------------------------------------------------------------------------------------


def test_lint_accepts_a_valid_file(hardener: Hardener, file: Path, inventory: None) -> None:
    result = hardener("waivers", "lint", str(file), "-i", "inv")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"{file}: 1 waiver, none expired\n"


def test_lint_lists_every_error(hardener: Hardener, file: Path) -> None:
    written(file, [entry(control="none", owner="[]"), entry()])
    result = hardener("waivers", "lint", str(file))
    assert result.exit_code == 2
    assert [each.split(": ")[0] for each in result.stdout.splitlines()] == [f"{file}:3", f"{file}:6"]


def test_lint_checks_hosts_and_groups_in_the_inventory(
    hardener: Hardener, file: Path, inventory: None
) -> None:
    written(file, [entry(hosts='["mail*"]', groups="[wbe]")])
    result = hardener("waivers", "lint", str(file), "-i", "inv")
    assert result.exit_code == 2
    assert result.stdout == (
        f"{file}:4: hosts: no host of the inventory matches mail*\n"
        f"{file}:11: groups: the inventory has no group wbe; did you mean web?\n"
    )


@pytest.mark.parametrize(("days", "code", "word"), [(-1, 3, "expired"), (0, 0, "today"), (31, 0, "")])
def test_lint_lists_entries_that_expired_or_expire_soon(
    hardener: Hardener, file: Path, days: int, code: int, word: str
) -> None:
    written(file, [entry(days=days)])
    result = hardener("waivers", "lint", str(file))
    assert result.exit_code == code
    assert word in result.stdout
    assert bool(result.stdout) is bool(word)


def test_lint_accepts_a_file_of_attestations(hardener: Hardener, tmp_path: Path) -> None:
    path = tmp_path / "attestations.yml"
    path.write_text("attestations: []\n")
    assert hardener("waivers", "lint", str(path)).stderr == f"{path}: 0 attestations, none expired\n"


def test_lint_reports_an_unreadable_file(hardener: Hardener, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        result = hardener("waivers", "lint", str(path))
        assert result.exit_code == 2
        assert f"cannot read {path}" in result.stderr


# --- add ------------------------------------------------------------------------------------------------

ADD = (
    *("--control", "5.32", "--host", "web1", "--object", "container=traefik", "--object", "container=ci-*"),
    *("--reason", "Routes by labels.", "--owner", "team-web", "--approved-by", "J. Doe", "--ticket", "SEC-1"),
)
UNTIL = ("--expires", (TODAY + timedelta(days=30)).isoformat())


def test_an_added_waiver_is_accepted_by_lint(hardener: Hardener, tmp_path: Path) -> None:
    path = tmp_path / "waivers.yml"
    for name in ("W-001", "W-002"):
        result = hardener("waivers", "add", str(path), *ADD, *UNTIL)
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == f"{path}: {name}\n"
    assert hardener("waivers", "lint", str(path)).exit_code == 0
    text = path.read_text()
    assert "id: W-002\n    control: container-no-docker-sock\n    hosts: [web1]\n" in text
    assert 'objects: {container: [traefik, "ci-*"]}' in text
    assert f"created: {TODAY}" in text


def test_adding_a_waiver_keeps_comments_mode_and_link(hardener: Hardener, tmp_path: Path, file: Path) -> None:
    text = "# ours\n" + file.read_text() + "\n# the end\n"
    file.write_text(text)
    file.chmod(0o640)
    (tmp_path / "link.yml").symlink_to(file.name)
    assert hardener("waivers", "add", str(tmp_path / "link.yml"), *ADD, *UNTIL).exit_code == 0
    after = file.read_text()
    assert after.startswith(text.removesuffix("\n# the end\n"))
    assert after.endswith("\n# the end\n")
    assert (tmp_path / "link.yml").is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640


def test_concurrent_additions_are_all_written(hardener: Hardener, tmp_path: Path) -> None:
    path = tmp_path / "waivers.yml"

    def add() -> None:
        assert hardener("waivers", "add", str(path), *ADD, *UNTIL).exit_code == 0

    writers = [child(add) for _ in range(6)]
    assert [os.waitpid(writer, 0)[1] for writer in writers] == [0] * 6
    assert path.read_text().count("- id: ") == 6
    assert hardener("waivers", "lint", str(path)).exit_code == 0


def test_adding_to_a_missing_folder_is_an_error(hardener: Hardener, tmp_path: Path) -> None:
    result = hardener("waivers", "add", str(tmp_path / "none" / "waivers.yml"), *ADD, *UNTIL)
    assert result.exit_code == 2
    assert "there is no folder" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (*ADD, "--expires", "2999-01-01"),
            "the waiver was not written: expires: 2999-01-01 is past the horizon",
        ),
        ((*ADD, "--expires", "soon"), "expires: must be a date"),
        ((*ADD, *UNTIL, "--object", "web"), "'web' is not KIND=GLOB"),
        ((*ADD, *UNTIL, "--object", "pod=web"), "objects.pod: must be"),
        ((*ADD, *UNTIL, "--control", "2.8"), "give the name"),
        ((*ADD, *UNTIL, "--id", "W-001"), "appears twice"),
        (ADD, "Missing option '--expires'"),
    ],
)
def test_an_invalid_waiver_is_not_added(
    hardener: Hardener, file: Path, arguments: tuple[str, ...], message: str
) -> None:
    before = file.read_bytes()
    result = hardener("waivers", "add", str(file), *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]
