from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from hardener.comparison.runs import compare
from hardener.model import Assessment, Offender, Status, Verdict
from hardener.summary import LISTED, Summary, compliance, percentage
from hardener.terminal.console import console, show_comparison, show_summary
from hardener.terminal.parts import divide
from tests.unit.reports.assessments import (
    CONTROLS,
    DECISIONS,
    HOSTILE,
    VERDICTS,
    assessment,
    decided,
    gone,
    hostile_assessment,
    hostile_text,
    statuses,
)

FILES = {"JUnit": Path("results/junit.xml"), "JSON": Path("results/report.json")}
P, F, M, N, W, E = Status


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def summary_text(
    *assessments: Assessment,
    width: int = 80,
    stream: io.StringIO | None = None,
    listed: Collection[Status] = LISTED,
) -> str:
    summary = Summary(listed)
    for each in assessments:
        summary.add(each)
    stream = stream or io.StringIO()
    show_summary(
        summary,
        console(stream, width=width),
        files=FILES,
        decisions=DECISIONS,
        hosts_option="-i inventory.yml",
    )
    return stream.getvalue()


def comparison_text(before: list[Assessment], after: list[Assessment], width: int = 80) -> str:
    stream = io.StringIO()
    show_comparison(compare(before, after), console(stream, width=width), files=FILES, decisions=DECISIONS)
    return stream.getvalue()


def trimmed(text: str) -> str:
    """Without the blanks that rich fills lines and columns with: its releases share them out differently.

    Whether columns are aligned, ``columns`` says.
    """
    lines = re.sub(r" +$", "", text, flags=re.MULTILINE)
    return re.sub(r"─+", "─", re.sub(r"(?<=\S)  +", "  ", lines))


def block(text: str, first: str) -> list[str]:
    """The lines from the one that begins with these words to the next empty one, without rules."""
    lines = [line.rstrip() for line in text.splitlines()]
    start = next(number for number, line in enumerate(lines) if line.lstrip().startswith(first))
    end = next(number for number, line in enumerate([*lines[start:], ""]) if not line)
    return [line for line in lines[start : start + end] if "─" not in line]


def columns(lines: list[str]) -> list[list[str]]:
    """The cells of lines by column: columns are what two blanks or more, in every line, stand between."""
    width = max(map(len, lines))
    padded = [line.ljust(width) for line in lines]
    filled = "".join(" " if {line[at] for line in padded} == {" "} else "x" for at in range(width))
    return [
        [line[found.start() : found.end()] for line in padded] for found in re.finditer(r"x(?: ?x)*", filled)
    ]


def same_edge(cells: list[str]) -> bool:
    """Whether all cells that are not empty begin, or all end, at the same offset."""
    shown = [cell for cell in cells if cell.strip()]
    return (
        len({len(each) - len(each.lstrip()) for each in shown}) == 1
        or len({len(each.rstrip()) for each in shown}) == 1
    )


BEFORE = assessment("db01.example.com", statuses(F, F, F, F, P, M, E))
AFTER = assessment("db01.example.com", statuses(P, P, P, F, F, M, P))


def test_the_summary_matches_the_golden_file(golden: Callable[[str, str], None]) -> None:
    golden("summary.txt", trimmed(summary_text(assessment())))


def test_the_summary_with_decisions_matches_the_golden_file(golden: Callable[[str, str], None]) -> None:
    golden("decided.txt", trimmed(summary_text(decided(), assessment("node1"))))


def test_the_summary_of_a_fleet_matches_the_golden_file(golden: Callable[[str, str], None]) -> None:
    hosts = [assessment(f"node{n}") for n in range(5)]
    golden("fleet.txt", trimmed(summary_text(*hosts, gone("node9"))))


def test_the_comparison_matches_the_golden_file(golden: Callable[[str, str], None]) -> None:
    golden("comparison.txt", trimmed(comparison_text([BEFORE], [AFTER])))


@pytest.mark.parametrize(
    ("text", "first", "number"),
    [
        (summary_text(assessment()), "Section", 8),
        (summary_text(assessment()), "critical", 3),
        (summary_text(assessment()), "JUnit", 2),
        (summary_text(*[assessment(f"node{n}", statuses(*[F] * 7)) for n in range(1200)]), "Section", 8),
        (summary_text(*[assessment(f"node{n}") for n in range(12)]), "host ", 5),
        (comparison_text([BEFORE], [AFTER]), "Section", 6),
        (comparison_text([BEFORE] * 1200, [AFTER] * 1200), "Section", 6),
        (comparison_text([BEFORE], [AFTER]), "✔", 3),
    ],
)
def test_columns_are_aligned(text: str, first: str, number: int) -> None:
    found = columns(block(text, first))
    assert len(found) == number
    assert [cells for cells in found if not same_edge(cells)] == []


@pytest.mark.parametrize("shift", [1, 2, 5])
def test_the_test_helper_detects_a_shifted_row(shift: int) -> None:
    rows = block(summary_text(assessment()), "Section")
    rows[2] = rows[2][:12] + " " * shift + rows[2][12:]
    found = columns(rows)
    assert len(found) != 8 or not all(map(same_edge, found))


def test_a_summary_without_hosts_is_shown() -> None:
    assert summary_text().strip() == "No host was assessed."
    assert "No host has results before and after." in comparison_text([BEFORE], [])
    assert "db01.example.com: was not assessed afterwards" in comparison_text([BEFORE], [])


def test_a_comparison_of_a_fleet_counts_hosts() -> None:
    before = [assessment(f"n{n}", statuses(*[F] * 7)) for n in range(3)]
    after = [assessment("n0", statuses(*[P] * 7)), assessment("n1", statuses(*[F] * 7)), gone("n2")]
    text = comparison_text(before, after)
    assert "3 hosts" in text
    assert "7 fixed   0 broken   7 still failing" in text
    assert "1 of 3 hosts" in text
    assert "n2: was not audited afterwards: ssh: connection refused" in text


def test_controls_that_fail_with_other_offenders_count_as_still_failing() -> None:
    def failing(*names: str) -> Verdict:
        return Verdict(F, "no x", "some x", tuple(Offender("container", name, "x") for name in names))

    before = assessment("n0", [failing("a", "b")] * 7)
    after = assessment("n0", [failing("a"), failing("a", "c"), *[failing("a", "b")] * 4, *statuses(P)])
    text = comparison_text([before], [after], width=120)
    assert "1 fixed   0 broken   6 still failing (1 with more offenders, 1 with fewer offenders)" in text
    (mark,) = re.findall(r"Fewer offenders.*\n+ *(\S)", text)
    assert mark == "✘"


@pytest.mark.parametrize("status", [F, W, P])
def test_a_control_that_fails_is_named_by_what_is_wrong(status: Status) -> None:
    failing, title = "A container is privileged", "No container is privileged"
    one = dataclasses.replace(CONTROLS[0], title=title, failing=failing)
    found = assessment("n0", statuses(status), controls=[one])
    is_wrong = status in (F, W)
    text = summary_text(found, listed=list(Status))
    assert (failing in text, title in text) == (is_wrong, not is_wrong)
    changed = comparison_text([assessment("n0", statuses(E), controls=[one])], [found])
    assert (failing in changed, title in changed) == (is_wrong, not is_wrong)


def test_every_failure_is_listed_with_its_finding() -> None:
    text = " ".join(summary_text(assessment()).split())
    assert "critical 5.5 The title of container-not-privileged privileged containers" in text
    assert "H.7 The title of host-lsm lsm could not be read: permission denied" in text
    assert "JUnit results/junit.xml" in text


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = Verdict(F, "x" * 200, "漢字" * 100, (Offender("container", "é" * 90, "y" * 300),) * 9, (), 9)
    host = "h" * 250
    texts = [
        summary_text(assessment(host, [long] * 7), width=width),
        summary_text(*[assessment(host, [long] * 7)] * 100, gone(host), width=width),
        comparison_text([assessment(host, [long] * 7)], [assessment(host, [long] * 7)], width=width),
    ]
    for text in texts:
        assert max(map(cell_len, text.splitlines())) <= width


def words(text: str) -> str:
    """The text without blanks, line ends and rules: what has been wrapped reads the same."""
    return re.sub(r"[\s─]+", "", text)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_narrow_terminal_shows_all_text(width: int) -> None:
    hosts = [assessment(f"node{n}") for n in range(4)] + [gone("node9")]
    for shown in (hosts, hosts[:1], [decided(), assessment("node1")]):
        wide, narrow = (summary_text(*shown, width=each, listed=tuple(Status)) for each in (300, width))
        if "Section" in narrow:
            rows, same = (block(text, "Section") for text in (narrow, wide))
            assert [row.split()[:-1] for row in rows] == [row.split()[:-1] for row in same]
        left = words(narrow)
        _, below = wide.split("waived\n", 1)
        parts = {words(part) for row in below.splitlines() for part in re.split(r"  +|█", row)}
        assert {part for part in parts if part not in left} <= {"host", "low", "11", "5"} | set("0123456789")


def test_a_terminal_that_is_too_narrow_for_the_table_gets_a_list_of_sections() -> None:
    narrow = " ".join(summary_text(BEFORE, width=40).split())
    assert "Section" not in narrow
    assert "1 host 0 pass, 2 fail 2 daemon 0 pass, 1 fail 4 images" in narrow
    assert "Total 1 pass, 4 fail, 1 error, 1 manual" in narrow
    compared = " ".join(comparison_text([BEFORE] * 1200, [AFTER] * 1200, width=40).split())
    assert "Total before: 1200 pass, 4800 fail, 1200 error, 1200 manual" in compared
    assert "after: 4800 pass, 2400 fail, 1200 manual" in compared


def test_a_long_id_does_not_hide_text() -> None:
    bare = [dataclasses.replace(each, benchmarks={}) for each in CONTROLS]
    narrow = words(summary_text(assessment("a", controls=bare), width=40))
    for text in ("container-not-privileged", "privileged containers", "lsm could not be read"):
        assert words(text) in narrow


@pytest.mark.parametrize("columns", ["0", "1", "30"])
def test_the_console_is_at_least_40_columns_wide(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    stream = io.StringIO()
    assert console(stream).width == 40


def test_numbers_of_a_large_fleet_fit_into_80_columns() -> None:
    one = assessment("host", statuses(*[F] * 7))
    summary = Summary()
    for _ in range(30_000 // 7):
        summary.add(one)
    stream = io.StringIO()
    show_summary(summary, console(stream, width=80))
    total = next(line for line in stream.getvalue().splitlines() if line.startswith(" Total"))
    assert total.split()[2] == str(30_000 // 7 * 7)


def colours(text: str) -> list[str]:
    return re.findall(r"\x1b\[[0-9;]*m", text)


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return monkeypatch


def test_numbers_of_a_large_comparison_fit_into_80_columns() -> None:
    text = comparison_text([BEFORE] * 1200, [AFTER] * 1200)
    assert all(f"{step}" in text for step in ("1200 → 4800", "4800 → 2400", "2400 → 1200"))
    assert "…" not in text


def test_colours_are_used_only_on_a_terminal(plain_environment: pytest.MonkeyPatch) -> None:
    assert any("31" in code for code in colours(summary_text(assessment(), stream=Terminal())))
    assert colours(summary_text(assessment())) == []


def test_no_color_disables_colours(plain_environment: pytest.MonkeyPatch) -> None:
    plain_environment.setenv("NO_COLOR", "1")
    text = summary_text(assessment(), stream=Terminal())
    assert {code for code in colours(text) if re.search(r"[349]\d", code)} == set()


def test_each_colour_of_a_bar_has_its_own_symbol() -> None:
    text = comparison_text([BEFORE], [AFTER])
    assert "█ pass   ▒ fail   ! error   · manual, not applicable or waived" in text
    assert re.search(r"1 host +▒+ +█+ +0 → 2 +2 → 0", text)


def test_an_old_encoding_gets_ascii_symbols() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    show_comparison(compare([BEFORE], [AFTER]), console(stream, width=80))
    stream.flush()
    text = raw.getvalue().decode("ascii")
    assert re.search(r"1 host[ |]+-+[ |]+#+[ |]+0 > 2[ |]+2 > 0", text)
    assert "+  1.1.3" in text


def visible(text: str) -> bool:
    return text.replace("\n", "").isprintable()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hostile_text)
def test_hostile_text_is_escaped(plain_environment: pytest.MonkeyPatch, text: str) -> None:
    hostile = hostile_assessment(text)
    assert visible(summary_text(hostile))
    assert visible(summary_text(hostile, gone(text, reason=text)))
    assert visible(comparison_text([hostile], [hostile]))
    assert visible(comparison_text([assessment(text)], [gone(text, reason=text)]))
    shown = summary_text(hostile, stream=Terminal())
    assert visible(re.sub(r"\x1b\[[0-9;]*m", "", shown))  # what is left beside our own colours


@pytest.mark.parametrize("snippet", [each for each in HOSTILE if each.isprintable() and len(each) < 40])
def test_markup_and_emoji_codes_are_shown_literally(snippet: str) -> None:
    assert snippet in summary_text(hostile_assessment(snippet), width=300)


@given(st.lists(st.integers(0, 10_000), min_size=4, max_size=4), st.integers(4, 30))
def test_bars_fill_their_width_and_show_every_count(amounts: list[int], width: int) -> None:
    cells = divide(amounts, width)
    assert sum(cells) == (width if any(amounts) else 0)
    assert all((cell > 0) is (amount > 0) for cell, amount in zip(cells, amounts, strict=True))


def test_the_totals_of_a_summary_add_up_to_the_number_of_controls() -> None:
    total = next(line for line in summary_text(assessment()).splitlines() if line.startswith(" Total"))
    assert sum(int(word) for word in total.split() if word.isdigit()) == len(CONTROLS)


def test_a_rolled_back_run_is_reported_after_hardening() -> None:
    why = "rolled back: not confirmed within 180 s (firewall_inbound)"
    after = dataclasses.replace(AFTER, facts={**AFTER.facts, "last_run": why})
    shown = comparison_text([BEFORE], [after], width=120)
    assert "The last run was undone or failed" in shown
    assert why in shown


# --- the verdict --------------------------------------------------------------------------------------------

LAST = 23  # the lines that a terminal of 24 shows above the prompt


def test_the_verdict_comes_last_and_fits_on_one_screen() -> None:
    actual = "x" * 400
    bad = [
        Verdict(Status.ERROR, "it can be read", f"source{n} could not be read: {n} {actual}")
        for n in range(5)
    ]
    hosts = [
        assessment(f"node{n}-{'h' * 200}", [*bad, *statuses(F, F)], controls=CONTROLS) for n in range(40)
    ]
    text = summary_text(*hosts, *(gone(f"g{n}", reason=f"reason {n}") for n in range(30)))
    last = "\n".join(text.splitlines()[-LAST:])
    assert "70 hosts  0% compliant" in last
    assert "0 pass, 80 fail (40 high, 40 medium)" in last
    assert "and for other reasons" in last
    assert "next: hardener plan" not in last  # no role remediates what fails
    assert "next: hardener controls H.7" in last


def test_the_next_step_is_the_plan_if_a_role_remediates_a_failure() -> None:
    last = summary_text(assessment()).splitlines()[-2:]
    assert [each.strip() for each in last] == [
        "next: hardener plan -i inventory.yml",
        "hardener controls 5.5",
    ]
    assert "next:" not in summary_text(assessment("a", statuses(*[P] * 7)))


def test_a_cause_of_many_controls_is_shown_once() -> None:
    down = "Cannot connect to unix:///run/docker.sock"
    gone_engine = [
        Verdict(Status.ERROR, "the facts can be read", f"docker.{name} could not be read: {down}")
        for name in ("info", "containers", "images", "version", "info", "swarm", "networks")
    ]
    text = summary_text(assessment("a", gone_engine))
    assert text.count(down) == 2  # in the list, with the ids, and in the verdict
    assert "7 controls: Cannot connect" in text
    assert "1.1.3, 1.1.10, 2.2, 4.1, 5.5, 5.29, H.7" in text
    several = " ".join(summary_text(*[assessment(f"node{n}", gone_engine) for n in range(9)]).split())
    assert "7 controls on node0, node1, node2 +6 more: Cannot" in several
    assert several.count(down) == 2


def test_unreachable_hosts_with_the_same_reason_are_one_cause() -> None:
    hosts = [gone(f"node{n}", reason=f"ssh: connect to host node{n} port 22: refused") for n in range(3)]
    text = " ".join(summary_text(*hosts).split())
    assert "7 controls on node0, node1, node2: ssh: connect to host HOST port 22: refused" in text
    assert "7 controls: ssh: connect to host node0 port 22: refused" in " ".join(
        summary_text(hosts[0]).split()
    )


def test_findings_of_a_fleet_are_shown_with_their_hosts() -> None:
    found = [dataclasses.replace(VERDICTS[0], actual=f"no rule for {n % 2}") for n in range(6)]
    hosts = [assessment(f"node{n}", [found[n], *VERDICTS[1:]]) for n in range(6)]
    text = " ".join(summary_text(*hosts).split())
    assert "all hosts: privileged containers" in text
    assert "node0, node2, node4: no rule for 0 node1, node3, node5: no rule for 1" in text


def test_other_statuses_are_listed_on_request() -> None:
    text = summary_text(assessment(), listed=(M, P, N))
    assert "A person has to decide (1)" in text
    assert "Passing (1)" in text
    assert "Not applicable (1)" in text
    assert "Failing (" not in text
    assert "-w /etc/docker -p wa" in text


@pytest.mark.parametrize(
    ("counts", "shown"),
    [((0, 0, 0), "-"), ((995, 5, 0), "99%"), ((1, 0, 0), "100%"), ((29, 71, 0), "29%"), ((1, 1, 2), "25%")],
)
def test_shares_below_100_percent_are_rounded_down(counts: tuple[int, int, int], shown: str) -> None:
    share = compliance(dict(zip((P, F, E), counts, strict=True)) | {M: 7, N: 7})
    assert percentage(share) == shown
