from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from markdown_it import MarkdownIt
from markdown_it.token import Token

from hardener.model import Assessment, Status, Verdict
from hardener.reports.interface import RunInfo, write_reports
from hardener.reports.markdown import MarkdownReport
from hardener.reports.past import Past, Point
from tests.unit.reports.conftest import (
    CONTROLS,
    assessment,
    control,
    decided,
    gone,
    hostile_assessment,
    hostile_text,
    statuses,
)

Write = Callable[..., str]
READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


@pytest.fixture
def write(tmp_path: Path, run: RunInfo) -> Write:
    def report(*assessments: Assessment) -> str:
        path = tmp_path / "summary.md"
        write_reports(assessments, {path: MarkdownReport(run)})
        return path.read_text(encoding="utf-8")

    return report


def tokens(text: str) -> Iterator[Token]:
    for each in READER.parse(text):
        yield each
        yield from each.children or ()


def test_golden(write: Write, golden: Callable[[str, str], None]) -> None:
    golden("summary.md", write(assessment(), gone(), decided()))


def test_golden_of_one_host(write: Write, golden: Callable[[str, str], None]) -> None:
    golden("summary-one-host.md", write(assessment()))


@pytest.mark.parametrize(
    ("status", "headline"),
    [
        (Status.FAIL, "Not compliant: 7 findings on 1 host"),
        (Status.ERROR, "Incomplete: 7 controls not evaluated on 1 host"),
        (Status.WAIVED, "Compliant: 1 host"),
    ],
)
def test_the_headline_is_the_result(write: Write, status: Status, headline: str) -> None:
    text = write(assessment(verdicts=statuses(*[status] * len(CONTROLS))))
    assert text.startswith(f"## {headline}\n")


def test_requirements_with_a_failing_control_are_named_with_their_source(write: Write) -> None:
    assert "| CIS Controls v8 | 4.1, 4.8 | 2 | the benchmark |" in write(assessment())


def test_it_fits_into_a_comment(write: Write) -> None:
    controls = [control(f"c{n}", f"5.{n}", "runtime", title="A long title " * 6) for n in range(200)]
    fail, error = Verdict(Status.FAIL, "x", "`y" * 400), Verdict(Status.ERROR, "x", "z" * 400)
    hosts = [assessment(f"{n}" * 60, [fail, error] * 100, controls=controls) for n in range(8)]
    text = write(*hosts, *(gone("n" * 250, reason="r" * 300) for _ in range(300)))
    assert len(text) < 60_000
    assert text.count("more: see the other reports") == 3
    assert "</details>" in text


def test_what_moved_since_the_last_run(tmp_path: Path, run: RunInfo) -> None:
    def write_with_past(*hosts: Assessment, before: Assessment) -> str:
        point = Point("earlier", run.started, 1, 0, {})
        past = Past((point,), frozenset({before.host}), {before.host: before}.get)
        write_reports(hosts, {tmp_path / "moved.md": MarkdownReport(run, past)})
        return (tmp_path / "moved.md").read_text(encoding="utf-8")

    before = assessment(verdicts=statuses(Status.PASS, *[Status.FAIL] * 6))
    after = assessment(verdicts=statuses(Status.FAIL, Status.PASS, *[Status.FAIL] * 5))
    text = write_with_past(after, assessment("new"), before=before)
    assert "<summary>Since the last run: 1 newly failing, 1 fixed</summary>" in text
    assert f": {CONTROLS[0].title}: pass → fail on 1 host  \n  `{after.host}`: `it is fail`\n" in text
    assert "\nSince the last run: 0 newly failing, 0 fixed\n" in write_with_past(after, before=after)


def test_the_severe_come_first(write: Write) -> None:
    text = write(assessment())
    assert text.index("**5.5** critical") < text.index("**1.1.3** high")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hostile_text)
@pytest.mark.parametrize(
    "attack",
    [
        "@all",
        "`@all`",
        "``` @all",
        "</details><img src=x onerror=alert(1)>",
        "\n/close\n",
        "![x](http://evil.example)",
        "| a | b |",
        "\\`",
        "#1 !2 ~bug %9 $`x`$",
    ],
)
def test_hostile_text_is_code_and_nothing_else(write: Write, attack: str, text: str) -> None:
    clean, hostile = write(hostile_assessment("calm"), gone("calm")), f"{text}{attack}{text}"
    dirty = write(hostile_assessment(hostile), gone(hostile, reason=hostile))
    assert dirty.replace("\n", "").isprintable()

    def structure(document: str) -> list[tuple[str, str]]:
        return [
            (each.type, "" if each.type in ("code_inline", "inline") else each.content)
            for each in tokens(document)
        ]

    assert structure(dirty) == structure(clean)


def test_no_host(write: Write) -> None:
    assert write().startswith("## No host was assessed\n")


def test_what_was_decided_has_its_lists(write: Write) -> None:
    text = write(decided())
    assert "Waived: 2 controls" in text
    assert "Passing on a person's word: 1 control" in text
    assert "`waiver W-004 (container-not-privileged, team-x) expires 2026-12-01, in 6 days`" in text
    assert "`waiver W-002 (audit-etc-docker, team-x) is stale: nothing needs it`" in text
