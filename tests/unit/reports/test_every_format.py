"""What holds for every format; what is particular to one is in its own file."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from hardener.model import Assessment, Status
from hardener.reports.formats import FORMATS
from hardener.reports.interface import write_reports
from hardener.run import RunInfo
from tests.unit.reports.assessments import (
    ATTACKS,
    BENCHMARK,
    CONTROLS,
    HOSTILE,
    VERDICTS,
    Write,
    assessment,
    decided,
    earlier,
    gone,
    hostile_assessment,
    hostile_text,
    statuses,
)
from tests.unit.reports.readers import READERS

each_format = pytest.mark.parametrize("format_name", FORMATS)
NO_GOLDEN = {
    "html": "the page has its scripts and styles in it",
    "ndjson": "test_native holds it against the golden JSON",
}
# Its summary keeps the first host, whose controls and frameworks stand for all.
KEEPS_THE_FIRST = {"html", "markdown", "sarif"}


def test_each_report_format_has_a_reader_in_these_tests() -> None:
    assert READERS.keys() == FORMATS.keys()


@each_format
def test_the_report_matches_the_golden_file(
    write: Write, format_name: str, golden: Callable[[str, str], None]
) -> None:
    path = write(assessment(), gone(), decided())
    assert READERS[format_name].entries(READERS[format_name].read(path))
    if format_name not in NO_GOLDEN:
        golden(path.name, path.read_text(encoding="utf-8"))


@each_format
def test_a_report_without_hosts_is_valid(write: Write, format_name: str) -> None:
    reader = READERS[format_name]
    assert reader.entries(reader.read(write())) == []


@each_format
@pytest.mark.parametrize("seconds", [0, 1, 2**31 - 1, 2**31, 2**32])
def test_a_report_is_valid_whatever_the_clock_shows(
    tmp_path: Path, run: RunInfo, format_name: str, seconds: int
) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    form, reader = FORMATS[format_name], READERS[format_name]
    host = replace(assessment(), collected_at=moment.isoformat())
    path = tmp_path / form.file
    write_reports([host, gone()], {path: form.report(replace(run, started=moment, ended=moment), None)})
    if format_name == "ocsf" and seconds < 10**9:
        # Our schema refuses such a time, since it looks like seconds in place of milliseconds.
        assert f'"time":{seconds * 1000},' in path.read_text(encoding="ascii").replace('": ', '":')
    else:
        assert reader.entries(reader.read(path))


@each_format
def test_the_same_run_gives_the_same_bytes(write: Write, run: RunInfo) -> None:
    hosts = [
        assessment("first.example.com"),
        gone("second"),
        hostile_assessment("\x1b[31m<b>\ud800=1"),
        gone(""),
    ]
    before = earlier(run, assessment("first.example.com", statuses(*[Status.PASS] * len(CONTROLS))))
    for previous in (None, before):
        text = write(*hosts, previous=previous).read_bytes()
        assert text == write(*hosts, previous=previous).read_bytes()
        assert b"first.example.com" in text
        assert b"second" in text
        assert b"\x1b" not in text


@each_format
def test_every_host_has_the_same_number_of_results(write: Write, format_name: str) -> None:
    """Reachable or not; where only what does not hold is listed, nothing of these three hosts holds."""
    number, open_ = len(CONTROLS), (Status.FAIL, Status.ERROR, Status.WAIVED)
    hosts = [
        assessment("fails", statuses(*[Status.FAIL] * number)),
        gone("lost"),
        assessment("mixed", statuses(*(open_[place % 3] for place in range(number)))),
    ]
    reader = READERS[format_name]
    found = reader.results(reader.read(write(*hosts)))
    assert found == ({"": 3 * number} if format_name == "markdown" else dict.fromkeys(found, number))
    assert found.keys() == {""} or found.keys() == {"fails", "lost", "mixed"}


@each_format
@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize(("field", "words"), [("not_begun", "not begun"), ("change_failed", "change failed")])
def test_a_host_that_was_not_changed_as_asked_is_named_with_the_reason(
    write: Write, format_name: str, lost: bool, field: str, words: str
) -> None:
    """Whatever else is known of it: never as compliant."""
    host = gone("waits") if lost else assessment("waits", statuses(*[Status.PASS] * len(CONTROLS)))
    whole = write(host).read_text(encoding="utf-8-sig")
    reason: dict[str, Any] = {field: "outside its windows"}
    text = write(replace(host, **reason)).read_text(encoding="utf-8-sig")
    assert "outside its windows" in text
    assert "outside its windows" not in whole
    assert words in text.lower().replace("_", " ").replace("-", " ")
    assert re.search(r"(?<!Not )\bCompliant\b", text) is None


@each_format
def test_passing_controls_are_counted_in_every_format(write: Write, format_name: str) -> None:
    reader = READERS[format_name]
    document = reader.read(write(assessment("holds", statuses(*[Status.PASS] * len(CONTROLS)))))
    if format_name == "sarif":  # readers would make an alert of each result
        assert [sum(each["counts"].values()) for each in document["properties"]["population"]] == [
            len(CONTROLS)
        ]
    else:
        assert sum(reader.results(document).values()) == len(CONTROLS)


def entries(write: Write, format_name: str, text: str) -> Sequence[object]:
    """What is said of hosts which choose this text wherever they can, and of one between them."""
    path = write(hostile_assessment(text), assessment("peaceful"), gone(text, reason=text))
    assert path.read_text(encoding="utf-8-sig").replace("\n", "").isprintable(), text
    return READERS[format_name].entries(READERS[format_name].read(path))


@pytest.fixture
def calm(write: Write, format_name: str) -> Sequence[object]:
    return entries(write, format_name, "calm")


@each_format
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=hostile_text)
def test_hostile_text_is_escaped(write: Write, format_name: str, calm: Sequence[object], text: str) -> None:
    assert entries(write, format_name, text) == calm


@each_format
def test_each_hostile_snippet_is_escaped(write: Write, format_name: str, calm: Sequence[object]) -> None:
    for snippet in (*HOSTILE, *chain(*ATTACKS.values())):
        assert entries(write, format_name, f"x{snippet}y") == calm, snippet


class Tracked(Assessment):
    """An assessment that can be watched: a subclass without slots takes weak references."""


@each_format
def test_reports_do_not_keep_hosts_in_memory(tmp_path: Path, run: RunInfo, format_name: str) -> None:
    alive: list[weakref.ref[Assessment]] = []
    most = 2 if format_name in KEEPS_THE_FIRST else 1

    def hosts() -> Iterator[Assessment]:
        for number in range(5):
            assert sum(reference() is not None for reference in alive) <= most
            one = Tracked(
                f"host{number}", BENCHMARK, "", assessment(verdicts=VERDICTS).findings, facts={"os": "x"}
            )
            alive.append(weakref.ref(one))
            yield one
            del one

    write_reports(hosts(), {tmp_path / "report": FORMATS[format_name].report(run)})
    assert len(alive) == 5


@each_format
def test_every_filtered_report_except_csv_names_its_filter(
    write: Write, run: RunInfo, format_name: str, tmp_path: Path
) -> None:
    chosen = "--host 'db<*' --status fail"
    form = FORMATS[format_name]
    path = tmp_path / form.file
    some = replace(assessment("a"), findings=assessment("a").findings[1:3])
    write_reports([some, assessment("b")], {path: form.report(replace(run, filtered=chosen))})
    READERS[format_name].read(path)
    text = path.read_text(encoding="utf-8")
    shown = text.replace("&lt;", "<").replace("&#39;", "'")
    assert (chosen in shown) is (format_name != "csv")
    assert "ilter" not in write(assessment("a")).read_text(encoding="utf-8") or format_name == "html"
