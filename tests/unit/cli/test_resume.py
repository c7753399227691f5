from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from hardener.fleet.inventory_cli import Members
from hardener.history.home import Home
from hardener.history.journal import unfinished_runs
from hardener.snapshot import Snapshot
from hardener.text import utc
from tests.unit.cli.bridges import DIGEST, ONLY, answer, bridge, changing
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.snapshots import make, no_engine

Hardener = Callable[..., Result]


@pytest.fixture(autouse=True)
def listed(fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ansible lists the hosts that the fleet has."""
    monkeypatch.setattr(
        "hardener.workflows.resume.members", lambda inventory: Members(frozenset(fleet.snapshots), {})
    )


def failing(*hosts: str, fleet: FakeFleet) -> Callable[[str], dict[str, Any]]:
    """A transaction that is rolled back on some hosts."""
    repair = changing(fleet)
    broken = {"outcome": "rolled_back", "failed": True, "msg": "rolled back: no start"}
    return lambda host: broken if host in hosts else repair(host)


def hardened(fleet: FakeFleet) -> list[str]:
    """The hosts of all plans since the last look, in their order."""
    found = [
        host
        for playbook, options in fleet.runs
        if playbook == "harden"
        for host in options["variables"]["harden_plan"]
    ]
    fleet.runs.clear()
    return found


def test_a_run_stopped_by_a_canary_is_resumed(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    fleet.snapshots = {f"web{number}": bridge(icc=True) for number in range(1, 5)}
    fleet.converge = failing("web2", fleet=fleet)
    result = hardener("harden", "-i", "inv,", *ONLY, "--canary", "2", "--batch", "1")
    assert result.exit_code == 5
    assert hardened(fleet) == ["web1", "web2"]
    (left,) = unfinished_runs(Home(home))
    assert (left.left, list(left.confirmed)) == (("web2", "web3", "web4"), ["web1"])
    assert f"unfinished: `hardener resume {left.run[:8]}` continues this run\n" in result.stderr
    listed = hardener("resume")
    assert listed.stdout.startswith(f"{left.run}  {utc(datetime.fromtimestamp(left.started, UTC))}  ")
    assert "  3 of 4 hosts left  harden -i inv, --only daemon-icc-disabled --canary 2" in listed.stdout

    fleet.snapshots["web1"] = bridge(icc=True)  # it has drifted: that is not this run's
    result = hardener("resume", left.run[:8])
    assert "rolled back: web2\n" in result.stderr
    assert "untouched: web3, web4\n" in result.stderr
    assert "confirmed: web1\n" in result.stderr
    assert hardened(fleet) == ["web2", "web3"], "the first two are canaries again, and one breaks again"
    fleet.converge = failing("web4", fleet=fleet)
    result = hardener("resume", "latest", "--max-fail", "1", "--accept-loss", "shop")
    assert hardened(fleet) == ["web2", "web4"]
    assert result.exit_code == 5
    fleet.converge = changing(fleet)
    accepting = hardener("resume", "latest", "--accept-loss=db")
    assert accepting.exit_code == 3, "web1 fails since it has drifted"
    (asked,) = (options["variables"] for playbook, options in fleet.runs if playbook == "harden")
    assert asked["converge_accept_losses"] == ["shop", "db"], "also what an earlier attempt has accepted"
    assert hardened(fleet) == ["web4"]
    assert list(unfinished_runs(Home(home))) == []
    result = hardener("resume", "latest")
    assert (result.exit_code, "there is no unfinished run" in result.stderr) == (2, True)


def killed(host: str) -> dict[str, Any]:
    """The process ends in the middle of a transaction."""
    raise KeyboardInterrupt


RUN = {"run": "20261127T000000Z-aaaaaa", "reason": "", "who": "", "armed": False}


def runs(*some: dict[str, Any], unfinished: dict[str, str] | None = None) -> Snapshot:
    """A host that fails the control, and that had these runs."""
    raw = json.loads(json.dumps(bridge(icc=True).raw))
    known = {"runs": list(some), "unfinished": unfinished}
    return make(**{"docker.networks": raw["sources"]["docker.networks"]["data"], "hardener.runs": known})


def test_hosts_without_a_recorded_result_are_inspected_first(
    hardener: Hardener, fleet: FakeFleet, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hardener.workflows.resume._PAUSE_S", 0.0)
    names = ["kept", "back", "never", "waits", "gone"]
    fleet.snapshots = {name: bridge(icc=True) for name in names}

    fleet.converge = killed
    assert hardener("harden", "-i", "inv,", *ONLY).exit_code == 130
    (left,) = unfinished_runs(Home(home))
    assert left.unknown == tuple(names)
    done = {**RUN, "number": left.number}
    fleet.snapshots |= {
        "kept": runs({**done, "outcome": "changed"}),
        "back": runs({**done, "outcome": "rolled_back"}),
        "never": runs({**done, "number": left.number - 1, "outcome": "changed"}),
        "waits": runs(unfinished={"run": "x", "phase": "unconfirmed", "who": ""}),
        "gone": "Connection refused",
    }
    looks = iter(range(10))
    reached = fleet.run

    def run(self: FakeFleet, playbook: str, **options: Any) -> Any:
        if next(looks) == 1:
            self.snapshots["waits"] = runs({**done, "outcome": "rolled_back"})
        return reached.__func__(self, playbook, **options)  # type: ignore[attr-defined]

    monkeypatch.setattr(FakeFleet, "run", run)
    fleet.converge = changing(fleet)
    fleet.runs.clear()
    fleet.reached.clear()
    result = hardener("resume", "latest")
    for said in ("confirmed: kept\n", "rolled back: back, waits\n", "untouched: never\n"):
        assert said in result.stderr
    assert "cannot be reached: gone\n" in result.stderr
    assert fleet.reached[:2] == [names, ["waits"]]
    assert hardened(fleet) == ["back", "never", "waits"]


def test_hosts_lost_during_a_change_are_inspected_before_another_change(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    """Such a host may have confirmed its change, or may still be making it."""
    fleet.snapshots = {name: bridge(icc=True) for name in ("kept", "never", "gone")}
    fleet.converge = lambda host: {"outcome": "unknown", "failed": True, "msg": "lost with its slice"}
    assert hardener("harden", "-i", "inv,", *ONLY).exit_code == 9
    (left,) = unfinished_runs(Home(home))
    assert (left.unknown, left.unconfirmed) == ((), ("kept", "never", "gone"))
    fleet.snapshots |= {
        "kept": runs({**RUN, "number": left.number, "outcome": "changed"}),
        "never": runs(),
        "gone": "Connection refused",
    }
    fleet.converge = changing(fleet)
    fleet.runs.clear()
    result = hardener("resume", "latest")
    for said in ("confirmed: kept\n", "untouched: never\n", "cannot be reached: gone\n"):
        assert said in result.stderr
    assert hardened(fleet) == ["kept", "never"], "what still fails on a host that has failed is done again"


def test_a_run_is_resumed_without_a_host_that_was_removed_from_the_inventory(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    """Its failure had ended the run; Ansible would refuse to ask for a host that it does not know."""
    fleet.snapshots = {name: bridge(icc=True) for name in ("broken", "never")}
    fleet.converge = failing("broken", fleet=fleet)
    assert hardener("harden", "-i", "inv,", *ONLY, "--canary", "1").exit_code == 5
    del fleet.snapshots["broken"]
    fleet.converge = changing(fleet)
    fleet.runs.clear()
    fleet.reached.clear()
    result = hardener("resume", "latest")
    assert "no longer in the inventory: broken\n" in result.stderr
    assert (result.exit_code, hardened(fleet)) == (0, ["never"])
    assert all(fleet.reached), "a playbook was started for no host"
    assert list(unfinished_runs(Home(home))) == []


@pytest.mark.parametrize("batches", [(), ("--canary", "1")])
def test_a_resumed_run_hardens_a_host_on_which_docker_was_installed(
    hardener: Hardener, fleet: FakeFleet, home: Path, batches: tuple[str, ...]
) -> None:
    """The transaction of the installation is confirmed; that says nothing of the one that hardens."""

    def install(host: str) -> dict[str, Any]:
        fleet.snapshots[host] = bridge(icc=True)
        return {"msg": "created /etc/docker/daemon.json"}

    fleet.snapshots = {"new": no_engine()}
    fleet.install, fleet.converge = install, killed
    assert hardener("provision", "-i", "inv,", *ONLY, *batches).exit_code == 130
    (left,) = unfinished_runs(Home(home))
    assert left.unknown == ("new",)
    fleet.snapshots["new"] = runs({**RUN, "number": left.number, "outcome": "changed"})
    fleet.converge = changing(fleet)
    fleet.runs.clear()
    result = hardener("resume", "latest")
    assert "confirmed: new\n" in result.stderr
    assert (hardened(fleet), result.exit_code) == (["new"], 0)
    assert list(unfinished_runs(Home(home))) == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"msg": "no such package", "failed": True}, 9),
        ({"msg": "x", "failed": True, "outcome": "not_begun", "reason": "outside its windows"}, 8),
    ],
)
def test_a_host_without_docker_is_left_to_the_resumed_run(
    hardener: Hardener, fleet: FakeFleet, home: Path, answer: dict[str, Any], code: int
) -> None:
    fleet.snapshots = {"new": no_engine(), "old": bridge(icc=True)}
    fleet.install, fleet.converge = lambda host: answer, changing(fleet)
    assert hardener("provision", "-i", "inv,", *ONLY).exit_code == code
    (left,) = unfinished_runs(Home(home))
    assert (left.left, sorted(left.confirmed)) == (("new",), ["old"])


def test_a_resumed_plan_excludes_confirmed_hosts(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    fleet.snapshots = {"web1": bridge(icc=True), "web2": bridge(icc=True)}
    fleet.converge = lambda host: {"outcome": "would_change", **answer("change")}
    plan = tmp_path / "plan.json"
    hardener("plan", "-i", "inv,", *ONLY, "--json", str(plan))
    fleet.converge = failing("web2", fleet=fleet)
    assert hardener("harden", "-i", "inv,", *ONLY, "--plan", str(plan)).exit_code == 5
    fleet.converge = changing(fleet)
    fleet.runs.clear()
    result = hardener("resume", "latest")
    reviewed = [each["variables"]["harden_reviewed"] for playbook, each in fleet.runs if playbook == "harden"]
    assert (result.exit_code, reviewed) == (0, [{"web2": {"digest": DIGEST, "allow": "daemon-restart"}}])


def test_a_successful_run_leaves_no_journal(hardener: Hardener, fleet: FakeFleet, home: Path) -> None:
    fleet.snapshots = {"web1": bridge(icc=True)}
    fleet.converge = changing(fleet)
    assert hardener("harden", "-i", "inv,", *ONLY).exit_code == 0
    assert list(unfinished_runs(Home(home))) == []
    assert hardener("resume").stdout == ""


def test_the_journal_is_on_disk_before_any_host_is_changed(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    seen = []

    def look(host: str) -> dict[str, Any]:
        (run,) = unfinished_runs(Home(home))
        seen.append((run.at_work, run.hosts, run.unknown, run.arguments))
        return changing(fleet)(host)

    fleet.snapshots = {"web1": bridge(icc=True), "web2": bridge(icc=True)}
    fleet.converge = look
    arguments = ("harden", "-i", "inv,", *ONLY, "--batch", "1")
    assert hardener(*arguments).exit_code == 0
    every = ("web1", "web2")
    assert seen == [(True, every, ("web1",), arguments), (True, every, ("web2",), arguments)]


def test_a_run_with_an_unwritable_history_succeeds_with_a_warning(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    home.mkdir(parents=True)
    (home / "changes").write_text("no folder")
    fleet.snapshots = {"web1": bridge(icc=True)}
    fleet.converge = changing(fleet)
    result = hardener("harden", "-i", "inv,", *ONLY)
    assert result.exit_code == 0
    assert "warning: this run cannot be resumed: the history in" in result.stderr
