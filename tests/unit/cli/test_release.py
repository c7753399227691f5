from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from tests.unit.cli.fake_fleet import FakeFleet

Hardener = Callable[..., Result]
KEPT = "/etc/docker/daemon.json: icc was changed by others meanwhile, and stays so"
LEFT = "auditd stays installed, even if hardener installed it: remove it if nothing else needs it"


def test_every_host_is_released_and_remaining_changes_are_reported(
    hardener: Hardener, fleet: FakeFleet
) -> None:
    fleet.snapshots = {"web1": "", "web2": ""}
    fleet.release = lambda host: {
        "outcome": "changed",
        "msg": "the host is restored",
        "left": [LEFT] * (host == "web2"),
        "kept": [],
    }
    result = hardener("release", "-i", "inv,", "--limit", "web*")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "web1: the host is restored\n" in result.stderr
    assert f"web2: {LEFT}\n" in result.stderr
    ((playbook, options),) = fleet.runs
    assert (playbook, options["check"]) == ("release", False)
    assert options["variables"] == {"release_role": "", "release_even_unsafe": False}


def test_the_options_check_and_diff_show_the_changes_of_a_release(
    hardener: Hardener, fleet: FakeFleet
) -> None:
    diff = [{"path": "/etc/x", "prepared": "--- before\n+++ after\n-new\n+old\n"}]
    fleet.snapshots = {"web1": ""}
    fleet.release = lambda _: {
        "outcome": "would_change",
        "msg": "the host is to be restored",
        "diff": diff,
        "kept": [KEPT],
    }
    result = hardener("release", "-i", "inv,", "--role", "firewall", "--check", "--diff")
    assert result.exit_code == 0
    assert f"web1: the host is to be restored\nweb1: {KEPT}\n" in result.stderr
    assert result.stdout == "web1: /etc/x\n--- before\n+++ after\n-new\n+old\n"
    assert fleet.runs[0][1]["variables"] == {"release_role": "firewall", "release_even_unsafe": False}
    assert (fleet.runs[0][1]["check"], fleet.runs[0][1]["diff"]) == (True, True)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"outcome": "changed", "failed": True, "kept": [KEPT]}, 9),
        ({"outcome": "refused", "failed": True}, 9),
        ({"outcome": "rolled_back", "failed": True}, 5),
        ({"outcome": "unconfirmed", "failed": True}, 5),
        ({"outcome": "unchanged"}, 0),
    ],
)
def test_the_exit_code_follows_the_results_of_hosts(
    hardener: Hardener, fleet: FakeFleet, answer: dict[str, Any], code: int
) -> None:
    fleet.snapshots = {"web1": "", "web2": ""}
    fine = {"outcome": "changed", "msg": "the host is restored"}
    fleet.release = lambda host: {**answer, "msg": f"why {KEPT}"} if host == "web1" else fine
    result = hardener("release", "-i", "inv,")
    assert result.exit_code == code
    assert KEPT in result.stderr


def test_a_rolled_back_release_of_a_canary_ends_the_run(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": "", "web2": ""}

    def release(host: str) -> dict[str, object]:
        if fleet.runs[-1][1]["check"]:
            return {"outcome": "would_change", "msg": "to be restored"}
        return {"outcome": "rolled_back", "failed": True, "msg": "no start"}

    fleet.release = release
    result = hardener("release", "-i", "inv,", "--canary", "1")
    assert result.exit_code == 5
    assert "not begun: web2: 1 failed where --max-fail allows 0 (web1: no start)\n" in result.stderr
    assert [options["check"] for _, options in fleet.runs] == [True, False, True]


def test_an_unknown_role_is_a_usage_error(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"a": ""}
    result = hardener("release", "-i", "inv,", "--role", "firwall")
    assert (result.exit_code, fleet.runs) == (2, [])
    assert "there is no role firwall; the roles are activity, " in result.stderr
