"""What the commands do with the variables that an inventory sets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from hardener import catalogue
from hardener.history import AssessmentStore
from hardener.model import Assessment, Finding, Status, Verdict
from hardener.snapshot import Snapshot
from hardener.workflows.options import Selection
from hardener.workflows.remediate import planned
from tests.unit.cli.bridges import DIGEST
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import DRIFT, audited, host
from tests.unit.snapshots import make

Hardener = Callable[..., Result]


def answer(state: str, wish: str, *, check: bool, **more: Any) -> dict[str, Any]:
    """The answer of a host that is asked for one wish."""
    document = {
        "name": "firewall_inbound",
        "state": state,
        "impact": "none",
        "reason": "",
        "paths": ["/etc/hardener/firewall/inbound.ipv4"] if state == "change" else [],
        "wish": wish,
        "variables": ["firewall_allow"],
        **more,
    }
    changes = [{"path": path, "what": "write", "documents": []} for path in document["paths"]]
    outcome = ("would_change" if check else "changed") if changes else "unchanged"
    return {
        "outcome": outcome,
        "changed": bool(changes),
        "documents": [document],
        "changes": changes,
        "plan": DIGEST,
        "allow": "daemon-restart",
        "msg": "",
    }


def asked(fleet: FakeFleet, *answers: tuple[str, str]) -> None:
    """Let the host answer the runs in turn; the last answer stays."""
    left = list(answers)

    def converge(_host: str) -> dict[str, Any]:
        given = left.pop(0) if len(left) > 1 else left[0]
        return answer(*given, check=bool(fleet.runs[-1][1].get("check")))

    fleet.converge = converge


@pytest.fixture
def web(fleet: FakeFleet) -> FakeFleet:
    unread = Snapshot({**make().raw, "sources": {}})  # no control fails
    fleet.snapshots = {"web1": unread, "web2": unread}
    fleet.wishes = {"web1": ["firewall"]}
    return fleet


def runs(fleet: FakeFleet) -> list[tuple[str, bool]]:
    return [(playbook, bool(options.get("check"))) for playbook, options in fleet.runs]


def test_a_wish_is_applied_where_no_control_fails(hardener: Hardener, web: FakeFleet) -> None:
    asked(web, ("change", "new"), ("change", "new"))
    result = hardener("harden", "-i", "inv,", "--fail-on", "critical")
    assert runs(web) == [("audit", False), ("harden", True), ("harden", False), ("audit", False)]
    variables = web.runs[2][1]["variables"]
    assert variables["harden_plan"]["web1"]["firewall"] == []
    assert variables["converge_wishes"]["inventory"] == "/srv/hosts.yml"
    assert not variables["converge_wishes"]["if_applied"]
    assert variables["converge_wishes"]["roles"] == {"web1": ("firewall",)}
    assert "firewall (set by the inventory)" in result.stderr


@pytest.mark.parametrize(("wish", "again"), [("applied", False), ("new", True)])
def test_a_host_that_has_its_wishes_is_only_asked_until_it_remembers_them(
    hardener: Hardener, web: FakeFleet, wish: str, *, again: bool
) -> None:
    asked(web, ("unchanged", wish))
    hardener("harden", "-i", "inv,")
    assert (("harden", False) in runs(web)) is again
    assert web.runs[1][1]["variables"]["harden_plan"].keys() == {"web1"}


def test_hosts_without_wishes_are_not_asked(hardener: Hardener, web: FakeFleet) -> None:
    web.wishes = {}
    hardener("harden", "-i", "inv,")
    assert runs(web) == [("audit", False)]


def test_a_run_for_some_controls_applies_no_wishes(hardener: Hardener, web: FakeFleet) -> None:
    hardener("harden", "-i", "inv,", "--only", "daemon-icc-disabled")
    assert runs(web) == [("audit", False)]
    assert web.runs[0][1]["variables"].get("collect_wishes") is None


def test_accepted_controls_are_not_guarded(hardener: Hardener, web: FakeFleet) -> None:
    asked(web, ("unchanged", "new"))
    guarded = []
    for options in ((), ("--accept-weaker", "daemon-icc-disabled")):
        web.runs.clear()
        hardener("harden", "-i", "inv,", *options)
        guarded.append(web.runs[1][1]["variables"]["converge_wishes"]["guarded"]["web1"])
    assert guarded[0].keys() - guarded[1].keys() == {"docker_daemon_icc"}
    assert guarded[0]["docker_daemon_icc"]["reason"] == (
        "it weakens 2.2: --accept-weaker daemon-icc-disabled applies it"
    )
    for wrong in ("no-such-control", "wishes", "activity"):
        assert hardener("harden", "-i", "inv,", "--accept-weaker", wrong).exit_code == 2


def test_a_plan_shows_wishes_and_is_applied_with_them(
    hardener: Hardener, web: FakeFleet, tmp_path: Path
) -> None:
    asked(web, ("change", "new"))
    file = tmp_path / "plan.json"
    shown = hardener("plan", "-i", "inv,", "--json", str(file))
    assert "Set by the inventory (1)" in shown.stdout
    assert "firewall: firewall_allow" in shown.stdout
    planned = json.loads(file.read_text())["hosts"]
    assert [each["variable"] for each in planned["web1"]["wishes"]] == ["firewall_inbound"]
    assert planned["web2"]["wishes"] == []
    web.runs.clear()
    hardener("harden", "-i", "inv,", "--plan", str(file))
    variables = web.runs[1][1]["variables"]
    assert variables["harden_plan"] == {"web1": {"firewall": ["firewall_inbound"]}}
    assert variables["converge_wishes"]["reviewed"]


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (("change", "applied"), 6, "a: drifted from the inventory: firewall_allow"),
        (("change", "changed"), 0, "a: not applied yet: firewall_allow: `hardener plan` shows it"),
        (("change", "new"), 0, "a: not applied yet: firewall_allow"),
        (("unchanged", "applied"), 0, ""),
    ],
)
def test_drift_reports_a_host_that_left_an_applied_wish(
    hardener: Hardener, fleet: FakeFleet, given: tuple[str, str], code: int, said: str
) -> None:
    audited(hardener, fleet, {"a": host()})
    fleet.wishes = {"a": ["firewall"]}
    asked(fleet, given)
    result = hardener(*DRIFT)
    assert result.exit_code == code
    assert said in result.stderr


def test_a_host_that_left_an_applied_wish_is_notified(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    audited(hardener, fleet, {"a": host()})
    fleet.wishes = {"a": ["firewall"]}
    asked(fleet, ("change", "applied"))
    told = tmp_path / "told.json"
    assert hardener(*DRIFT, "--notify-command", f"tee {told}").exit_code == 6
    assert json.loads(told.read_text())["wishes"] == {"a": ["firewall_allow"]}


def test_a_repair_applies_only_wishes_that_were_applied(hardener: Hardener, fleet: FakeFleet) -> None:
    audited(hardener, fleet, {"a": host()})
    fleet.wishes = {"a": ["firewall"]}
    asked(fleet, ("change", "applied"), ("change", "applied"), ("unchanged", "applied"))
    fleet.runs.clear()
    assert hardener(*DRIFT, "--remediate").exit_code == 7
    assert runs(fleet) == [
        ("audit", False),
        ("harden", True),
        ("harden", False),
        ("audit", False),
        ("harden", True),
    ]
    hardening = [options for playbook, options in fleet.runs if playbook == "harden"]
    modes = [options["variables"]["converge_wishes"]["if_applied"] for options in hardening]
    assert modes == [False, True, False]


@pytest.mark.parametrize(
    ("only", "roles", "steps"),
    [
        ((), ["docker_daemon", "firewall"], ["docker_daemon_icc"]),
        (("2",), [], ["docker_daemon_icc"]),
        (("firewall",), ["firewall"], []),
        (("docker_daemon",), ["docker_daemon"], ["docker_daemon_icc"]),
        (("wishes",), ["docker_daemon", "firewall"], []),
        (("wishes", "daemon-icc-disabled"), ["docker_daemon", "firewall"], ["docker_daemon_icc"]),
        (("activity",), [], []),
    ],
)
def test_roles_and_wishes_are_selected(only: tuple[str, ...], roles: list[str], steps: list[str]) -> None:
    selection = Selection(benchmark="cis-docker-1.8.0", level=2, only=only)
    control = catalogue.find("daemon-icc-disabled", "cis-docker-1.8.0")
    judged = control in selection.controls()
    findings = (Finding(control, Verdict(Status.FAIL, "", "")),) if judged else ()
    assessments = AssessmentStore()
    assessments.add(Assessment("a", "cis-docker-1.8.0", "", findings))
    assessments.wishes = {"a": ("docker_daemon", "firewall")} if selection.has_wishes else {}
    made = planned(assessments, selection, ())["a"]
    assert list(made.wishes) == roles
    assert [step.variable for step in made.steps] == steps
