from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.errors import HardenerError
from hardener.model import Assessment, Finding, Severity, Status
from hardener.result_filter import ResultFilter
from tests.unit.reports.assessments import BENCHMARK, CONTROLS, HOSTILE, VERDICTS, assessment, gone, statuses

SECTIONS = sorted({control.section for control in CONTROLS})
GROUPS = ("web", "db", "edge")


def some(values: Any) -> Any:
    return st.lists(st.sampled_from(values), max_size=3, unique=True).map(tuple)


filters = st.builds(
    ResultFilter,
    limit=some(["*", "all", "db*", "web?", "x", *GROUPS, "!db01", "!web", "&edge", "&db*"]).map(",".join),
    statuses=some(list(Status)),
    severities=some(list(Severity)),
    only=some(["5", "5.5", "1.1", "daemon-icc", "H.7", "2.2", *SECTIONS]),
)
hosts = st.sampled_from(
    [assessment("db01"), assessment("web1"), gone("db02"), assessment("x", VERDICTS[::-1])]
)


def expected(chosen: ResultFilter, finding: Finding) -> bool:
    """What the options say, written out."""
    control = finding.control
    place = control.id_in(BENCHMARK)
    names = {control.slug, place, control.section}
    by_control = [each in names or place.startswith(f"{each}.") for each in chosen.only]
    return all(
        (
            not chosen.statuses or finding.verdict.status in chosen.statuses,
            not chosen.severities or finding.severity in chosen.severities,
            not chosen.only or any(by_control),
        )
    )


@given(filters, hosts)
def test_exactly_the_chosen_results_remain(chosen: ResultFilter, host: Assessment) -> None:
    wanted = tuple(each for each in host.findings if expected(chosen, each))
    assert chosen.apply(host) == (replace(host, findings=wanted) if wanted else None)


@given(filters, st.sampled_from(["db01", "web1", "x", "DB01"]), st.none() | st.sets(st.sampled_from(GROUPS)))
def test_a_host_is_chosen_by_name_and_by_group(
    chosen: ResultFilter, host: str, groups: set[str] | None
) -> None:
    def holds(term: str) -> bool:
        return any(fnmatchcase(each, term) for each in ("all", host, *(groups or ())))

    terms = [each for each in chosen.limit.split(",") if each]
    added = [each for each in terms if each[0] not in "!&"]
    expected = (not added or any(map(holds, added))) and not any(
        holds(each[1:]) is (each[0] == "!") for each in terms if each not in added
    )
    assert chosen.takes_host(host, groups) is expected


@given(filters, hosts, hosts)
def test_a_result_chosen_in_one_of_two_runs_is_kept_in_both(
    chosen: ResultFilter, before: Assessment, after: Assessment
) -> None:
    slugs = {
        each.control.slug for side in (before, after) for each in side.findings if expected(chosen, each)
    }
    both = chosen.apply_to_both(before, after)
    if not slugs:
        assert both is None
        return
    assert both
    for side, original in zip(both, (before, after), strict=True):
        assert {each.control.slug for each in side.findings} == slugs
        assert replace(side, findings=original.findings) == original


@given(filters)
def test_the_text_of_a_filter_is_its_command_line_options(chosen: ResultFilter) -> None:
    words = iter(shlex.split(str(chosen)))
    fields = {"limit": "limit", "status": "statuses", "severity": "severities", "only": "only"}
    found: dict[str, list[str]] = {}
    for option in words:
        found.setdefault(fields[option.removeprefix("--")], []).append(next(words))
    wanted = {
        name: list(values) for name in ("statuses", "severities", "only") if (values := getattr(chosen, name))
    }
    assert found == wanted | ({"limit": [chosen.limit]} if chosen.limit else {})
    assert bool(chosen) is bool(found)


@pytest.mark.parametrize("text", HOSTILE)
def test_the_text_of_a_filter_is_one_safe_line(text: str) -> None:
    shown = str(ResultFilter(limit=text))
    assert shown.isprintable()
    assert len(shown) < 2100


def test_filtering_uses_the_severity_of_the_result_and_not_of_the_control() -> None:
    verdict = replace(statuses(Status.FAIL)[0], severity=Severity.CRITICAL)
    host = assessment("a", [verdict], controls=CONTROLS[4:5])
    assert CONTROLS[4].severity is Severity.LOW
    assert ResultFilter(severities=(Severity.CRITICAL,)).apply(host) == host
    assert ResultFilter(severities=(Severity.LOW,)).apply(host) is None


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (
            ResultFilter(limit="db*,wbe*"),
            r"no host or group of the run matches 'wbe\*' \(there are db, db01, prod, web1\)",
        ),
        (ResultFilter(limit="all,!dbs"), "matches '!dbs'"),
        (ResultFilter(limit="db:prod"), "matches 'db:prod'"),
        (ResultFilter(limit=" , "), "matches ' , '"),
        (ResultFilter(only=("runtim",)), "no control matches 'runtim' in cis-docker"),
        (ResultFilter(only=("5.99",)), "no control matches '5.99' in cis-docker"),
        (ResultFilter(only=("wishes",)), "no control of the run matches 'wishes'"),
        (ResultFilter(limit="\x1b[31m"), r"\\x1b"),
    ],
)
def test_a_value_that_matches_nothing_is_refused(chosen: ResultFilter, message: str) -> None:
    groups = {"db01": {"db", "prod"}, "web1": None}
    with pytest.raises(HardenerError, match=message):
        chosen.check(CONTROLS, BENCHMARK, groups)


def test_values_that_match_are_accepted(check: Callable[[ResultFilter], None]) -> None:
    check(ResultFilter())
    check(ResultFilter(limit="*1,&db", only=("runtime", "5", "daemon-icc")))


@pytest.fixture
def check() -> Callable[[ResultFilter], None]:
    return lambda chosen: chosen.check(CONTROLS, BENCHMARK, {"db01": {"db"}, "web1": set()})
