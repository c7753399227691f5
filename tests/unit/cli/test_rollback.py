from __future__ import annotations

from collections.abc import Callable

from click.testing import Result

from tests.unit.cli.fake_fleet import FakeFleet

Hardener = Callable[..., Result]
RUN = "20261125T040000Z-1b2c3d4e"


def test_the_last_run_of_every_host_is_rolled_back(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": "", "web2": ""}
    fleet.rollback = lambda host: {
        "outcome": "changed",
        "msg": f"restored to the state before run {RUN}",
        "notes": ["/etc/x was changed by others meanwhile, and stays as it is"] * (host == "web2"),
    }
    result = hardener("rollback", "-i", "inv,")
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"web1: restored to the state before run {RUN}\n" in result.stderr
    assert "web2: /etc/x was changed by others meanwhile, and stays as it is\n" in result.stderr
    ((playbook, options),) = fleet.runs
    assert (playbook, options["check"]) == ("rollback", False)
    assert options["variables"] == {"rollback_run": "", "rollback_list": False}


def test_the_options_check_and_diff_show_the_changes_of_a_rollback(
    hardener: Hardener, fleet: FakeFleet
) -> None:
    diff = [{"path": "/etc/x", "prepared": "--- before\n+++ after\n-new\n+old\n"}]
    fleet.snapshots = {"web1": ""}
    fleet.rollback = lambda _: {
        "outcome": "would_change",
        "msg": f"restored to the state before run {RUN}",
        "diff": diff,
    }
    result = hardener("rollback", "-i", "inv,", "--run", RUN, "--check", "--diff")
    assert result.exit_code == 0
    assert f"web1: would be restored to the state before run {RUN}\n" in result.stderr
    assert result.stdout == "web1: /etc/x\n--- before\n+++ after\n-new\n+old\n"
    assert fleet.runs[0][1]["variables"]["rollback_run"] == RUN
    assert (fleet.runs[0][1]["check"], fleet.runs[0][1]["diff"]) == (True, True)


def test_a_host_that_was_not_rolled_back_is_a_failure(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": "", "web2": ""}
    fleet.rollback = lambda host: {
        "outcome": "refused" if host == "web1" else "changed",
        "failed": host == "web1",
        "msg": "nothing was changed: this host has no backup of a run 'x'",
    }
    result = hardener("rollback", "-i", "inv,", "--run", "x")
    assert result.exit_code == 9
    assert "web1: failed: nothing was changed: this host has no backup of a run 'x'\n" in result.stderr


def test_runs_are_listed_with_hostile_text_escaped(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": "", "web2": ""}
    runs = [
        {
            "run": RUN,
            "outcome": "rolled_back",
            "reason": "not confirmed\x1b[2J within 180 s",
            "who": "me@here",
            "started": 1764043200,
            "paths": [f"/etc/{number}" for number in range(7)],
        },
        {"run": "older", "outcome": "unknown", "paths": []},
    ]
    fleet.rollback = lambda host: {"outcome": "unchanged", "msg": "", "runs": runs if host == "web1" else []}
    result = hardener("rollback", "-i", "inv,", "--list")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"web1  {RUN}  2025-11-25T04:00:00Z  rolled_back  by me@here",
        r"    not confirmed\x1b[2J within 180 s",
        "    /etc/0, /etc/1, /etc/2, /etc/3, /etc/4, and 2 more",
        "web1  older  -  unknown",
        "web2: no runs",
    ]
    assert fleet.runs[0][1]["variables"]["rollback_list"] is True


def test_the_options_run_and_list_cannot_be_combined(hardener: Hardener, fleet: FakeFleet) -> None:
    result = hardener("rollback", "-i", "inv,", "--list", "--run", RUN)
    assert result.exit_code == 2
    assert fleet.runs == []


def test_hosts_are_rolled_back_in_batches(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": "", "clean": "", "web2": "", "web3": "", "web4": ""}
    standing = {"web1", "web2", "web3", "web4"}

    def rollback(host: str) -> dict[str, object]:
        if fleet.runs[-1][1]["check"]:
            return {"outcome": "would_change" if host in standing else "unchanged", "msg": "back"}
        standing.discard(host)
        return {"outcome": "changed", "msg": "back"}

    fleet.rollback = rollback
    result = hardener("rollback", "-i", "inv,", "--canary", "1", "--batch", "2")
    assert result.exit_code == 0
    assert not standing
    changed = [
        hosts for (_, options), hosts in zip(fleet.runs, fleet.reached, strict=True) if not options["check"]
    ]
    assert changed == [["web1"], ["web2", "web3"], ["web4"]]


def test_a_canary_that_cannot_be_rolled_back_ends_the_run(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": "", "never": "", "web2": ""}

    def rollback(host: str) -> dict[str, object]:
        if host == "never":
            return {
                "outcome": "refused",
                "failed": True,
                "msg": "hardener has not changed this host, or was released from it",
            }
        if fleet.runs[-1][1]["check"]:
            return {"outcome": "would_change", "msg": "back"}
        return {"outcome": "rollback_failed", "failed": True, "msg": "not whole"}

    fleet.rollback = rollback
    result = hardener("rollback", "-i", "inv,", "--canary", "1")
    assert result.exit_code == 8
    assert "not begun: web2: 1 failed where --max-fail allows 0 (web1: not whole)\n" in result.stderr
    assert hardener("rollback", "-i", "inv,", "--list", "--canary", "1").exit_code == 2
