"""The HTML report as a text; how it looks and works in a browser is tests/integration/test_html_report.py."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hardener.model import Assessment, Severity, Status, WorkloadRisk, Workloads
from hardener.reports.html import HtmlReport
from hardener.reports.interface import write_reports
from hardener.run import RunInfo
from tests.unit.reports.assessments import (
    ATTACKS,
    CONTROLS,
    DECISIONS,
    Written,
    assessment,
    decided,
    earlier,
    gone,
    hostile_assessment,
    statuses,
)
from tests.unit.reports.readers import Page


@pytest.fixture
def format_name() -> str:
    return "html"


def test_the_content_security_policy_permits_only_the_inline_script_and_style_of_the_page(
    written: Written, run: RunInfo
) -> None:
    page = Page(written(assessment(), gone(), previous=earlier(run, assessment("x"))))
    (policy,) = [
        values["content"] or ""
        for tag, values in page.elements
        if tag == "meta" and values.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; ")
    for directive, text in (("script-src", page.raw["script"][-1]), ("style-src", page.raw["style"][0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    for tag, values in page.elements:
        assert tag not in ("iframe", "object", "embed", "base", "img", "form") or "action" not in values
        for name, value in values.items():
            assert not name.startswith("on")
            assert name not in ("src", "srcset", "action", "style", "srcdoc")
            if name == "href":
                assert str(value).startswith(("#", "data:,"))


@pytest.mark.parametrize("attack", ATTACKS["html"])
def test_untrusted_text_adds_no_element(written: Written, run: RunInfo, attack: str) -> None:
    def shape(text: str) -> Iterator[tuple[str, list[str]]]:
        lost = replace(gone(text + "2", reason=text), groups=())  # groups are sorted by name
        hosts = (hostile_assessment(text), lost)
        previous = earlier(run, assessment(text, statuses(*[Status.PASS] * 7)), gone(text + "3"))
        page = written(*hosts, previous=previous)
        assert page.replace("\n", "").isprintable()
        return ((tag, list(values)) for tag, values in Page(page).elements)

    assert list(shape(attack)) == list(shape("calm"))


def test_a_verdict_is_written_once_however_many_hosts_have_it(written: Written) -> None:
    same = [assessment(f"host{number}") for number in range(20)]
    first, *others = Page(written(*same)).records
    assert len(first[6]) == len({json.dumps(each) for each in first[6]})
    assert first[5] == others[0][5]
    assert all(record[6] == [] for record in others)


def test_changed_findings_are_in_the_data_of_their_host(written: Written, run: RunInfo) -> None:
    before = assessment(verdicts=statuses(Status.PASS, *[Status.FAIL] * 6))
    after = assessment(verdicts=statuses(*[Status.FAIL] * 7))
    (record,) = Page(written(after, previous=earlier(run, before))).records
    ((control, move, status, verdict),) = record[7]
    assert (control, move, status) == (0, 0, "p")
    assert record[6][verdict][1] == "it is pass"
    assert Page(written(after)).records[0][7] == []


def test_a_page_without_hosts_is_valid(written: Written) -> None:
    page = written()
    assert Page(page).records == []
    assert "Nothing assessed" in page
    assert "Compliant" not in page


def test_ids_are_unique(written: Written) -> None:
    found = re.findall(r'<[^>]* id="([^"]+)"', written(*map(assessment, "abc")))
    assert len(found) == len(set(found))


def test_decisions_are_listed_among_the_facts(written: Written) -> None:
    (record,) = Page(written(decided())).records
    facts = [each for verdict in record[6] for each in verdict[3]]
    assert any(each.startswith("waived until 2027-01-31 [W-001 by team-x]") for each in facts)
    assert any(each.startswith("attested until 2027-02-01 [A-001 by J. Doe") for each in facts)
    assert "waiver W-003 expired 2026-10-01" in facts


def test_decisions_that_need_attention_are_in_the_overview(
    written: Written, run: RunInfo, tmp_path: Path
) -> None:
    page = written(decided())
    assert "Waivers and attestations that need attention" in page
    assert "is stale: no host of this run needs it" in page or "expired" in page
    undecided = tmp_path / "undecided.html"
    write_reports([assessment()], {undecided: HtmlReport(replace(run, decisions=None))})
    assert "Waivers and attestations that need attention" not in undecided.read_text(encoding="utf-8")


def test_with_few_hosts_findings_are_also_plain_html(written: Written) -> None:
    page = written(decided(), gone("web1"))
    assert page.count("<article ") == len(CONTROLS)
    assert "2 of 4 are not waived: web2 runs privileged; web3 runs privileged" in page
    assert page.count("<b>web1</b>") == len(CONTROLS) + 1  # and once among those that were not reached


def test_with_many_hosts_findings_are_only_in_the_data_of_the_page(written: Written) -> None:
    page = written(*(assessment(f"h{number}") for number in range(51)))
    assert "<article " not in page
    assert "html-dir=DIR" in page
    assert len(Page(page).records) == 51


def test_groups_have_a_filter_and_a_table(written: Written) -> None:
    page = written(assessment("a"), gone("b"))
    assert [record[8] for record in Page(page).records] == [[0, 1], [1, 2]]
    assert json.loads(Page(page).raw["script"][1])["groups"] == ["database", "production", "web"]
    assert re.search(r'href="#group=host&amp;inside=production">production</a></th>', page)


def test_waivers_and_attestations_have_a_table(written: Written) -> None:
    page = written(decided())
    table = page[page.index('class="decisions"') :].partition("</section>")[0]
    assert table.count("<tr") == 1 + len(DECISIONS.waivers) + len(DECISIONS.attestations)
    assert "team-x, approved by J. Doe" in table


def with_containers(host: str, *containers: tuple[str, Severity, int], more: int = 0) -> Assessment:
    """A host with these containers, and so many of the lowest risk that no report names."""
    risks = tuple(
        WorkloadRisk(name, "image:1", level, points, (f"why of {name}",), (f"do for {name}",))
        for name, level, points in containers
    )
    levels = Counter(risk.level.value for risk in risks)
    levels["low"] += more
    return replace(assessment(host), workloads=Workloads(levels, risks))


def section(page: str) -> str:
    found = re.search(r'<section aria-labelledby="workloads".*?</section>', page, re.DOTALL)
    return found[0] if found else ""


def test_the_riskiest_containers_of_all_hosts_are_listed(written: Written) -> None:
    high, low = Severity.HIGH, Severity.LOW
    first = with_containers("db01", ("a", high, 90), ("b", low, 3))
    page = section(written(first, with_containers("db02", ("c", high, 120)), gone()))
    assert [page.index(f"why of {name}") for name in "cab"] == sorted(
        page.index(f"why of {name}") for name in "cab"
    )
    assert "2 high, 1 low." in page
    assert "image:1 on db02" in page
    assert "do for c" in page
    assert "more:" not in page


def test_the_page_lists_the_riskiest_containers_and_counts_the_others(written: Written) -> None:
    many = [
        with_containers(f"h{at}", *[(f"c{n}", Severity.LOW, n) for n in range(20)], more=80)
        for at in range(9)
    ]
    page = section(written(*many))
    assert page.count("<tr>") == 1 + 20
    assert "900 low." in page
    assert "And 880 more:" in page


def test_the_page_begins_with_the_most_severe_failures_and_names_every_bar_of_a_host(
    written: Written,
) -> None:
    page = written(assessment("db01"), assessment("db02", statuses(*[Status.PASS] * len(CONTROLS))))
    severe = page.index("Most severe: 1 critical, 1 high")
    assert (
        page.index("<h1") < severe < page.index("db01: privileged containers") < page.index('class="totals"')
    )
    assert "next: <code>hardener plan --only 1.1.3</code>; cost of the repair: the daemon restarts" in page
    assert page.count('class="bar toll"') == page.count(
        '<tr><th scope="row"><a href="#group=host&amp;text=db'
    )


def test_without_containers_their_section_is_omitted(written: Written) -> None:
    assert section(written(assessment())) == ""
    assert section(written(replace(assessment(), workloads=Workloads({"low": 0}, ())))) == ""
