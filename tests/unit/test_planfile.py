from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hardener import catalogue, planfile
from hardener.errors import HardenerError
from hardener.model import Assessment, Finding, Impact, Status, Verdict
from hardener.plan import ActivationResult, DocumentResult, TransactionResult, outlook, plan

BENCHMARK = catalogue.DEFAULT_BENCHMARK
NOW = datetime(2026, 11, 25, tzinfo=UTC)


DIGEST = "0123456789abcdef" * 4


def dumped(host: str = "web1") -> str:
    controls = catalogue.load(BENCHMARK)
    findings = tuple(Finding(each, Verdict(Status.FAIL, "so", "otherwise")) for each in controls)
    planned = plan(Assessment(host, BENCHMARK, "", findings))
    documents = [
        DocumentResult(
            name=step.variable,
            state="change" if step.role == "docker_files" else "held",
            impact=Impact.NONE,
            reason="\x1b[2J",
            paths=("/etc/x",),
        )
        for step in planned.steps
    ]
    activations = (ActivationResult(name="docker", action="restart docker", why=("x",), stops=()),)
    result = outlook(
        planned,
        TransactionResult(documents=tuple(documents), activations=activations, digest=DIGEST, allow="reload"),
    )
    return planfile.dump([result], BENCHMARK, created=NOW)


def test_a_written_plan_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(dumped())
    ((host, reviewed),) = planfile.load(path).reviewed.items()
    assert (host, reviewed.allow, reviewed.digest) == ("web1", Impact.RELOAD, DIGEST)
    assert reviewed.variables == {"docker_files": ["docker_files_enforce"]}


def test_a_plan_has_every_failing_control() -> None:
    controls = json.loads(dumped())["hosts"]["web1"]["controls"]
    assert len(controls) == len(catalogue.load(BENCHMARK))
    assert {each["fate"] for each in controls} == {"change", "held", "no-role"}


def test_an_activation_in_a_plan_has_only_the_fields_that_the_host_gave() -> None:
    (activation,) = json.loads(dumped())["hosts"]["web1"]["activations"]
    assert activation == {"name": "docker", "action": "restart docker", "why": ["x"], "stops": []}


def test_the_file_is_deterministic_and_escaped() -> None:
    assert "\x1b" not in dumped()
    assert dumped() == dumped()
    assert dumped().isascii()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a plan"),
        ('{"schema": "hardener/assessment/1"}', "is not a plan"),
        ('{"schema": "hardener/plan/1"}', "is not a plan"),
        ('{"schema": "hardener/plan/1", "hosts": []}', "is not a plan"),
        ("[" * 100_000, "is not JSON"),
        ("[" + "{}," * 11_000_000 + "{}]", "more than 10000000 values"),
    ],
)
def test_an_invalid_plan_is_refused_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(HardenerError, match=reason):
        planfile.load(path)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('"allow": "reload"', '"allow": "all"'),
        ('"allow": "reload"', '"allow": ["reload"]'),
        (DIGEST, ""),  # it would let any plan be applied
        (DIGEST, "{{ lookup('pipe', 'id') }}"),
        ('"role": "docker_files"', '"role": "../../tmp/docker_files"'),
        ('"variable": "docker_files_', '"variable": "{{ x }}_'),
        ('"controls": [', '"controls": [{}, '),
        ('"controls": [', '"more": ['),
    ],
)
def test_a_damaged_entry_affects_only_its_host(tmp_path: Path, good: str, bad: str) -> None:
    path = tmp_path / "plan.json"
    plans = json.loads(dumped("web1"))
    assert good in dumped("web2")
    plans["hosts"] |= json.loads(dumped("web2").replace(good, bad))["hosts"]
    path.write_text(json.dumps(plans))
    found = planfile.load(path)
    assert (list(found.reviewed), list(found.damaged)) == (["web1"], ["web2"])
    assert len(found.damaged["web2"]) < 400


def test_a_missing_plan_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HardenerError, match="No such file"):
        planfile.load(tmp_path / "plan.json")
