from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hypothesis import given, settings

import hardener
from hardener.comparison import ChangedFact, ContainerChange, Drift
from hardener.errors import ExitCode
from hardener.model import Assessment, Offender, Severity, Status, Verdict
from hardener.notify import Event, Target, deliver, message
from hardener.notify.message import NotDelivered
from hardener.workload.identity import Axis
from tests.unit.reports.assessments import CONTROLS, assessment, gone, hostile_text, statuses
from tests.unit.reports.schemas import validator

VALIDATE = validator(json.loads((Path(hardener.__file__).parent / "notification.schema.json").read_text()))
PASSING = statuses(*[Status.PASS] * len(CONTROLS))


def failing(actual: str = "it fails", *, offenders: int = 0) -> tuple[Verdict, ...]:
    """The first control fails, all others pass."""
    named = tuple(Offender("container", f"web{n}", actual) for n in range(offenders))
    return (Verdict(Status.FAIL, "it holds", actual, named), *PASSING[1:])


def moved(pairs: Iterable[tuple[Assessment, Assessment]], *facts: ChangedFact) -> Drift:
    drift = Drift()
    for before, after in pairs:
        drift.add(before, after, lambda _: facts)
    return drift


def told(event: Event) -> dict[str, Any]:
    """The document, as the schema has it and inert."""
    text = message(event)
    assert text.isascii()
    assert text.decode().isprintable()
    document: dict[str, Any] = json.loads(text)
    VALIDATE(document)
    return document


def test_drift_is_reported_with_the_earlier_and_current_status() -> None:
    hosts = ("a", "b")
    drift = moved(
        ((assessment(host, PASSING), assessment(host, failing(offenders=1))) for host in hosts),
        ChangedFact("files /etc/docker mode", "0755", "0777"),
    )
    drift.miss("c")
    event = Event(inventory="prod.yml", exit_code=ExitCode.DRIFTED, run="7f3a", against="6e29", found=drift)
    document = told(event)
    assert (document["event"], document["exit_code"]) == ("drift", 6)
    assert (document["run"], document["against"], document["error"]) == ("7f3a", "6e29", None)
    assert document["found"]["counts"]["broken"] == 2
    assert document["found"]["not_compared"] == [{"host": "c", "why": "was not assessed this time"}]
    (move,) = document["found"]["moved"]
    assert (move["control"], move["id"], move["kind"], move["drift"]) == (
        CONTROLS[0].slug,
        "1.1.3",
        "broken",
        True,
    )
    assert move["hosts"] == ["a", "b"]
    assert (move["before"]["status"], move["after"]["actual"]) == ("pass", "it fails")
    assert move["new"] == [{"kind": "container", "name": "web0"}]
    assert move["facts"] == [{"name": "files /etc/docker mode", "before": "0755", "after": "0777"}]
    assert document["left"] is None


def test_the_severity_of_a_verdict_overrides_that_of_its_control() -> None:
    after = (dataclasses.replace(failing()[0], severity=Severity.LOW), *PASSING[1:])
    drift = moved([(assessment("a", PASSING), assessment("a", after))])
    document = told(Event(inventory="prod.yml", exit_code=ExitCode.DRIFTED, run="", against="", found=drift))
    assert [move["severity"] for move in document["found"]["moved"]] == ["low"]


def test_changed_containers_are_reported() -> None:
    digest = Axis(name="image digest", before="sha256:aa", after="sha256:bb")
    names = tuple(f"web{number}" for number in range(150))
    drift = Drift()
    drift.add(
        assessment("a", PASSING),
        assessment("a", failing(offenders=1)),
        containers=(ContainerChange("web0", (digest,), ("web0",)), ContainerChange("", (digest,), names)),
    )
    found = told(Event(inventory="i", exit_code=ExitCode.DRIFTED, found=drift))["found"]
    shared = {"hosts": ["a"], "hosts_omitted": 0}
    axes = [{"name": "image digest", "before": "sha256:aa", "after": "sha256:bb"}]
    every, web = found["changed"]
    assert web == {**shared, "container": "web0", "axes": axes, "profiled": ["web0"], "profiled_omitted": 0}
    assert (every["container"], len(every["profiled"]), every["profiled_omitted"]) == (None, 100, 50)
    # A control that names the container now says why.
    assert found["moved"][0]["facts"] == [
        {"name": "container web0 image digest", "before": "sha256:aa", "after": "sha256:bb"}
    ]


def test_a_repair_reports_remaining_drift() -> None:
    found = moved([(assessment("a", PASSING), assessment("a", failing()))])
    left = moved([(assessment("a", PASSING), assessment("a", PASSING))])
    document = told(Event(inventory="i", exit_code=ExitCode.REPAIRED, found=found, left=left))
    assert document["event"] == "repaired"
    assert (len(document["found"]["moved"]), document["left"]["moved"]) == (1, [])


def test_hosts_that_left_their_inventory_are_named_in_bounds() -> None:
    wishes = {f"host{number}": [f"firewall_allow\n{each}" for each in range(50)] for number in range(150)}
    document = told(Event(inventory="i", exit_code=ExitCode.DRIFTED, wishes=wishes))
    assert (len(document["wishes"]), len(document["wishes"]["host0"])) == (100, 20)


def test_the_message_names_the_result_of_exit_codes_without_drift() -> None:
    drift = moved([(assessment("a", PASSING), gone("a"))])
    named = {
        code: told(Event(inventory="i", exit_code=code, found=drift))["event"]
        for code in (ExitCode.ROLLED_BACK, ExitCode.INCOMPLETE, ExitCode.INTERNAL)
    }
    assert list(named.values()) == ["rolled-back", "incomplete", "failed"]


def test_a_failed_run_is_reported_with_its_reason() -> None:
    document = told(Event(inventory="prod.yml", exit_code=ExitCode.USAGE, error="no vault\x1b password"))
    assert (document["event"], document["error"]) == ("failed", "no vault\x1b password")
    assert (document["run"], document["found"]) == (None, None)


def test_the_size_of_the_message_is_bounded() -> None:
    pairs = [
        (assessment(f"h{n}", PASSING), assessment(f"h{n}", failing(f"{n}" * 1000, offenders=50)))
        for n in range(300)
    ]
    same = [(assessment(f"s{n}", PASSING), assessment(f"s{n}", failing())) for n in range(150)]
    drift = moved(same + pairs)
    document = told(Event(inventory="i", exit_code=ExitCode.DRIFTED, found=drift))
    assert (len(document["found"]["moved"]), document["found"]["moved_omitted"]) == (200, 101)
    first, second = document["found"]["moved"][:2]
    assert (len(first["hosts"]), first["hosts_omitted"]) == (100, 50)
    assert (len(second["new"]), second["details_omitted"]) == (20, 30)
    assert len(message(Event(inventory="i", exit_code=ExitCode.DRIFTED, found=drift))) < 1_000_000


@settings(max_examples=30)
@given(hostile_text)
def test_hostile_text_is_escaped(text: str) -> None:
    verdict = Verdict(Status.FAIL, text, text, (Offender(text, text, text),))
    drift = moved(
        [(assessment(text, PASSING), assessment(text, (verdict, *PASSING[1:])))],
        ChangedFact(text, text, text),
    )
    told(Event(inventory=text, exit_code=ExitCode.DRIFTED, run=text, against=text, found=drift, error=text))


class Recorded(Target):
    def __init__(self, name: str, problem: str = "") -> None:
        self._name = name
        self.problem = problem
        self.got: list[bytes] = []

    @property
    def name(self) -> str:
        return self._name

    def send(self, message: bytes) -> None:
        if self.problem:
            raise NotDelivered(self.problem)
        self.got.append(message)


def test_a_failing_target_is_reported_in_one_line_and_the_next_one_is_notified() -> None:
    said: list[str] = []
    dead, well = Recorded("\x1b[31mmail", "no\nroute"), Recorded("chat")
    deliver([dead, well], b"{}", warn=said.append)
    assert said == ["\\x1b[31mmail was not notified: no route"]
    assert well.got == [b"{}"]
