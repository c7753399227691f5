"""The pages of the site in Chromium: without script, under the policy of Jenkins, by axe in four looks."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.integration.browser import browser
from tests.unit.reports.assessments import (
    ATTACKS,
    DECISIONS,
    VERDICTS,
    assessment,
    decided,
    gone,
    hostile_assessment,
)
from tests.unit.site.sites import record, written

__all__ = ["browser"]  # a fixture

ROOT = Path(__file__).parents[2]
JENKINS = "sandbox; default-src 'none'; img-src 'self'; style-src 'self'"
KINDS = {
    "front": "index.html",
    "inventory": "inventories/*prod*/index.html",
    "hosts": "inventories/*prod*/hosts.html",
    "host": "inventories/*prod*/hosts/db01.html",
    "hostile host": "inventories/*prod*/hosts/script-*.html",
    "unreachable host": "inventories/*prod*/hosts/gone.html",
    "controls": "inventories/*prod*/controls.html",
    "control": "inventories/*prod*/controls/container-not-privileged.html",
    "groups": "inventories/*prod*/groups.html",
    "group": "inventories/*prod*/groups/all.html",
    "runs": "inventories/*prod*/runs.html",
    "run": "inventories/*prod*/runs/two.html",
    "waivers": "inventories/*prod*/waivers.html",
}
LOOKS = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with every kind of page."""
    folder = tmp_path_factory.mktemp("site")
    better = (replace(VERDICTS[0], status=VERDICTS[1].status), *VERDICTS[1:])
    for day, verdicts in enumerate((VERDICTS, better)):
        hosts = [
            replace(decided("db01") if day else assessment("db01", verdicts), groups=("all", "db")),
            replace(assessment("web01.example.com", verdicts), groups=("all", "web")),
            replace(hostile_assessment(ATTACKS["html"][0]), groups=("all", ATTACKS["html"][2])),
            gone("gone"),
        ]
        record(folder / "home", ("one", "two")[day], hosts, day=day, decisions=DECISIONS)
    record(folder / "home", "other", [assessment("lone")], inventory="localhost,")
    written(folder / "home", folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The site as Jenkins serves it."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            self.send_header("Content-Security-Policy", JENKINS)
            super().end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(site))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def axe() -> str:
    found = list(ROOT.glob(".venv-readers/lib/python*/site-packages/axe_playwright_python/axe.min.js"))
    if not found:
        pytest.fail("axe is missing: `make readers` installs it", pytrace=False)
    return found[0].read_text(encoding="utf-8")


def path_of(site: Path, kind: str) -> str:
    """The path of the page of a kind."""
    (path,) = site.glob(KINDS[kind])
    return path.relative_to(site).as_posix()


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_axe_reports_no_problem_and_no_content_is_cut_off(
    browser: Browser, site: Path, axe: str, scheme: Any, width: int
) -> None:
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True
    )
    page = context.new_page()
    found = []
    for kind in KINDS:
        page.goto((site / path_of(site, kind)).as_uri())
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
        page.evaluate(axe)
        violations = page.evaluate("axe.run(document).then((result) => result.violations)")
        found += [(kind, each["id"], each["nodes"][0]["html"]) for each in violations]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append((kind, "wider than the screen", ""))
    context.close()
    assert found == []


@pytest.mark.parametrize("kind", KINDS)
def test_pages_are_readable_under_jenkins_policy_without_script(
    browser: Browser, site: Path, address: str, kind: str
) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"{address}/{path_of(site, kind)}")
    heading = page.locator("h1")
    assert heading.count() == 1
    assert heading.is_visible()
    styled = page.locator("body").evaluate("(body) => getComputedStyle(body).maxWidth")
    assert styled == "1152px"
    assert complaints == []
    assert all(url.startswith(address) for url in requests)
    context.close()


def test_a_finding_opens_without_script(browser: Browser, site: Path, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/{path_of(site, 'host')}")
    finding = page.locator("#container-not-privileged")
    assert not finding.locator("dl").is_visible()
    finding.locator("summary").click()
    assert finding.locator("dl").is_visible()
    finding.get_by_role("link").click()
    assert "container-not-privileged" in page.url
    page.get_by_role("link", name="All inventories").click()
    assert page.url == f"{address}/index.html"
    context.close()
