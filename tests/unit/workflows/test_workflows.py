from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from hardener.catalogue import DEFAULT_BENCHMARK
from hardener.comparison import ChangeKind
from hardener.errors import ExitCode
from hardener.fleet import Fleet
from hardener.fleet.answers import Collected
from hardener.model import AppliedWish, Status
from hardener.workflows.audit import AuditRequest, _Judge, audit
from hardener.workflows.change import ChangeRequest
from hardener.workflows.drift import DriftRequest, drift
from hardener.workflows.harden import harden
from hardener.workflows.options import Changes, DecisionFiles, ReportFiles, Selection, Target
from hardener.workflows.report import run_info
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import host

SELECTION = Selection(benchmark=DEFAULT_BENCHMARK, level=2, only=("file-daemon-json-mode",))
CHANGES = Changes(allow=None, confirm_timeout=None, check=False, diff=False, snapshots=None)


class Notes:
    """A listener, and the watcher of all its phases: notes by name what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @contextmanager
    def phase(self, label: str) -> Iterator[Any]:
        self.told.append(f"begin {label}")
        yield self
        self.told.append(f"end {label}")

    def event(self, event: object) -> None:
        """Progress is not noted."""

    def expect(self, seconds: float) -> None:
        """Estimates are not noted."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: self.told.append(name)


@pytest.fixture
def hosts() -> FakeFleet:
    """A host whose daemon.json anyone can change, until it is hardened."""

    def converge(name: str) -> dict[str, Any]:
        fake.snapshots[name] = host()
        return {"outcome": "changed", "changed": True, "msg": "changed /etc/docker/daemon.json"}

    fake = FakeFleet({"db01": host("0666")}, converge=converge)
    return fake


@pytest.fixture
def target(hosts: FakeFleet, tmp_path: Path) -> Target:
    return Target(reach=lambda: cast(Fleet, hosts), inventory="inv,", limit="", home=tmp_path / "home")


@pytest.fixture(autouse=True)
def silence(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No workflow prints anything."""
    yield
    assert capfd.readouterr() == ("", "")


def test_an_audit_returns_its_result(target: Target, tmp_path: Path) -> None:
    notes: Any = Notes()
    files = ReportFiles(json=tmp_path / "report.json")
    request = AuditRequest(target=target, selection=SELECTION, decided=DecisionFiles(), files=files)
    result = audit(request, notes)
    assert (result.exit_code, result.summary.counts) == (ExitCode.NOT_COMPLIANT, {Status.FAIL: 1})
    assert (tmp_path / "report.json").read_text().count(result.run.run_id) == 1
    assert notes.told == ["begin audit", "prepare", "end audit", "audited"]


def test_hardening_returns_its_result(target: Target) -> None:
    notes: Any = Notes()
    request = ChangeRequest(
        target=target, selection=SELECTION, decided=DecisionFiles(), changes=CHANGES, files=ReportFiles()
    )
    result = harden(request, notes)
    assert result.comparison
    assert (result.exit_code, result.comparison.kinds) == (ExitCode.COMPLIANT, {ChangeKind.FIXED: 1})
    assert notes.told == [
        *("begin audit", "prepare", "end audit", "withheld", "planned"),
        *("begin harden", "changed", "end harden", "remaining"),
        *("begin audit again", "prepare", "end audit again", "changes_reported"),
    ]


def test_a_repair_of_drift_returns_its_result(target: Target, hosts: FakeFleet) -> None:
    drifted, hosts.snapshots["db01"] = hosts.snapshots["db01"], host()
    every = Selection(benchmark=DEFAULT_BENCHMARK, level=2, only=())
    request = AuditRequest(target=target, selection=every, decided=DecisionFiles(), files=ReportFiles())
    before = audit(request, cast(Any, Notes()))
    hosts.snapshots["db01"] = drifted
    notes: Any = Notes()
    result = drift(
        DriftRequest(
            target=target,
            against="",
            decided=DecisionFiles(),
            changes=CHANGES,
            files=ReportFiles(),
            repair=True,
        ),
        notes,
    )
    assert result.before.id == before.run.run_id
    assert result.exit_code is ExitCode.REPAIRED
    assert result.found
    assert result.found.drifted == {"db01": {"file-daemon-json-mode"}}
    assert result.remaining
    assert not result.remaining.is_drift
    assert notes.told == [
        *("begin audit", "prepare", "end audit", "withheld", "planned", "compared"),
        *("begin harden", "changed", "end harden", "remaining"),
        *("begin audit again", "prepare", "end audit again", "compared"),
    ]


@pytest.mark.parametrize("damaged", [{}, {"variables": None}, {"role": None, "inventory": 1}])
def test_applied_wishes_are_told_apart_by_their_inventory(damaged: dict[str, Any], tmp_path: Path) -> None:
    def wish(inventory: str) -> dict[str, Any]:
        return {"inventory": inventory, "role": "firewall", "variables": ["firewall_allow"]}

    wishes = {"firewall_inbound": wish("a.yml"), "firewall_published": wish("b.yml")}
    if damaged:
        wishes["firewall_other"] = {key: each for key, each in {**wish("b.yml"), **damaged}.items() if each}
    file = tmp_path / "web1.json"
    sources: dict[str, Any] = {"hardener.runs": {"wishes": wishes}}
    raw = host(**sources).raw
    file.write_text(json.dumps({**raw, "host": "web1"}))
    judge = _Judge(
        DEFAULT_BENCHMARK, SELECTION.controls(), None, None, keep=True, done=None, wishes_of="a.yml"
    )
    judge._one(Collected("web1", file), {})
    kept = AppliedWish("b.yml", "firewall", ("firewall_allow",))
    assert judge._wishes == {"web1": () if damaged else ("firewall",)}
    assert judge._elsewhere == {"web1": {} if damaged else {"firewall_published": kept}}


def test_a_snapshot_of_another_host_counts_as_no_answer(tmp_path: Path) -> None:
    file = tmp_path / "web1.json"
    file.write_text(json.dumps({**host().raw, "host": "web2"}))
    judge = _Judge(DEFAULT_BENCHMARK, SELECTION.controls(), None, None, keep=True, done=None, wishes_of="")
    assessment = judge._one(Collected("web1", file), {})
    assert assessment.host == "web1"
    assert assessment.unreachable == "the snapshot belongs to the host web2"


def test_a_run_does_not_end_before_it_starts_if_the_clock_is_set_back() -> None:
    started = datetime.now(UTC) + timedelta(hours=1)
    assert run_info(SELECTION, None, started=started).ended == started
