from __future__ import annotations

import io
import re
from typing import Any, cast

import pytest

from hardener.fleet import Event, Hosts, Idle, SliceLost, State, StepStarted, TaskResult, TaskStarted
from hardener.fleet.answers import Answers
from hardener.terminal.phase import Phase
from hardener.terminal.progress import Progress, duration


class Stream(io.StringIO):
    def __init__(self, *, tty: bool) -> None:
        super().__init__()
        self.tty = tty

    def isatty(self) -> bool:
        return self.tty


EVENTS: tuple[Event, ...] = (
    Hosts(("a", "b", "c")),
    TaskStarted("Collect the facts"),
    TaskResult("a", "debug", State.OK),
    TaskResult("a", "collect", State.OK, last=True),
    TaskResult("b", "collect", State.UNREACHABLE, "connection refused"),
    Idle(),
    TaskResult("c", "collect", State.FAILED, "no Python"),
)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time that passes by four seconds with every look at it."""
    now = iter(range(0, 100_000, 4))
    monkeypatch.setattr("hardener.terminal.progress.time.monotonic", lambda: float(next(now)))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def shown(stream: Stream, *events: Event, live: bool = True) -> str:
    with Progress("audit", stream=stream, live=live) as progress:
        for event in events:
            progress.show(event)
    return stream.getvalue()


def test_without_a_terminal_progress_is_plain_lines() -> None:
    text = shown(Stream(tty=False), *EVENTS)
    assert "\x1b" not in text
    assert "\r" not in text
    lines = text.splitlines()
    assert "b: unreachable: connection refused" in lines
    assert "c: failed: no Python" in lines
    assert lines[-1].startswith("audit: 3 of 3 hosts, 1 unreachable, 1 failed, ")


def test_failures_that_an_error_names_are_not_shown_twice(capsys: pytest.CaptureFixture[str]) -> None:
    answers: Answers[str] = Answers(cast("Any", EVENTS), "collect", lambda _: None)
    with Phase("audit") as phase:
        assert not list(answers.each(phase, failures=False))
    lines = capsys.readouterr().err.splitlines()
    assert not [text for text in lines if text.startswith(("b: ", "c: "))]
    assert lines[-1].startswith("audit: 1 of 3 hosts, ")


def test_a_long_run_prints_a_line_at_intervals() -> None:
    lines = shown(Stream(tty=False), *([Idle()] * 60)).splitlines()
    assert 3 < len(lines) < 15
    assert {line.split(",")[0] for line in lines} == {"audit: starting"}


def test_a_started_task_is_printed_sooner_than_a_repeat_of_the_current_one() -> None:
    first, second = TaskStarted("Install"), TaskStarted("Restart")
    lines = shown(Stream(tty=False), first, *([Idle()] * 8), second, *([Idle()] * 8)).splitlines()
    assert [line.partition("(")[2] for line in lines[:-1]] == ["Install)", "Restart)"]


def test_the_current_task_is_named() -> None:
    lines = shown(
        Stream(tty=False), TaskStarted("audit_rules : Install"), Idle(), Idle(), Idle()
    ).splitlines()
    assert "(audit_rules : Install)" in lines[0]


def test_a_host_is_done_after_its_last_task() -> None:
    events = (Hosts(("a", "b")), TaskResult("a", "collect", State.OK))
    assert shown(Stream(tty=False), *events).startswith("audit: 0 of 2 hosts, ")


def test_a_terminal_has_one_live_line() -> None:
    text = shown(Stream(tty=True), *EVENTS)
    assert text.startswith("\r\x1b[K")
    assert "\x1b[2maudit: 1 of 3 hosts" in text
    assert "Collect the facts" in text
    *_, last, end = text.split("\r\x1b[K")[-1].split("\n")
    assert last.startswith("audit: 3 of 3 hosts, 1 unreachable, 1 failed, ")
    assert end == ""


def test_no_color_keeps_the_live_line_and_drops_the_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(Stream(tty=True), *EVENTS)
    assert text.replace("\r\x1b[K", "").count("\x1b") == 0
    assert "\r\x1b[K" in text


@pytest.mark.parametrize("live", [True, False])
def test_the_live_line_is_omitted_on_a_dumb_terminal_or_a_shared_stream(
    monkeypatch: pytest.MonkeyPatch, live: bool
) -> None:
    if live:
        monkeypatch.setenv("TERM", "dumb")
    assert "\r" not in shown(Stream(tty=True), *EVENTS, live=live)


def test_the_live_line_never_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(Stream(tty=True), TaskStarted("x" * 500))
    assert all(len(part) < 30 for part in text.split("\r\x1b[K")[:-1])


def test_after_an_error_the_live_line_is_cleared() -> None:
    stream = Stream(tty=True)
    with pytest.raises(ZeroDivisionError), Progress("audit", stream=stream):
        _ = 1 // 0
    assert stream.getvalue().endswith("\r\x1b[K")


def test_one_host_is_counted_in_the_singular() -> None:
    text = shown(Stream(tty=False), Hosts(("a",)), TaskResult("a", "collect", State.OK, last=True))
    assert text.startswith("audit: 1 of 1 host, ")


@pytest.mark.parametrize("live", [True, False])
def test_the_steps_of_transactions_are_shown_with_their_times(live: bool) -> None:
    events: tuple[Event, ...] = (
        Hosts(("a",)),
        TaskStarted("Converge"),
        StepStarted("a", "write files"),
        StepStarted("a", "restart docker"),
        *[Idle()] * 20,
        TaskResult("a", "converge", State.CHANGED, last=True),
        *[Idle()] * 20,
    )
    text = shown(Stream(tty=live), *events)
    assert re.search(r"\(restart docker (\d+ min )?\d+ s\)", text)
    assert "write files" not in text.split("restart docker", 1)[1]
    assert "restart" not in text[text.rindex("(Converge)") :]


def test_at_most_three_hosts_with_a_step_are_named() -> None:
    hosts = tuple("abcdef")
    text = shown(Stream(tty=False), Hosts(hosts), *(StepStarted(each, "x") for each in hosts), *[Idle()] * 9)
    assert re.search(r"\(a: x [\dmins ]+, b: x [\dmins ]+, c: x [\dmins ]+, \+3 more\)", text)


@pytest.mark.parametrize("quiet", [True, False])
def test_a_lost_slice_is_named_with_its_reason(quiet: bool) -> None:
    stream = Stream(tty=False)
    with Progress("audit", stream=stream, quiet=quiet) as progress:
        progress.show(SliceLost(2, ("a", "b"), "node w1: no output\x1b[2J for 60 s"))
        progress.show(SliceLost(3, ("c",), "killed"))
    told = [each for each in stream.getvalue().splitlines() if each.startswith("slice")]
    assert told[0].startswith("slice 2 was lost: node w1: no output")
    assert told[0].endswith("for 60 s; 2 hosts are asked again")
    assert told[0].isprintable()
    assert told[1:] == ["slice 3 was lost: killed; 1 host is asked again"]


def test_progress_shows_the_duration_of_the_last_run() -> None:
    stream = Stream(tty=False)
    with Progress("harden", stream=stream) as progress:
        progress.expect(125)
        for _ in range(20):
            progress.show(Idle())
    assert "; last time 2 min 5 s in all\n" in stream.getvalue()
    assert duration(59.9) == "59 s"
