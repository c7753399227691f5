from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from junitparser import JUnitXml

from hardener.history import History
from tests.unit.cli.bridges import DIGEST, ONLY, answer, bridge, changing
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.snapshots import make

Hardener = Callable[..., Result]


def test_the_snapshots_of_these_tests_fail_before_the_change_and_pass_after_it(
    hardener: Hardener, fleet: FakeFleet
) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    assert hardener("audit", "-i", "inv,", *ONLY).exit_code == 3
    fleet.snapshots = {"web1": bridge(icc=False)}
    assert hardener("audit", "-i", "inv,", *ONLY).exit_code == 0


def test_hosts_are_audited_changed_and_audited_again(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    fleet.snapshots = {"web1": bridge(icc=True), "web2": bridge(icc=False)}
    fleet.converge = changing(fleet)
    junit, native = tmp_path / "junit.xml", tmp_path / "report.json"
    result = hardener("harden", "-i", "inv,", *ONLY, "--junit", str(junit), "--json", str(native))
    assert result.exit_code == 0
    assert [playbook for playbook, _ in fleet.runs] == ["audit", "harden", "audit"]
    assert fleet.runs[1][1]["variables"] == {
        "harden_plan": {"web1": {"docker_daemon": ["docker_daemon_icc"]}}
    }
    assert "plan: web1: docker_daemon (1 failing)\n" in result.stderr
    assert "web1: changed /etc/docker/daemon.json\n" in result.stderr
    assert "fixed" in result.stdout.casefold()
    assert JUnitXml.fromfile(str(junit)).failures == 0
    assert json.loads(native.read_text())["summary"]["counts"]["fail"] == 0
    assert json.loads((tmp_path / "report.before.json").read_text())["summary"]["counts"]["fail"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "junit.xml",
        "report.before.json",
        "report.json",
    ]


def test_without_failures_no_role_runs(hardener: Hardener, fleet: FakeFleet, tmp_path: Path) -> None:
    fleet.snapshots = {"web1": bridge(icc=False)}
    result = hardener("harden", "-i", "inv,", *ONLY, "--junit", str(tmp_path / "j.xml"))
    assert result.exit_code == 0
    assert [playbook for playbook, _ in fleet.runs] == ["audit"]
    assert "no role remediates a failing control" in result.stderr
    assert (tmp_path / "j.xml").exists()


def test_an_unreachable_host_is_not_changed_and_gives_exit_code_9(
    hardener: Hardener, fleet: FakeFleet
) -> None:
    fleet.snapshots = {"gone": "timed out"}
    result = hardener("harden", "-i", "inv,", *ONLY)
    assert result.exit_code == 9
    assert [playbook for playbook, _ in fleet.runs] == ["audit"]


def test_check_changes_nothing_and_diff_shows_the_changes(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    diff = [{"path": "/etc/docker/daemon.json", "prepared": '--- before\n+++ after\n+  "icc": false\n'}]
    fleet.snapshots = {"web1": bridge(icc=True)}
    fleet.converge = lambda host: {
        "outcome": "would_change",
        "changed": True,
        "msg": "change x",
        "diff": diff,
    }
    native = tmp_path / "report.json"
    result = hardener("harden", "-i", "inv,", *ONLY, "--check", "--diff", "--json", str(native))
    assert result.exit_code == 3, "it is still not compliant"
    assert [(playbook, options.get("check")) for playbook, options in fleet.runs] == [
        ("audit", None),
        ("harden", True),
    ]
    assert fleet.runs[1][1]["diff"] is True
    shown = 'web1: /etc/docker/daemon.json\n--- before\n+++ after\n+  "icc": false\n'
    assert result.stdout.startswith(shown)
    assert json.loads(native.read_text())["summary"]["counts"]["fail"] == 1
    assert not (tmp_path / "report.before.json").exists()


def test_held_changes_are_listed_and_their_controls_keep_failing(
    hardener: Hardener, fleet: FakeFleet
) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    held = answer("held", "containers-stop", "restarting would stop db\x1b[2J")
    fleet.converge = lambda host: {"outcome": "unchanged", "changed": False, "msg": "nothing to do", **held}
    result = hardener("harden", "-i", "inv,", *ONLY)
    assert result.exit_code == 3
    said = "web1: held (containers-stop): daemon-icc-disabled: restarting would stop db\\x1b[2J\n"
    assert said in result.stderr


def test_a_refused_change_is_not_a_failed_host(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    blocked = answer("refused", reason="rootless")
    fleet.converge = lambda host: {"outcome": "refused", "failed": True, "msg": "rootless", **blocked}
    result = hardener("harden", "-i", "inv,", *ONLY)
    assert result.exit_code == 3
    assert "web1: blocked (daemon-restart): daemon-icc-disabled: rootless\n" in result.stderr


def test_the_allowed_impact_comes_from_the_command_line_or_the_inventory(
    hardener: Hardener, fleet: FakeFleet
) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    fleet.converge = changing(fleet)
    hardener("harden", "-i", "inv,", *ONLY, "--allow", "containers-stop")
    assert fleet.runs[1][1]["variables"]["converge_allow"] == "containers-stop"
    fleet.runs.clear()
    fleet.snapshots = {"web1": bridge(icc=True)}
    hardener("harden", "-i", "inv,", *ONLY, "--confirm-timeout", "60")
    variables = fleet.runs[1][1]["variables"]
    assert (variables.get("converge_allow"), variables["converge_confirm_timeout"]) == (None, 60)


def test_accepted_losses_come_from_the_command_line_and_from_the_reviewed_plan(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    fleet.snapshots = {"web1": bridge(icc=True)}
    fleet.converge = lambda host: {"outcome": "would_change", **answer("change")}
    accept = ("--accept-loss", "web", "--accept-loss", "10.0.0.0/8")
    assert hardener("plan", "-i", "inv,", *ONLY, *accept, "--json", str(plan)).exit_code == 3
    fleet.runs.clear()
    fleet.converge = changing(fleet)
    hardener("harden", "-i", "inv,", *ONLY, "--plan", str(plan), "--accept-loss", "db")
    (asked,) = [each["variables"] for playbook, each in fleet.runs if playbook == "harden"]
    assert asked["converge_accept_losses"] == ["web", "10.0.0.0/8", "db"]
    result = hardener("harden", "-i", "inv,", "--accept-loss", "{{ x }}")
    assert result.exit_code == 2
    content = json.loads(plan.read_text())
    plan.write_text(json.dumps({**content, "accept_losses": ["{{ x }}"]}))
    result = hardener("harden", "-i", "inv,", *ONLY, "--plan", str(plan))
    assert "plan.json: accept_losses: " in result.stderr


def test_only_the_reviewed_plan_is_applied(hardener: Hardener, fleet: FakeFleet, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    fleet.snapshots = {"web1": bridge(icc=True), "web2": bridge(icc=True)}
    fleet.converge = lambda host: {
        "outcome": "would_change",
        **answer("change" if host == "web1" else "held"),
    }
    assert hardener("plan", "-i", "inv,", *ONLY, "--json", str(plan)).exit_code == 3
    fleet.converge = changing(fleet)
    assert hardener("harden", "-i", "inv,", *ONLY, "--plan", str(plan)).exit_code == 3  # web2 still fails
    variables = fleet.runs[3][1]["variables"]
    assert variables == {
        "harden_plan": {"web1": {"docker_daemon": ["docker_daemon_icc"]}},
        "harden_reviewed": {"web1": {"digest": DIGEST, "allow": "daemon-restart"}},
    }
    damaged = tmp_path / "damaged.json"
    entries = json.loads(plan.read_text())
    entries["hosts"]["web2"] = {**entries["hosts"]["web1"], "allow": "all"}
    damaged.write_text(json.dumps(entries))
    fleet.snapshots = {"web1": bridge(icc=True), "web2": bridge(icc=False)}
    fleet.runs.clear()
    partly = hardener("harden", "-i", "inv,", *ONLY, "--plan", str(damaged))
    assert (partly.exit_code, fleet.runs[1][1]["variables"]) == (9, variables)
    assert "web2: ValueError(\"'all' is not a valid Impact\"); the host is not changed" in partly.stderr
    del fleet.snapshots["web1"]
    fleet.runs.clear()
    lost = hardener("harden", "-i", "inv,", *ONLY, "--plan", str(plan))
    assert lost.exit_code == 2
    assert "the plan is for hosts that the inventory does not have: web1" in lost.stderr
    assert [playbook for playbook, _ in fleet.runs] == ["audit"]
    hardener("harden", "-i", "inv,", *ONLY, "--plan", str(plan), "--limit", "web2")
    assert "harden" not in [playbook for playbook, _ in fleet.runs]
    both = hardener("harden", "-i", "inv,", "--plan", str(plan), "--allow", "reload")
    assert both.exit_code == 2
    assert "--plan and --allow exclude each other" in both.stderr


def test_without_diff_no_differences_are_shown(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    fleet.converge = changing(fleet, diff=[{"path": "/x", "prepared": "+secret"}])
    assert "+secret" not in hardener("harden", "-i", "inv,", *ONLY).stdout


@pytest.mark.parametrize("outcome", ["rolled_back", "partly_rolled_back", "rollback_failed", "abandoned"])
def test_a_complete_partial_or_failed_rollback_gives_exit_code_5(
    hardener: Hardener, fleet: FakeFleet, outcome: str
) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    fleet.converge = changing(fleet, outcome=outcome, failed=True, changed=False, msg="dockerd did not start")
    result = hardener("harden", "-i", "inv,", *ONLY)
    assert result.exit_code == 5
    assert "web1: failed: dockerd did not start\n" in result.stderr


def test_a_refused_change_gives_exit_code_9_although_a_control_still_fails(
    hardener: Hardener, fleet: FakeFleet
) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    fleet.converge = changing(fleet, outcome="refused", failed=True, msg="duplicate keys")
    assert hardener("harden", "-i", "inv,", *ONLY).exit_code == 9


def test_a_failed_change_gives_exit_code_9_even_if_all_controls_pass_afterwards(
    hardener: Hardener, fleet: FakeFleet
) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}

    def converge(host: str) -> dict[str, Any]:
        fleet.snapshots[host] = bridge(icc=False)
        return {"outcome": "interrupted", "failed": True, "msg": "killed"}

    fleet.converge = converge
    assert hardener("harden", "-i", "inv,", *ONLY).exit_code == 9


def test_notes_of_hosts_on_changes_that_were_not_made_are_shown(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    fleet.converge = changing(fleet, notes=["userns-remap is not applied: 3 images\x1b[2J"])
    stderr = hardener("harden", "-i", "inv,", *ONLY).stderr
    assert "web1: userns-remap is not applied: 3 images\\x1b[2J\n" in stderr


def test_hosts_with_equal_plans_share_a_line(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {f"web{number}": bridge(icc=True) for number in range(7)}
    fleet.converge = changing(fleet)
    stderr = hardener("harden", "-i", "inv,", *ONLY).stderr
    assert "plan: web0, web1, web2, web3, web4 and 2 more: docker_daemon (" in stderr
    assert stderr.count("plan:") == 1


def test_snapshots_of_both_audits_are_kept(hardener: Hardener, fleet: FakeFleet, tmp_path: Path) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    fleet.converge = changing(fleet)
    hardener("harden", "-i", "inv,", *ONLY, "--snapshots", str(tmp_path))
    assert [len(list((tmp_path / when).iterdir())) for when in ("before", "after")] == [1, 1]


def test_passwords_are_asked_for_once(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    fleet.converge = changing(fleet)
    result = hardener("harden", "-i", "inv,", *ONLY, "-K", input="s3cret\n")
    assert result.exit_code == 0
    assert result.stderr.count("BECOME password") == 1


def test_canaries_and_batches_are_changed_and_checked_in_order(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {f"web{number}": bridge(icc=True) for number in range(1, 6)}
    fleet.converge = changing(fleet)
    result = hardener("harden", "-i", "inv,", *ONLY, "--canary", "1", "--batch", "2")
    assert result.exit_code == 0
    every = list(fleet.snapshots)
    assert [playbook for playbook, _ in fleet.runs] == ["audit", *["harden", "audit"] * 3]
    batches = [["web1"], ["web2", "web3"], ["web4", "web5"]]
    assert fleet.reached == [
        every,
        *(part for batch in batches[:-1] for part in (batch, batch)),
        *(batches[-1], every),
    ]
    assert [
        list(options["variables"]["harden_plan"]) for playbook, options in fleet.runs if playbook == "harden"
    ] == batches
    assert "batches: canaries web1, then 2 batches of 2; 0 may fail\n" in result.stderr
    assert "batch (2 of 3): web2, web3\n" in result.stderr


def test_a_failed_canary_ends_the_run_and_the_other_hosts_are_named(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    fleet.snapshots = {f"web{number}": bridge(icc=True) for number in range(1, 4)}
    fleet.converge = lambda host: {"outcome": "rolled_back", "failed": True, "msg": "rolled back: no start"}
    report = tmp_path / "report.json"
    arguments = ("harden", "-i", "inv,", *ONLY, "--canary", "1", "--json", str(report))
    result = hardener(*arguments)
    assert result.exit_code == 5
    assert [playbook for playbook, _ in fleet.runs] == ["audit", "harden", "audit", "audit"]
    reason = "1 failed where --max-fail allows 0 (web1: rolled back: no start)"
    assert f"hardener: stopped: {reason}\n" in result.stderr
    assert f"not begun: web2, web3: {reason}\n" in result.stderr
    assert f"web2, web3: {reason}" in " ".join(result.stdout.split())
    found = json.loads(report.read_text())
    assert [host.get("not_begun") for host in found["hosts"]] == [None, reason, reason]
    assert found["summary"]["not_begun"] == 2
    failed = "rolled back: no start"
    assert [host.get("change_failed") for host in found["hosts"]] == [failed, None, None]
    assert found["summary"]["change_failed"] == 1
    shown = json.loads(hardener("show", "--json", "-").stdout)
    assert shown["not_begun"] == [{"host": host, "reason": reason} for host in ("web2", "web3")]
    assert (shown["run"]["not_begun"], shown["run"]["exit_code"]) == (2, 5)
    assert (shown["change_failed"], shown["run"]["change_failed"]) == (
        [{"host": "web1", "reason": failed}],
        1,
    )
    assert "not begun  2 hosts: left as they were\n" in hardener("show").stdout
    assert "failed     1 change\n" in hardener("show").stdout
    assert "inv,, 2 not begun, 1 failed\n" in hardener("runs", "list").stdout
    fleet.runs.clear()
    assert hardener(*arguments, "--max-fail", "1").exit_code == 5
    assert [playbook for playbook, _ in fleet.runs] == ["audit", "harden", "audit", "harden", "audit"]


def test_unreachable_hosts_count_as_failed(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"gone": "timed out", "web1": bridge(icc=True), "web2": bridge(icc=True)}
    fleet.converge = changing(fleet)
    result = hardener("harden", "-i", "inv,", *ONLY, "--batch", "1")
    assert result.exit_code == 8
    assert [playbook for playbook, _ in fleet.runs] == ["audit", "audit"]
    assert "not begun: web1, web2: 1 failed where --max-fail allows 0 (gone: timed out)\n" in result.stderr
    result = hardener("harden", "-i", "inv,", *ONLY, "--batch", "1", "--max-fail", "34%")
    assert result.exit_code == 9
    assert "not begun" not in result.stderr


def test_a_host_that_is_unreachable_after_its_change_counts_as_failed(
    hardener: Hardener, fleet: FakeFleet
) -> None:
    both = ("--only", "daemon-icc-disabled", "--only", "file-daemon-json-mode")

    def converge(host: str) -> dict[str, Any]:
        fleet.snapshots[host] = host_without_an_answer if host == "web1" else bridge(icc=False)
        return {"outcome": "changed", "changed": True, "msg": "changed"}

    host_without_an_answer = "Connection refused"
    fleet.snapshots = {f"web{number}": bridge(icc=True) for number in range(1, 4)}
    fleet.converge = converge
    result = hardener("harden", "-i", "inv,", *both, "--canary", "1")
    assert result.exit_code == 8
    said = "(web1: cannot be reached after its change: Connection refused)"
    assert f"not begun: web2, web3: 1 failed where --max-fail allows 0 {said}\n" in result.stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--max-fail", "1"), "needs batches"),
        (("--batch", "0"), "'0' is not a number of hosts"),
        (("--batch", "200%"), "'200%' is not a number of hosts"),
        (("--canary", "0"), "names no host"),
        (("--canary", "no-such-group"), "the inventory has no such group"),
    ],
)
def test_invalid_batches_are_refused(
    hardener: Hardener, fleet: FakeFleet, options: tuple[str, ...], reason: str
) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    result = hardener("harden", "-i", "inv,", *ONLY, *options)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert fleet.runs == [], "it was found before any host was asked"


def test_check_names_the_batches_and_changes_nothing(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": bridge(icc=True), "web2": bridge(icc=True)}
    fleet.converge = lambda host: {"outcome": "would_change", "changed": True, "msg": "change x"}
    result = hardener("harden", "-i", "inv,", *ONLY, "--check", "--canary", "1")
    assert [playbook for playbook, _ in fleet.runs] == ["audit", "harden"]
    assert "batches: canaries web1, then 1 batch of 1; 0 may fail\n" in result.stderr


def test_hosts_outside_their_maintenance_window_are_neither_changed_nor_failed(
    hardener: Hardener, fleet: FakeFleet
) -> None:
    reason = "outside its maintenance windows (Sat 22:00-04:00 UTC): it is Fri 10:00 in UTC"
    repair = changing(fleet)

    def converge(host: str) -> dict[str, Any]:
        closed = {
            "outcome": "not_begun",
            "failed": True,
            "reason": reason,
            "msg": f"nothing was changed: {reason}",
        }
        return closed if host in ("web2", "web3") else repair(host)

    fleet.snapshots = {f"web{number}": bridge(icc=True) for number in range(1, 5)}
    fleet.converge = converge
    result = hardener("harden", "-i", "inv,", *ONLY, "--canary", "1", "--batch", "1")
    assert result.exit_code == 8
    assert f"not begun: web2, web3: {reason}\n" in result.stderr
    assert fleet.reached[-2:] == [["web4"], ["web1", "web2", "web3", "web4"]]
    fleet.snapshots = {"web2": bridge(icc=True), "web4": bridge(icc=True)}
    result = hardener("harden", "-i", "inv,", *ONLY, "--canary", "1")
    assert f"hardener: stopped: a canary was not begun: {reason}\n" in result.stderr
    fleet.snapshots = {"web2": bridge(icc=True), "web4": bridge(icc=True)}
    result = hardener("harden", "-i", "inv,", *ONLY)
    assert (result.exit_code, result.stderr.count("not begun: web2:")) == (8, 1)


def test_a_run_gets_a_higher_number_than_every_host_has_stored(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    ahead = int(time.time() * 1000) + 60_000  # another control node has a clock that is ahead
    known: dict[str, Any] = {
        "runs": [],
        "unfinished": None,
        "number": {"number": ahead, "run": "a", "who": "b"},
    }
    fleet.snapshots = {"web1": bridge(icc=True), "web2": make(**{"hardener.runs": known})}
    fleet.converge = lambda host: {"outcome": "would_change", "changed": True, "msg": "change x"}
    assert hardener("harden", "-i", "inv,", *ONLY, "--check").exit_code == 3
    assert fleet.numbers == [], "what changes nothing needs none"
    fleet.converge = changing(fleet)
    assert hardener("harden", "-i", "inv,", *ONLY).exit_code == 0
    ((number, run),) = fleet.numbers
    assert number == ahead + 1
    assert run == History(home).run("latest~1").id, "it is the run before the change"
    fleet.snapshots["web1"] = bridge(icc=True)
    hardener("harden", "-i", "inv,", *ONLY)
    assert fleet.numbers[1][0] > number
