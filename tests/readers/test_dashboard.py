"""The dashboard of contrib/, query by query, in a real Prometheus that has read our metrics."""

from __future__ import annotations

import json
import math
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from hardener.workflows.report import metrics_of_history
from tests.unit.reports.assessments import DECISIONS, assessment, decided, gone
from tests.unit.site.sites import record

DASHBOARD = json.loads((Path(__file__).parents[2] / "contrib/grafana/docker-hosts.json").read_text())
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}
# What Grafana puts in the place of a variable whose value is "All".
VARIABLES = {"$inventory": ".*", "$host": ".*"}
_STARTS_S = 60


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The metrics of two inventories: groups, waivers, a host that cannot be reached, a name to escape."""
    home = tmp_path_factory.mktemp("home")
    hosts = [
        replace(decided("db01"), groups=("db",)),
        replace(assessment('we"b\\1'), groups=("web",)),
        gone("c"),
    ]
    today = datetime.now(UTC).date()
    ending = tuple(replace(each, expires=today + timedelta(days=3)) for each in DECISIONS.waivers)
    record(home, "one", hosts, day=99, decisions=replace(DECISIONS, today=today, waivers=ending))
    record(home, "two", [assessment("lone")], day=99, inventory="localhost,")
    return metrics_of_history(home)


@pytest.fixture(scope="module")
def prometheus(metrics: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that has scraped them."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.fail("prometheus is missing: apt-get install prometheus", pytrace=False)
    folder = tmp_path_factory.mktemp("prometheus")
    exporter = ThreadingHTTPServer(("127.0.0.1", 0), _serving(metrics))
    Thread(target=exporter.serve_forever, daemon=True).start()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s"},
                "scrape_configs": [
                    {
                        "job_name": "node",
                        "static_configs": [{"targets": [f"127.0.0.1:{exporter.server_port}"]}],
                    }
                ],
            }
        )
    )
    command = [
        program,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log, stdout=log) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(address, folder / "log")
            yield address
        finally:
            process.terminate()
            exporter.shutdown()


def _serving(text: str) -> type[BaseHTTPRequestHandler]:
    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    return Exporter


def _wait(address: str, log: Path) -> None:
    until = time.monotonic() + _STARTS_S
    while time.monotonic() < until:
        try:
            if asked(address, "hardener_build_info"):
                return
        except (URLError, ConnectionError):
            pass
        time.sleep(0.2)
    pytest.fail(f"Prometheus has read nothing: {log.read_text()}", pytrace=False)


def asked(address: str, query: str) -> list[dict[str, Any]]:
    """The series that a query gives now."""
    with urlopen(f"{address}/api/v1/query?{urlencode({'query': query})}", timeout=10) as answer:
        data = json.load(answer)
    assert data["status"] == "success"
    assert not data.get("warnings"), data
    found: list[dict[str, Any]] = data["data"]["result"]
    return found


def queries(panel: dict[str, Any]) -> list[str]:
    """The queries of a panel, with all inventories and hosts chosen."""
    made = []
    for target in panel["targets"]:
        query = target["expr"]
        for name, value in VARIABLES.items():
            query = query.replace(name, value)
        assert "$" not in query
        made.append(query)
    return made


@pytest.mark.parametrize("title", PANELS)
def test_every_query_returns_data(prometheus: str, title: str) -> None:
    panel = PANELS[title]
    for query, target in zip(queries(panel), panel["targets"], strict=True):
        series = asked(prometheus, query)
        assert series, query
        assert all(math.isfinite(float(each["value"][1])) for each in series)
        labels = set(series[0]["metric"])
        wanted = target.get("legendFormat", "")
        if wanted:
            assert wanted.strip("{}") in labels, query
        for transformation in panel.get("transformations", ()):
            renamed = set(transformation["options"]["renameByName"]) - {"Value"}
            assert renamed <= labels, query


def test_queries_return_the_values_of_the_runs(prometheus: str) -> None:
    def value(title: str) -> float:
        (query,) = queries(PANELS[title])
        (only,) = asked(prometheus, query)
        return float(only["value"][1])

    assert value("Hosts not reached") == 1
    assert value("Not evaluated") == 7 + 2  # all controls of that host, and one on each of two others
    assert value("Failing findings") == 6
    assert value("Critical or high") == 5  # one of the six is a medium one
    assert abs(value("Last run") - 86400) < 3600


def test_each_variable_of_the_dashboard_reads_a_label_of_the_metrics(prometheus: str) -> None:
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            inner = variable["definition"].removeprefix("label_values(").removesuffix(")")
            query, _, label = inner.rpartition(", ")
            found = asked(prometheus, query.replace("$inventory", ".*"))
            assert {each["metric"][label] for each in found}
    hosts = asked(prometheus, "hardener_host_reachable")
    assert {each["metric"]["host"] for each in hosts} == {"db01", 'we"b\\1', "c", "lone"}


def test_panels_do_not_overlap_and_have_unique_ids() -> None:
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(PANELS) == len(DASHBOARD["panels"])


def test_the_dashboard_uses_only_metrics_of_hardener(metrics: str) -> None:
    ours = {line.split(" ")[2] for line in metrics.splitlines() if line.startswith("# TYPE ")}
    text = json.dumps(DASHBOARD)
    used = {word for word in text.replace("{", " ").replace("(", " ").split() if word.startswith("hardener_")}
    assert {word.strip('",)') for word in used} <= ours


def test_promtool_accepts_the_metrics(metrics: str) -> None:
    program = shutil.which("promtool")
    assert program, "promtool is missing: apt-get install prometheus"
    checked = subprocess.run(
        [program, "check", "metrics"], input=metrics.encode(), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stderr.decode()) == (0, "")
