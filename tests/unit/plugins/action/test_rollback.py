from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from tests.unit.plugins.action.answering import Clock, Host
from tests.unit.plugins.loading import action

RUN = "20261125T040000Z-1b2c3d4e"
KEPT = "/etc/docker/daemon.json was changed by others meanwhile, and stays as it is"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"outcome": "changed", "runs": [RUN]}, f"restored to the state before run {RUN}"),
        ({"outcome": "changed", "runs": ["later", RUN]}, f"restored to the state before run {RUN} (2 runs)"),
        (
            {"outcome": "partly_rolled_back", "failed": True, "runs": [RUN], "kept": [KEPT], "reason": "x"},
            f"restored to the state before run {RUN}, except what was changed on the host meanwhile ({KEPT})",
        ),
        (
            {"outcome": "rollback_failed", "failed": True, "runs": [RUN], "problems": ["a"], "reason": "why"},
            "why: a",
        ),
        ({"outcome": "refused", "failed": True, "reason": "why"}, "nothing was changed: why"),
        ({"outcome": "unchanged", "runs": []}, "there is no run to roll back"),
    ],
)
def test_the_outcome_is_summarised_in_one_line(result: dict[str, Any], said: str) -> None:
    assert action("rollback")._summary(result, listing=False) == said


LOST = AnsibleConnectionFailure("Failed to connect to the host via ssh: Timeout, server h not responding.")
REFUSED = AnsibleConnectionFailure("Failed to connect to the host via ssh: ssh: connect to host h port 22: x")
WOULD = {"outcome": "would_change", "changed": True, "runs": ["b", "a"], "changes": [], "notes": [KEPT]}


def recorded(**outcomes: str) -> dict[str, Any]:
    return {"outcome": "unchanged", "runs": [{"run": run, "outcome": each} for run, each in outcomes.items()]}


def rolled_back(host: Host) -> dict[str, Any]:
    found: dict[str, Any] = host.made("rollback")._rolled_back({"run": "", "who": "me"}, task_vars={})
    return found


def test_a_host_rolls_back_the_runs_that_it_has_named(clock: Clock) -> None:
    host = Host(clock, WOULD, {"outcome": "changed", "runs": ["b", "a"]})
    assert rolled_back(host)["outcome"] == "changed"
    (_, predicted), (_, asked) = host.asked
    assert (predicted["check"], asked["check"], asked["runs"]) == (True, False, ["b", "a"])


@pytest.mark.parametrize("outcome", ["unchanged", "refused"])
def test_a_host_with_nothing_to_roll_back_is_asked_once(clock: Clock, outcome: str) -> None:
    host = Host(clock, {"outcome": outcome, "runs": []})
    assert rolled_back(host)["outcome"] == outcome
    assert len(host.asked) == 1


@pytest.mark.parametrize(
    ("outcomes", "outcome", "said"),
    [
        (("rolled_back", "rolled_back"), "changed", "restored to the state before run a (2 runs)"),
        (("rolled_back", "partly_rolled_back"), "partly_rolled_back", f"meanwhile ({KEPT})"),
        (("rolled_back", "changed"), "rollback_failed", "the rollback is incomplete: run a: changed"),
        (("interrupted", "changed"), "rollback_failed", "incomplete: run b: interrupted; run a: changed"),
    ],
)
def test_after_a_lost_connection_the_outcome_of_a_rollback_is_read_from_the_hosts_records(
    clock: Clock, outcomes: tuple[str, str], outcome: str, said: str
) -> None:
    after = recorded(c="changed", b=outcomes[0], a=outcomes[1])
    host = Host(clock, WOULD, LOST, REFUSED, {"outcome": "working"}, {"outcome": "unknown"}, after)
    found = rolled_back(host)
    assert (found["outcome"], bool(found.get("failed"))) == (outcome, outcome != "changed")
    assert said in action("rollback")._summary(found, listing=False)
    assert [entry.partition(":")[2] for entry, _ in host.asked] == [
        *["rollback"] * 2,
        *["confirm"] * 3,
        "rollback",
    ]
    assert host.asked[1][1]["token"] == host.asked[2][1]["token"]


@pytest.mark.parametrize(
    "answers",
    [
        [{"outcome": "unknown"}, recorded(b="changed", a="changed")],
        [{"outcome": "unknown"}, recorded()],
        [LOST],
    ],
)
def test_a_rollback_that_cannot_begin_any_more_is_a_failure(clock: Clock, answers: list[Any]) -> None:
    with pytest.raises(AnsibleConnectionFailure, match="not responding"):
        rolled_back(Host(clock, WOULD, LOST, *answers))
