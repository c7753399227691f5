from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from hardener import checks
from hardener.checks import Check
from hardener.errors import HardenerError
from hardener.history import Recording
from hardener.model import Status, Verdict
from hardener.snapshot import Snapshot
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import DAEMON_JSON, DRIFT, Hardener, audited, host, kept, repairing
from tests.unit.cli.waivers import entry
from tests.unit.snapshots import failed, hardened, make, with_containers

MODE = "file-daemon-json-mode"


def playbooks(fleet: FakeFleet) -> list[str]:
    return [playbook for playbook, _ in fleet.runs]


def test_without_drift_there_is_one_audit(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    audited(hardener, fleet, {"a": host("0666")})
    fleet.runs.clear()
    result = hardener(*DRIFT, "--remediate")
    assert result.exit_code == 0
    assert playbooks(fleet) == ["audit"]
    assert "1 host compared: " in result.stdout
    assert "plan:" not in result.stderr
    assert [run.record.verb for run in kept(home)] == ["drift", "audit"]


def test_drift_is_reported_with_its_facts_until_it_is_repaired(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    audited(hardener, fleet, {"a": host(), "b": host()})
    fleet.snapshots["b"] = host("0666")
    for _ in range(2):
        result = hardener(*DRIFT)
        assert result.exit_code == 6
        assert "2 hosts compared: 1 broken, " in result.stdout
        assert "fact   files /etc/docker/daemon.json mode: 0644 → 0666" in result.stdout
        assert "Not compared" not in result.stdout
    fleet.snapshots["b"] = host()
    assert hardener(*DRIFT).exit_code == 0
    assert [run.record.exit_code for run in kept(home)] == [0, 6, 6, 3]


def by_another_version(
    hardener: Hardener, fleet: FakeFleet, snapshots: Mapping[str, Snapshot], judge: Check, *options: str
) -> None:
    """An audit by a version that judges MODE in its own way."""
    with pytest.MonkeyPatch.context() as former:
        former.setattr("hardener.workflows.report.__version__", "0.1.0")
        former.setitem(checks._registry, MODE, judge)
        audited(hardener, fleet, snapshots, *options)


def test_a_control_that_another_version_judged_otherwise_is_no_drift(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    passing = Verdict(Status.PASS, "", "")
    by_another_version(hardener, fleet, {"a": host("0666"), "b": host()}, lambda _: passing)
    result = hardener(*DRIFT)
    assert result.exit_code == 0
    assert "2 hosts compared: " in result.stdout
    assert "by hardener 0.1.0" in " ".join(result.stdout.split())
    fleet.snapshots["b"] = host("0666")
    result = hardener(*DRIFT)
    assert result.exit_code == 6
    assert "2 hosts compared: 1 broken" in result.stdout


def judged_by_new_facts(found: Snapshot) -> Verdict:
    return Verdict(Status.FAIL if found.fact("new") else Status.PASS, "", "")


def judged_with_or_without_new_facts(found: Snapshot) -> Verdict:
    return Verdict(Status.FAIL if found.fact_or("new", {}) else Status.PASS, "", "")


@pytest.mark.parametrize("judge", [judged_by_new_facts, judged_with_or_without_new_facts])
def test_a_control_that_needs_facts_that_another_version_did_not_store_is_not_compared(
    hardener: Hardener, fleet: FakeFleet, home: Path, monkeypatch: pytest.MonkeyPatch, judge: Check
) -> None:
    by_another_version(hardener, fleet, {"a": host()}, lambda _: Verdict(Status.PASS, "", ""))
    monkeypatch.setitem(checks._registry, MODE, judge)
    fleet.snapshots["a"] = host(new={"a": 1})
    fleet.runs.clear()
    result = hardener(*DRIFT, "--remediate")
    assert result.exit_code == 0
    assert "; 1 control cannot be compared" in " ".join(result.stdout.split())
    assert playbooks(fleet) == ["audit"]


def test_waivers_of_the_earlier_run_apply_when_its_facts_are_judged_again(
    hardener: Hardener, fleet: FakeFleet, home: Path, tmp_path: Path
) -> None:
    waivers = tmp_path / "waivers.yml"
    waivers.write_text("waivers:\n" + entry(control=MODE, hosts="[a]"))
    failing = Verdict(Status.FAIL, "", "")
    options = ("--waivers", str(waivers))
    by_another_version(hardener, fleet, {"a": host("0666")}, lambda _: failing, *options)
    assert hardener(*DRIFT, *options).exit_code == 0
    result = hardener(*DRIFT)
    assert result.exit_code == 6
    assert "1 broken" in result.stdout


def test_changed_properties_of_a_containers_identity_are_listed(hardener: Hardener, fleet: FakeFleet) -> None:
    own = {"SecurityOpt": ["seccomp={}", "no-new-privileges"]}
    audited(hardener, fleet, {"a": with_containers(hardened("web", HostConfig=own))})
    fleet.snapshots["a"] = with_containers(hardened("web", HostConfig={**own, "Sysctls": {"net.a": "1"}}))
    result = hardener(*DRIFT)
    assert result.exit_code == 0  # no control stands worse
    told = " ".join(result.stdout.partition("Containers whose identity changed (1)")[2].split())
    assert told.startswith("! web a sysctls: nothing → net.a=1 ")
    assert "its own seccomp profile was made for the earlier identity" in told
    fleet.snapshots["a"] = with_containers(hardened("web", HostConfig={**own, "ReadonlyRootfs": False}))
    result = hardener(*DRIFT)
    assert result.exit_code == 6
    assert "fact   container web read only: yes → no" in result.stdout


def test_only_drift_is_repaired(hardener: Hardener, fleet: FakeFleet, home: Path, tmp_path: Path) -> None:
    audited(hardener, fleet, {"a": host(), "b": host("0666")})
    fleet.snapshots["a"] = host("0666")
    fleet.runs.clear()
    repaired = repairing(fleet)
    native = tmp_path / "report.json"
    result = hardener(*DRIFT, "--remediate", "--json", str(native))
    assert result.exit_code == 7
    assert playbooks(fleet) == ["audit", "harden", "audit"]
    variables = fleet.runs[1][1]["variables"]
    assert variables["harden_plan"] == {"a": {"docker_files": ["docker_files_enforce"]}}
    assert "harden_spared" not in variables
    assert repaired == ["a"]
    assert "1 broken" in result.stdout
    after, before, _ = kept(home)
    assert [(run.record.verb, run.record.exit_code) for run in (before, after)] == [
        ("before drift", 6),
        ("drift", 7),
    ]
    assert json.loads(native.read_text())["run"]["id"] == after.id
    assert hardener(*DRIFT).exit_code == 0


@pytest.mark.parametrize(
    ("before", "spared"),
    [("0666", ["/etc/default/docker"]), ("0644", [])],  # with the latter it has drifted too
)
def test_a_file_that_failed_before_is_not_repaired_beside_one_that_has_drifted(
    hardener: Hardener, fleet: FakeFleet, home: Path, before: str, spared: list[str]
) -> None:
    def files(mode: str, other: str) -> Snapshot:
        found = {"/etc/docker/daemon.json": {**DAEMON_JSON, "mode": mode}}
        return make(files={**found, "/etc/default/docker": {**DAEMON_JSON, "mode": other}})

    audited(hardener, fleet, {"a": files("0644", before)})
    fleet.snapshots["a"] = files("0666", "0666")
    fleet.runs.clear()
    repairing(fleet)
    assert hardener(*DRIFT, "--remediate").exit_code == 7
    (asked,) = [each["variables"] for playbook, each in fleet.runs if playbook == "harden"]
    assert asked["harden_plan"] == {"a": {"docker_files": ["docker_files_enforce"]}}
    both = {"/etc/default/docker", "/etc/docker/daemon.json"}
    assert sorted(both.intersection(asked.get("harden_spared", {}).get("a", ()))) == spared


def test_a_path_that_ansible_would_evaluate_is_not_spared(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    reference, drifted = {}, {}
    for name in ("ok", "{{ x }}"):
        place = f"/etc/docker/certs.d/{name}/ca.crt"
        reference[place] = drifted[place] = {**DAEMON_JSON, "mode": "0666"}
    broken = {"/etc/docker/daemon.json": {**DAEMON_JSON, "mode": "0666"}}
    intact = {"/etc/docker/daemon.json": {**DAEMON_JSON, "mode": "0644"}}
    audited(hardener, fleet, {"a": make(files={**intact, **reference})})
    fleet.snapshots["a"] = make(files={**broken, **drifted})
    fleet.runs.clear()
    repairing(fleet)
    assert hardener(*DRIFT, "--remediate").exit_code == 7
    (asked,) = [each["variables"] for playbook, each in fleet.runs if playbook == "harden"]
    spared = [path for path in asked["harden_spared"]["a"] if "certs.d" in path]
    assert spared == ["/etc/docker/certs.d/ok/ca.crt"]


def test_a_rolled_back_repair_has_its_own_exit_code(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    audited(hardener, fleet, {"a": host()})
    fleet.snapshots["a"] = host("0666")
    repairing(fleet, failed=True, outcome="rolled_back", msg="web is not well")
    assert hardener(*DRIFT, "--remediate").exit_code == 5
    assert kept(home)[0].record.exit_code == 5


def test_drift_without_a_remediating_role_remains(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    audited(hardener, fleet, {"a": with_containers(hardened("web"))})
    fleet.snapshots["a"] = with_containers(hardened("web", HostConfig={"Privileged": True}))
    fleet.runs.clear()
    result = hardener(*DRIFT, "--remediate")
    assert result.exit_code == 6
    assert playbooks(fleet) == ["audit"]
    assert "plan: no role remediates a failing control" in result.stderr


def test_a_repair_in_check_mode_changes_no_host_and_reports_the_drift(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    audited(hardener, fleet, {"a": host()})
    fleet.snapshots["a"] = host("0666")
    fleet.runs.clear()
    repairing(fleet, outcome="would_change")
    assert hardener(*DRIFT, "--remediate", "--check").exit_code == 6
    assert [(playbook, options.get("check")) for playbook, options in fleet.runs] == [
        ("audit", None),
        ("harden", True),
    ]


def test_an_unreachable_host_makes_the_comparison_incomplete(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    audited(hardener, fleet, {"a": host(), "b": host()})
    fleet.snapshots["b"] = "timed out"
    result = hardener(*DRIFT)
    assert result.exit_code == 4
    assert "b: was not audited: timed out" in result.stdout


def test_a_failed_source_makes_the_comparison_incomplete(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    audited(hardener, fleet, {"a": make()})
    fleet.snapshots["a"] = make(**{"audit.loaded": failed("permission denied")})
    result = hardener(*DRIFT)
    assert result.exit_code == 4
    assert "no longer decided" in result.stdout
    assert "not readable: permission denied" in result.stdout


def test_the_baseline_is_preferred_as_reference(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    audited(hardener, fleet, {"a": host()})
    assert hardener(*DRIFT, "--against", "baseline").exit_code == 2
    hardener("runs", "baseline", "latest")
    audited(hardener, fleet, {"a": host("0666")})
    assert hardener(*DRIFT).exit_code == 6
    assert hardener(*DRIFT, "--against", "baseline").exit_code == 6
    assert hardener(*DRIFT, "--against", kept(home)[2].id).exit_code == 0


def test_a_chosen_baseline_moves_along_with_what_harden_has_changed(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    audited(hardener, fleet, {"a": host("0666"), "b": host()})
    hardener("runs", "baseline", "latest")
    repairing(fleet)
    done = hardener("harden", "-i", "inv,", "--only", MODE)
    assert f"the baseline {kept(home)[-1].id} moves along with what this run has changed" in done.stderr
    assert hardener(*DRIFT).exit_code == 0
    fleet.snapshots["a"] = host("0666")  # as in the baseline, but hardener has repaired that
    result = hardener(*DRIFT)
    assert (result.exit_code, "1 broken" in result.stdout) == (6, True)
    assert "moved by what hardener has changed since" in " ".join((result.stdout + result.stderr).split())
    repairing(fleet)
    hardener(*DRIFT, "--remediate")
    fleet.snapshots["b"] = host("0666")  # hardener has not changed this one
    assert hardener(*DRIFT).exit_code == 6
    assert "baseline" not in hardener("harden", "-i", "inv,", "--only", MODE, "--check").stderr


def test_a_run_that_reached_no_host_is_not_a_reference(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    audited(hardener, fleet, {"a": host()})
    audited(hardener, fleet, {"a": "timed out"})
    fleet.snapshots["a"] = host("0666")
    assert hardener(*DRIFT).exit_code == 6


def test_drift_judges_the_controls_and_the_benchmark_of_the_earlier_run(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    audited(hardener, fleet, {"a": host()}, "--only", "daemon", "--benchmark", "cis-docker-1.6.0")
    fleet.snapshots["a"] = host("0666")
    assert hardener(*DRIFT).exit_code == 2
    assert hardener(*DRIFT, "--against", "latest").exit_code == 0
    record = kept(home)[0].record
    assert (record.only, record.info.benchmark) == (("daemon",), "cis-docker-1.6.0")


def test_hosts_outside_the_limit_are_not_reported_as_missing(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    audited(hardener, fleet, {"a": host(), "b": host()})
    fleet.snapshots = {"a": host()}
    result = hardener(*DRIFT, "--limit", "a")
    assert (result.exit_code, "Not compared" in result.stdout) == (0, False)
    result = hardener(*DRIFT)
    assert (result.exit_code, "b: was not assessed this time" in result.stdout) == (4, True)


def test_without_an_earlier_run_of_the_inventory_drift_is_an_error(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    fleet.snapshots = {"a": host()}
    result = hardener(*DRIFT)
    assert result.exit_code == 2
    assert (
        "there is no run over all hosts and controls of inv, to compare with (`hardener audit` makes a run"
        in result.stderr
    )
    hardener("audit", "-i", "other,")
    assert hardener(*DRIFT).exit_code == 2
    assert not fleet.runs[1:]


@pytest.mark.parametrize(
    "option", [("--check",), ("--diff",), ("--allow", "reload"), ("--confirm-timeout", "30")]
)
def test_options_for_a_repair_require_remediate(
    hardener: Hardener, fleet: FakeFleet, home: Path, option: tuple[str, ...]
) -> None:
    result = hardener(*DRIFT, *option)
    assert result.exit_code == 2
    assert "need --remediate" in result.stderr


def test_a_run_that_cannot_be_recorded_is_only_a_warning(
    hardener: Hardener, fleet: FakeFleet, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise HardenerError("no space")

    audited(hardener, fleet, {"a": host()})
    fleet.snapshots["a"] = host("0666")
    monkeypatch.setattr(Recording, "keep", full)
    result = hardener(*DRIFT)
    assert result.exit_code == 6
    assert "after  fail: /etc/docker/daemon.json has mode 0666" in result.stdout
    assert "this run is not recorded" in result.stderr


def waiving(path: Path, *slugs: str) -> Path:
    """A file that waives these controls everywhere."""
    path.write_text("waivers:\n" + "".join(entry(f"W-{slug}", control=slug, hosts="[a]") for slug in slugs))
    return path


def test_a_waived_failure_is_not_drift(
    hardener: Hardener, fleet: FakeFleet, home: Path, tmp_path: Path
) -> None:
    audited(hardener, fleet, {"a": host()})
    fleet.snapshots["a"] = host("0666")
    repaired = repairing(fleet)
    waivers = waiving(tmp_path / "w.yml", "file-daemon-json-mode")
    assert hardener(*DRIFT, "--remediate", "--waivers", str(waivers)).exit_code == 0
    assert repaired == []


def test_a_waived_control_is_not_changed_by_a_repair(
    hardener: Hardener, fleet: FakeFleet, home: Path, tmp_path: Path
) -> None:
    folder = {"/etc/docker": {**DAEMON_JSON, "type": "dir", "mode": "0777"}}
    json_file = "/etc/docker/daemon.json"
    before, after = (make(files={**folder, json_file: {**DAEMON_JSON, "mode": m}}) for m in ("0644", "0666"))
    waivers = waiving(tmp_path / "w.yml", "file-etc-docker-mode")
    audited(hardener, fleet, {"a": before}, "--waivers", str(waivers))
    fleet.snapshots["a"] = after
    repaired = repairing(fleet)
    result = hardener(*DRIFT, "--remediate", "--waivers", str(waivers))
    assert result.exit_code == 6
    assert "not changed: file-daemon-json-mode" in result.stderr
    assert "file-etc-docker-mode (W-file-etc-docker-mode)" in result.stderr
    assert repaired == []


def test_drift_is_repaired_in_batches(hardener: Hardener, fleet: FakeFleet) -> None:
    audited(hardener, fleet, {name: host() for name in "abcd"})
    fleet.snapshots |= {name: host("0666") for name in "acd"}
    repaired = repairing(fleet)
    fleet.runs.clear()
    assert hardener(*DRIFT, "--canary", "1").exit_code == 2, "it goes with --remediate"
    result = hardener(*DRIFT, "--remediate", "--canary", "1", "--batch", "1")
    assert (result.exit_code, repaired) == (7, ["a", "c", "d"])
    assert playbooks(fleet) == ["audit", *["harden", "audit"] * 3]


def test_a_wrong_group_of_canaries_is_an_error_without_drift_too(
    hardener: Hardener, fleet: FakeFleet
) -> None:
    """A timer would otherwise fail only when there is something to repair."""
    audited(hardener, fleet, {"a": host()})
    fleet.runs.clear()
    result = hardener(*DRIFT, "--remediate", "--canary", "no-such-group")
    assert "--canary no-such-group: the inventory has no such group" in result.stderr
    assert (result.exit_code, fleet.runs) == (2, [])


def test_if_the_canary_fails_the_drift_of_the_other_hosts_remains(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    audited(hardener, fleet, {name: host() for name in "abc"})
    fleet.snapshots |= {name: host("0666") for name in "ac"}
    repairing(fleet, outcome="unconfirmed", failed=True)
    result = hardener(*DRIFT, "--remediate", "--canary", "1")
    assert result.exit_code == 5
    assert "not begun: c: 1 failed where --max-fail allows 0" in result.stderr
    assert kept(home)[0].record.not_begun == 1
