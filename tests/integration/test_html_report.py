"""The HTML report in a real browser: Debian's Chromium under Playwright, the file opened from the disk."""

from __future__ import annotations

import csv
import functools
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from hardener import catalogue
from hardener.assess import unreachable
from hardener.comparison.previous_runs import Point, PreviousRuns
from hardener.model import (
    Assessment,
    Control,
    Finding,
    Offender,
    Severity,
    Status,
    Verdict,
    WorkloadRisk,
    Workloads,
)
from hardener.reports.html import HtmlReport
from hardener.reports.html_folder import HtmlFolder
from hardener.reports.interface import write_reports
from hardener.run import RunInfo
from tests.integration.browser import browser
from tests.integration.waiting import until
from tests.unit.reports.assessments import (
    CONTROLS as CASES,
)
from tests.unit.reports.assessments import (
    DECISIONS,
    assessment,
    decided,
    gone,
    hostile_assessment,
    statuses,
)

__all__ = ["browser"]  # a fixture

BENCHMARK = "cis-docker-1.8.0"
CONTROLS = catalogue.load(BENCHMARK)
ARTEFACTS = Path(__file__).parents[2] / "test-results"
RUN = RunInfo(
    run_id="20261125T003000Z-7f3a",
    tool_version="0.1.0",
    benchmark=BENCHMARK,
    catalogue_digest="c0ffee" * 10 + "c0ff",
    ansible_version="2.19.14",
    started=datetime(2026, 11, 25, 0, 29, 58, tzinfo=UTC),
    ended=datetime(2026, 11, 25, 0, 30, 1, tzinfo=UTC),
)


@dataclass(slots=True)
class Tab:
    """A page of the browser, and everything that it complained about or asked others for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        self.page.on("request", lambda request: self.requests.append(request.url))


Open = Callable[..., Tab]


@pytest.fixture(scope="module")
def tabs(browser: Browser) -> Callable[[str, int, bool], Tab]:
    """A tab for each way to look at a report, which takes a while to open."""

    @functools.cache
    def tab(scheme: str, width: int, script: bool) -> Tab:
        context = browser.new_context(
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": 900},
            java_script_enabled=script,
        )
        return Tab(context.new_page())

    return tab


@pytest.fixture
def open_report(tabs: Callable[[str, int, bool], Tab], tmp_path: Path) -> Iterator[Open]:
    """Write a report and open it. Whatever the test does, nothing may go wrong in the page meanwhile."""
    opened: list[Tab] = []

    def report(
        assessments: Iterable[Assessment],
        *,
        address: str = "",
        scheme: str = "light",
        width: int = 1280,
        script: bool = True,
        previous: PreviousRuns | None = None,
        run: RunInfo = RUN,
    ) -> Tab:
        path = tmp_path / f"report{len(opened)}.html"  # another address within the same file loads nothing
        write_reports(assessments, {path: HtmlReport(run, previous)})
        tab = tabs(scheme, width, script)
        opened.append(tab)
        tab.page.emulate_media(media="screen")
        tab.page.goto(path.as_uri() + address)
        return tab

    yield report
    for tab in opened:
        tab.page.goto("about:blank")
        complaints, requests = list(tab.complaints), list(tab.requests)
        tab.complaints.clear()
        tab.requests.clear()
        assert complaints == []
        assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


def judged(control: Control, index: int, number: int) -> Verdict:
    """What a control found on a host of the fleet: a pattern that is different on every host."""
    turn = (index * 7 + number * 3) % 11
    if turn < 3:
        offenders = tuple(
            Offender("container", f"app-{number}-{each}", "does not hold") for each in range(turn + 1)
        )
        return Verdict(Status.FAIL, "it holds", f"{turn + 1} of 9 do not, on {number}", offenders, (), 9)
    if turn == 3:
        return Verdict(Status.MANUAL, "a person agrees", f"{number} to look at", (), ("look at it",))
    if turn == 4:
        return Verdict(Status.NOT_APPLICABLE, "it holds", "nothing there")
    return Verdict(Status.PASS, "it holds", "it holds", (), (f"{control.slug}: yes",), 9)


WORKLOADS = Workloads(
    {level.value: 1 for level in Severity},
    tuple(
        WorkloadRisk(
            container="a-long-name-without-any-place-to-break_" * (4 - place),
            image="registry.example.org/a/long/path/to/an/image:1.2.3",
            level=level,
            points=300 // (place + 1),
            why=("is privileged: every capability and device", "mounts /var/run/docker.sock read-write"),
            first=("Remove --privileged; add single capabilities and devices instead.",) * 3,
        )
        for place, level in enumerate(Severity)
    ),
)


def fleet(size: int, *, lost: int = 0) -> Iterator[Assessment]:
    facts = {"os": "Debian GNU/Linux 13 (trixie)", "kernel": "6.12.48+deb13-amd64", "docker": "26.1.5"}
    for number in range(size):
        findings = tuple(
            Finding(control, judged(control, index, number)) for index, control in enumerate(CONTROLS)
        )
        yield Assessment(
            f"web{number:04}.example.com",
            BENCHMARK,
            "2026-11-25T00:30:00Z",
            findings,
            facts=facts,
            workloads=WORKLOADS,
        )
    for number in range(lost):
        yield unreachable(
            f"lost{number}.example.com", "ssh: connection refused", CONTROLS, benchmark=BENCHMARK
        )


def earlier(*hosts: Assessment, fails: Iterable[int] = (30, 20)) -> PreviousRuns:
    """Runs of the days before; the last of them found this on the hosts."""
    points = tuple(
        Point(f"run{day}", RUN.ended - timedelta(days=10 - day), len(hosts), 0, {Status.FAIL: number})
        for day, number in enumerate(fails)
    )
    found = {host.host: host for host in hosts}
    return PreviousRuns(points, frozenset(found), found.get)


def failing(hosts: Iterable[Assessment], wanted: Callable[[Finding], bool] = lambda finding: True) -> int:
    return sum(
        finding.status is Status.FAIL and wanted(finding) for host in hosts for finding in host.findings
    )


def press(page: Page, name: str) -> None:
    page.locator("#filters").get_by_role("button", name=name, exact=True).click()


# --- what is shown --------------------------------------------------------------------------------------


def test_the_page_begins_with_the_result_and_lists_the_failing_controls(open_report: Open) -> None:
    hosts = list(fleet(12, lost=1))
    page = open_report(hosts).page
    expect(page.get_by_role("heading", level=1)).to_have_text("Not compliant")
    expect(page.locator(".lead")).to_contain_text(
        f"of {len(CONTROLS)} controls fail on at least one of 13 hosts"
    )
    expect(page.locator(".totals .fail b")).to_have_text(str(failing(hosts)))
    expect(page.locator("#count")).to_have_text(f"{len(CONTROLS)} controls, {failing(hosts):,} findings")
    expect(page.locator("#note")).to_contain_text("One host could not be reached")
    page.get_by_role("button", name="hosts", exact=True).click()
    expect(page.locator("#groups .group").last).to_contain_text("lost0.example.com")
    press(page, "Controls")
    severities = page.locator("#groups .severity").all_inner_texts()
    assert severities == sorted(severities, key=["critical", "high", "medium", "low"].index)
    expect(page.locator(".gone")).to_contain_text("lost0.example.com")


def test_a_report_on_one_host_has_no_list_of_hosts(open_report: Open) -> None:
    hosts = list(fleet(1))
    page = open_report(hosts).page
    expect(page.locator(".host b")).to_have_text("web0000.example.com")
    expect(page.locator("#count")).to_have_text(f"{failing(hosts)} controls")
    expect(page.locator("#filters").get_by_role("button", name="Hosts")).to_have_count(0)
    page.locator("#groups summary").first.click()
    expect(page.locator("#groups .evidence").first).to_contain_text("Expectedit holds")


def test_a_control_shows_its_reason_fix_requirements_and_hosts(open_report: Open) -> None:
    page = open_report(fleet(12), address="#text=daemon-icc-disabled").page
    control = catalogue.find("daemon-icc-disabled", BENCHMARK)
    group = page.locator("#groups details.group")
    expect(group).to_have_count(1)
    group.locator("summary").first.click()
    for term in ("Why", "Decided by", "How to fix", "Serves"):
        expect(group.locator("dt", has_text=re.compile(f"^{term}$"))).to_have_count(1)
    expect(group).to_contain_text("CIS Controls v8")
    expect(group).to_contain_text("mapped by this project's judgement")
    assert control.remediation
    expect(group.locator(".role code").first).to_have_text(control.remediation.role)
    host = group.locator("details.finding").first
    host.locator("summary").click()
    expect(host.locator(".evidence")).to_contain_text("app-")
    expect(host.locator(".evidence")).to_contain_text("Offenders (")


def test_hosts_without_an_answer_are_shown_if_no_control_fails(open_report: Open) -> None:
    calm = assessment("calm", statuses(*[Status.PASS] * 7))
    page = open_report([calm, gone("lost")]).page
    expect(page.get_by_role("heading", level=1)).to_have_text("Incomplete")
    expect(page.locator("#groups .group")).to_have_count(1)
    expect(page.locator("#groups .group")).to_contain_text("not reached: ssh: connection refused")
    page = open_report([gone("one"), gone("two")]).page
    expect(page.locator("#groups .group")).to_have_count(2)
    page = open_report([gone("alone")]).page
    expect(page.locator(".gone")).to_contain_text("alone")
    expect(page.locator("#count")).to_have_text("7 controls")


def test_the_view_of_a_compliant_run_shows_all_controls(open_report: Open) -> None:
    page = open_report([assessment("calm", statuses(*[Status.PASS] * 7))]).page
    expect(page.get_by_role("heading", level=1)).to_have_text("Compliant")
    expect(page.locator("#count")).to_have_text("7 controls")


def test_controls_are_grouped_by_host(open_report: Open) -> None:
    hosts = list(fleet(12, lost=1))
    page = open_report(hosts).page
    press(page, "Hosts")
    expect(page.locator("#count")).to_have_text(f"13 hosts, {failing(hosts) + len(CONTROLS):,} findings")
    expect(page.locator("#groups .group").last).to_contain_text("not reached: ssh: connection refused")
    first = page.locator("#groups .group").first
    first.locator("summary").first.click()
    expect(first.locator(".about")).to_contain_text("Debian GNU/Linux 13")
    first.locator(".finding summary").first.click()
    expect(first.locator(".finding").first).to_contain_text("How to fix")


@pytest.mark.parametrize(
    ("framework", "source"),
    [
        ("CIS Controls v8", "mapped by the benchmark"),
        ("NIST SP 800-190", "mapped by this project's judgement"),
        ("NIST SP 800-53 r5", "mapped by this project's judgement"),
        ("PCI DSS 4.0", "mapped by this project's judgement"),
    ],
)
def test_controls_are_grouped_by_framework_with_the_source_of_the_mapping(
    open_report: Open, framework: str, source: str
) -> None:
    page = open_report(fleet(3)).page
    press(page, framework)
    expect(page.locator("#note")).to_contain_text(f"A requirement of {framework} is more than")
    expect(page.locator("#groups .source").first).to_contain_text(source)
    row = page.locator("#groups .group").first
    row.locator("summary").first.click()
    control = row.locator(".control").first
    control.locator("summary").first.click()
    expect(control).to_contain_text("How to fix")
    expect(control.locator(".finding").first).to_contain_text("web000")


# --- earlier runs ---------------------------------------------------------------------------------------


def test_changes_since_the_last_run_are_shown(open_report: Open) -> None:
    same, *rest = [
        Status.PASS,
        Status.FAIL,
        Status.PASS,
        Status.FAIL,
        Status.MANUAL,
        Status.ERROR,
        Status.PASS,
    ]
    before = assessment("db01", statuses(same, *rest))
    after = assessment("db01", statuses(same, Status.PASS, Status.FAIL, Status.FAIL, *rest[3:]))
    page = open_report([after, assessment("new01")], previous=earlier(before, assessment("old01"))).page
    moved = page.locator(".since")
    expect(moved.locator(".moves .broken")).to_have_text("1 newly failing")
    expect(moved.locator(".moves .fixed")).to_have_text("1 fixed")
    expect(moved.locator(".changes li").first).to_contain_text("pass → fail")
    expect(moved.locator(".changes li").first).to_contain_text("db01: it is fail")
    expect(moved).to_contain_text("New in this run: 1 host: new01.")
    expect(moved).to_contain_text("No longer part of the run: 1 host: old01.")
    expect(page.locator("#groups .mark")).to_have_text(["1 new"])

    moved.get_by_role("link", name="fixed").click()
    expect(page.get_by_label("Since the last run")).to_have_value("fixed")
    expect(page.locator("#count")).to_have_text("1 control, 1 finding")
    row = page.locator("#groups .group")
    row.locator("summary").click()
    row.locator(".finding summary").click()
    expect(row.locator(".evidence")).to_contain_text("Last runfail it is fail")
    page.get_by_label("Since the last run").select_option("any")
    expect(page.locator("#count")).to_have_text("2 controls, 2 findings")
    page.get_by_label("Since the last run").select_option("")
    expect(page.locator("#filters").get_by_role("button", name="pass", exact=True)).to_have_attribute(
        "aria-pressed", "false"
    )


def test_a_run_without_changes_shows_that_no_control_changed(open_report: Open) -> None:
    page = open_report([assessment()], previous=earlier(assessment())).page
    expect(page.locator(".since")).to_contain_text("No control moved.")


def test_the_trend_is_described_in_words(open_report: Open) -> None:
    hosts = list(fleet(2))
    page = open_report(hosts, previous=earlier(*hosts, fails=(100, 80, 60))).page
    now = failing(hosts) / 2
    line = page.locator(".trend svg")
    expect(line).to_have_attribute(
        "aria-label",
        f"Failing controls a host, on average: 50.0 on 2026-11-15, {now:.1f} on 2026-11-25, 4 runs",
    )
    assert line.locator(".dot").count() == 4


def test_a_first_run_shows_no_changes(open_report: Open) -> None:
    page = open_report(fleet(2)).page
    expect(page.locator(".since, .trend")).to_have_count(0)
    expect(page.get_by_label("Since the last run")).to_be_hidden()


# --- filters --------------------------------------------------------------------------------------------


def test_search_finds_controls_hosts_and_offenders(open_report: Open) -> None:
    hosts = list(fleet(12))
    page = open_report(hosts).page
    search, count = page.get_by_label("Search"), page.locator("#count")
    search.fill("WEB0003")
    expect(count).to_contain_text(f"{failing(hosts[3:4])} findings")
    search.fill("app-5-0")
    expect(count).to_contain_text(f"{failing(hosts[5:6])} findings")
    search.fill("docker_daemon")
    expect(page.locator("#groups .group").first).to_be_visible()
    search.fill("there is no such thing")
    expect(count).to_have_text("Nothing matches.")
    expect(page.locator("#groups .group")).to_have_count(0)


def test_filters_are_combined_and_stored_in_the_address(open_report: Open) -> None:
    hosts = list(fleet(12))
    page = open_report(hosts).page
    page.get_by_label("Section").select_option("5 runtime")
    press(page, "low")
    press(page, "medium")
    press(page, "error")

    def wanted(finding: Finding) -> bool:
        return finding.control.section == "runtime" and finding.control.severity in ("critical", "high")

    text = f"{failing(hosts, wanted)} findings"
    expect(page.locator("#count")).to_contain_text(text)
    address = page.evaluate("location.hash")
    assert "section=5" in address
    assert "status=fail" in address
    page.reload()
    expect(page.locator("#count")).to_contain_text(text)
    expect(page.locator("#filters").get_by_role("button", name="low")).to_have_attribute(
        "aria-pressed", "false"
    )
    page.evaluate("location.hash = ''")
    expect(page.locator("#count")).to_contain_text(f"{failing(hosts)} findings")
    page.go_back()
    expect(page.locator("#count")).to_contain_text(text)


def test_links_of_the_overview_show_the_findings_of_a_section_or_host(open_report: Open) -> None:
    page = open_report(fleet(12)).page
    page.get_by_role("link", name="The Docker daemon").click()
    expect(page.get_by_label("Section")).to_have_value("2 daemon")
    page.locator(".worst a").first.click()
    expect(page.locator("#count")).to_contain_text("1 host,")


def test_an_invalid_address_selects_nothing_or_the_failing_controls(open_report: Open) -> None:
    hosts = list(fleet(2))
    page = open_report(hosts, address="#group=nobody&section=99&severity=,&status=fail,<script>&x=%zz").page
    expect(page.locator("#count")).to_have_text("Nothing matches.")
    page = open_report(hosts, address="#group=__proto__&section=constructor").page
    expect(page.locator("#count")).to_contain_text(f"{failing(hosts)} findings")


def test_controls_are_filtered_by_group_of_the_inventory(open_report: Open) -> None:
    hosts = [assessment("db1"), assessment("db2"), gone("web1")]
    page = open_report(hosts).page
    expect(page.locator(".groups tbody tr")).to_have_count(3)
    press(page, "Groups")
    rows = page.locator("#groups .group")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("production")
    expect(rows.nth(1)).to_contain_text("3 hosts")
    page.locator("select[name=inside]").select_option("web")
    expect(page.locator("#count")).to_have_text(f"1 group, {len(CASES)} findings")
    press(page, "Hosts")
    expect(page.locator("#count")).to_have_text(f"1 host, {len(CASES)} findings")
    page.go_back()
    page.go_back()
    expect(page.locator("#count")).to_have_text(f"3 groups, {2 * 3 + len(CASES)} findings")
    page.go_back()
    expect(page.locator("#filters .by [value=control]")).to_have_attribute("aria-pressed", "true")


def test_a_link_opens_one_finding(open_report: Open) -> None:
    page = open_report(fleet(3)).page
    page.locator("#groups summary").first.click()
    page.locator("#groups .finding summary").first.click()
    page.get_by_role("link", name="to this finding alone").click()
    expect(page.locator("#count")).to_have_text("1 control, 1 finding")
    expect(page.locator("#groups .evidence")).to_be_visible()
    address = page.url
    page.get_by_role("button", name="Show what is open").click()
    expect(page.locator("#count")).to_contain_text(f"{failing(fleet(3))} findings")
    page.go_back()
    expect(page.locator("#count")).to_have_text("1 control, 1 finding")
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator("#groups .evidence")).to_be_visible()


def test_the_listed_findings_are_saved_as_csv(open_report: Open) -> None:
    hosts = [assessment("db1"), hostile_assessment('=1+1,"x"')]
    page = open_report(hosts, address="#status=fail").page
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Save as CSV").click()
    text = Path(downloading.value.path()).read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(row["host"], row["slug"], row["status"]) for row in rows][:2] == [
        ("db1", "audit-dockerd", "fail"),
        ("db1", "container-not-privileged", "fail"),
    ]
    assert rows[0]["groups"] == "database production"
    assert len(rows) == failing(hosts)
    assert all(not cell.lstrip().startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


def test_waivers_and_attestations_are_shown(open_report: Open) -> None:
    page = open_report([decided()], run=replace(RUN, decisions=DECISIONS)).page
    rows = page.locator(".decisions tbody tr")
    expect(rows).to_have_count(len(DECISIONS.waivers) + len(DECISIONS.attestations))
    expect(rows.first).to_contain_text("W-003")
    expect(rows.first).to_contain_text("1 expired, still needed")
    page.locator(".decisions").get_by_role("link", name="host-lsm").click()
    expect(page.locator("#count")).to_have_text("1 control")


def test_the_report_as_a_folder_works_where_inline_scripts_are_forbidden(
    open_report: Open, tmp_path: Path
) -> None:
    tab = open_report([])
    page, folder = tab.page, tmp_path / "pages"
    write_reports([*fleet(3, lost=1), hostile_assessment("<b>x</b>")], {folder: HtmlFolder(RUN)})
    header = {"Content-Security-Policy": "sandbox; default-src 'none'; img-src 'self'; style-src 'self'"}

    def answer(route: Route) -> None:
        path = folder / unquote(urlsplit(route.request.url).path.lstrip("/"))
        kinds = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
        route.fulfill(body=path.read_text(), content_type=kinds[path.suffix], headers=header)

    page.route("http://jenkins.example/**", answer)
    page.goto("http://jenkins.example/index.html")
    expect(page.locator(".hosts tbody tr")).to_have_count(5)
    assert page.evaluate("getComputedStyle(document.body).maxWidth") == "1152px"  # the style sheet is there
    page.locator(".hosts").get_by_role("link", name="web0001").click()
    expect(page.locator("article")).to_have_count(len(CONTROLS))
    page.locator("article a").first.click()
    expect(page.locator("h1")).to_have_text("Controls")
    page.go_back()
    expect(page.locator("h1")).to_have_text("web0001.example.com")
    assert page.evaluate(CONTRAST) == []
    page.unroute_all()
    tab.complaints.clear()
    tab.requests.clear()
    page.goto((folder / "index.html").as_uri())
    page.get_by_label("Search").fill("lost")
    expect(page.locator(".hosts tbody tr:visible")).to_have_count(1)


# --- strangers ------------------------------------------------------------------------------------------

ATTACKS = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "{{ 7*7 }}",
    "'\"><svg onload=alert(1)>",
    "javascript:alert(1)",
    "\u202egnp.exe\u2066\x1b[31m",
)


# A click each, and how many there were: what opens may have something closed in it.
CLICK_ON_WHAT_IS_CLOSED = """() => {
    const closed = document.querySelectorAll("#groups details:not([open]) > summary");
    closed.forEach((summary) => summary.click());
    return closed.length;
}"""


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("group", ["control", "host", "cis-controls-v8"])
def test_hostile_names_are_inert(open_report: Open, attack: str, group: str) -> None:
    status = "pass,fail,error,manual,waived,not_applicable"
    hosts = [hostile_assessment(attack), gone(attack, reason=attack), assessment()]
    previous = earlier(hostile_assessment(attack), assessment(attack * 2))
    page = open_report(hosts, address=f"#group={group}&status={status}", previous=previous).page
    expect(page.locator("#groups .group").first).to_be_visible()
    while page.evaluate(CLICK_ON_WHAT_IS_CLOSED):
        pass
    assert page.locator("img, iframe, object, embed, script:not([type])").count() == 1  # the page's own
    text = page.locator("body").inner_text()
    assert "\u202e" not in text
    assert "\x1b" not in text
    if attack.isprintable():
        assert attack in text


def test_the_content_security_policy_blocks_injected_scripts_styles_and_requests(open_report: Open) -> None:
    tab = open_report([assessment()])
    page = tab.page
    refused = page.evaluate(
        """() => {
            const tried = {};
            try { document.body.innerHTML = "<b>x</b>"; } catch (error) { tried.html = error.name; }
            const script = document.createElement("script");
            try { script.text = "window.ran = true"; } catch (error) { tried.script = error.name; }
            const style = document.createElement("style");
            style.textContent = "body { display: none }";
            document.body.append(style);
            const link = document.createElement("img");
            link.src = "https://evil.example/x.png";
            document.body.append(link);
            return { ...tried, ran: window.ran ?? false, display: getComputedStyle(document.body).display };
        }"""
    )
    assert refused == {"html": "TypeError", "script": "TypeError", "ran": False, "display": "block"}

    def is_told() -> bool:
        page.wait_for_timeout(20)  # messages are received meanwhile
        blocked = ("TrustedHTML", "TrustedScript", "inline style", "https://evil.example/x.png")
        return all(any(each in text for text in tab.complaints) for each in blocked)

    assert until(is_told), tab.complaints
    tab.complaints.clear()
    tab.requests.clear()


# --- people ---------------------------------------------------------------------------------------------


def test_all_controls_of_the_page_can_be_used_with_the_keyboard(open_report: Open) -> None:
    page = open_report(fleet(3)).page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the findings")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Controls", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Hosts", exact=True)).to_have_attribute("aria-pressed", "true")
    for _ in range(30):
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#groups details").first).to_have_attribute("open", "")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_page_has_landmarks_accessible_names_and_ordered_headings(open_report: Open) -> None:
    page = open_report(fleet(3)).page
    for role in ("banner", "main", "contentinfo", "search"):
        expect(page.get_by_role(role)).to_have_count(1)
    nameless = "all => all.filter(e => !(e.labels?.length || e.textContent.trim())).map(e => e.outerHTML)"
    assert page.locator("input, select, button").evaluate_all(nameless) == []
    unlabelled = "all => all.filter(e => !e.getAttribute('aria-label')).map(e => e.outerHTML)"
    assert page.get_by_role("img").evaluate_all(unlabelled) == []
    levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(e => Number(e.tagName[1]))")
    assert levels[0] == 1
    page.locator("#groups summary").first.click()
    inside = page.locator("#findings, #groups h3, #groups h4").evaluate_all(
        "all => all.map(e => Number(e.tagName[1]))"
    )
    assert all(after - before <= 1 for before, after in pairwise(inside))
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.evaluate("document.documentElement.lang") == "en"


CONTRAST = """() => {
    const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => {
        const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        const [x, y, z] = [r, g, b].map((v) => linear(v / 255));
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = (element) => {
        for (let each = element; each; each = each.parentElement) {
            const colour = parse(getComputedStyle(each).backgroundColor);
            if (colour[3] !== 0) return colour;
        }
    };
    const poor = new Set();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
        const [a, b] = [parse(getComputedStyle(element).color), behind(element)].map(light);
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) poor.add(`${element.className || element.tagName}: ${contrast.toFixed(2)}`);
    }
    return [...poor];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_is_readable_light_and_dark_wide_and_narrow(
    open_report: Open, scheme: str, width: int
) -> None:
    every = "pass,fail,error,manual,waived,not_applicable"
    hosts = [*fleet(12, lost=2), assessment("a-very-long-name-without-any-place-to-break-" * 4)]
    previous = earlier(*(replace(other, host=each.host) for each, other in pairwise(fleet(13))))
    page = open_report(hosts, address=f"#status={every}", scheme=scheme, width=width, previous=previous).page
    for group in ("Controls", "Hosts", "PCI DSS 4.0"):
        press(page, group)
        page.locator("#groups summary").first.click()
        if group == "PCI DSS 4.0":
            page.locator("#groups .control summary").first.click()
        page.locator("#groups .finding summary").first.click()
        page.mouse.move(0, 0)
        assert page.evaluate(CONTRAST) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    press(page, "Controls")
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"report-{scheme}-{width}.png")


def test_all_listed_findings_are_open_in_print(open_report: Open) -> None:
    page = open_report(fleet(3)).page
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    expect(page.locator("#filters")).to_be_hidden()
    assert page.locator("#groups details:not([open])").count() == 0
    assert page.locator("#groups .finding .evidence").count() == failing(fleet(3))
    expect(page.get_by_text("How to fix").first).to_be_visible()


def test_all_findings_are_present_without_scripts(open_report: Open) -> None:
    hosts = list(fleet(12))
    page = open_report(hosts, script=False).page
    expect(page.locator(".totals .fail b")).to_have_text(str(failing(hosts)))
    expect(page.locator(".sections tbody tr")).to_have_count(8)
    expect(page.locator(".workloads tbody tr")).to_have_count(20)
    expect(page.locator(".workloads")).to_contain_text("12 critical, 12 high, 12 medium, 12 low")
    assert page.locator("#groups .status.fail ~ b").count() == failing(hosts)
    assert page.locator("#groups .status ~ b").count() == len(hosts) * len(CONTROLS)
    page.get_by_role("link", name="The Docker daemon").click()
    expect(page.get_by_role("heading", name="2 The Docker daemon")).to_be_in_viewport()
    more = open_report(fleet(51), script=False).page
    expect(more.locator("#without")).to_contain_text("--report html-dir=DIR")
    assert more.locator("#groups article").count() == 0


def test_the_page_is_readable_where_scripts_and_styles_are_forbidden(open_report: Open) -> None:
    """The header that Jenkins sends with the files of a job."""
    hosts = list(fleet(3))
    tab = open_report(hosts)
    page = tab.page
    header = {"Content-Security-Policy": "sandbox; default-src 'none'; img-src 'self'; style-src 'self'"}
    path = Path(page.url.removeprefix("file://"))
    page.route(
        "http://jenkins.example/**",
        lambda route: route.fulfill(body=path.read_text(), content_type="text/html", headers=header),
    )
    page.goto("http://jenkins.example/report.html")
    assert len(page.locator("h1").inner_text()) > 0
    assert page.locator("#groups .status.fail ~ b").count() == failing(hosts) > 0
    assert page.locator("form").first.is_hidden()
    box = page.locator(".bar").first.bounding_box()
    assert box is not None
    assert box["height"] == 8
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert [each for each in tab.complaints if "sandboxed" in each]
    page.unroute_all()
    tab.complaints.clear()
    tab.requests.clear()


# --- size -----------------------------------------------------------------------------------------------


def test_a_thousand_hosts_are_shown_in_pages(open_report: Open) -> None:  # how fast: bench.reports
    tab = open_report(fleet(1000))
    assert tab.page.locator("#groups .group").count() == 100
    press(tab.page, "Hosts")
    expect(tab.page.locator("#count")).to_contain_text("1,000 hosts")
    assert tab.page.locator("#groups .group").count() == 100
    tab.page.get_by_role("button", name="Show 100 of 900 more hosts").click()
    assert tab.page.locator("#groups .group").count() == 200
    assert tab.page.evaluate("document.activeElement === document.querySelectorAll('#groups summary')[100]")


def test_a_host_with_fewer_controls_has_only_its_own_findings(open_report: Open) -> None:
    first = assessment("all")
    some = replace(first, host="some", findings=first.findings[3:])
    page = open_report([some, first], address="#group=host&status=pass,fail,waived,manual,error").page
    expect(page.locator("#count")).to_have_text("2 hosts, 9 findings")
