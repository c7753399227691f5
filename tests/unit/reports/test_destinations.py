"""Reports that are divided among files."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.errors import HardenerError
from hardener.model import Assessment
from hardener.reports import destinations, junit, sarif
from hardener.reports.destinations import Parts, by_group, by_host, file_name
from hardener.reports.formats import FORMATS
from hardener.reports.interface import write_reports
from hardener.run import RunInfo
from tests.unit.reports.assessments import CONTROLS, assessment, gone
from tests.unit.reports.readers import read_junit, read_sarif

Split = Callable[..., dict[str, list[str]]]


def inside(host: str, *groups: str) -> Assessment:
    return replace(assessment(host), groups=groups)


@pytest.fixture
def split(tmp_path: Path, run: RunInfo) -> Split:
    """Write JUnit in parts; gives the hosts of each file."""

    def written(hosts: list[Assessment], how: str) -> dict[str, list[str]]:
        make = partial(FORMATS["junit"].report, run)
        parts = by_host(make) if how == "host" else by_group(make, hosts)
        write_reports(iter(hosts), {tmp_path / "report.xml": parts})
        assert list(tmp_path.glob(".hardener*")) == []
        return {
            path.name: [str(suite.name) for suite in read_junit(path)] for path in sorted(tmp_path.iterdir())
        }

    return written


def test_each_host_has_a_file(split: Split) -> None:
    hosts = [assessment("web1"), gone("web.2"), assessment("web1")]
    files = split(hosts, "host")
    assert files.pop("report-web1.xml") == ["web1"]
    assert files == {"report-web1+2.xml": ["web1"], "report-web.2.xml": ["web.2"]}


def test_a_host_is_only_in_the_file_of_its_smallest_group(split: Split) -> None:
    hosts = [
        inside("w1", "eu", "web"),
        inside("d1", "eu", "db"),
        inside("w2", "eu", "web"),
        inside("e1", "eu"),
        inside("x"),
    ]
    assert split(hosts, "group") == {
        "report-db.xml": ["d1"],
        "report-eu.xml": ["e1"],
        "report-ungrouped.xml": ["x"],
        "report-web.xml": ["w1", "w2"],
    }


def test_without_hosts_there_is_one_file(split: Split) -> None:
    assert split([], "group") == {"report.xml": []}


def test_few_files_are_open_for_any_number_of_groups(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destinations, "_OPEN", 3)
    hosts = [inside(f"h{number}", f"g{number % 5}") for number in range(10)]
    files = split(hosts, "group")
    assert Counter(host for names in files.values() for host in names) == Counter(each.host for each in hosts)
    assert "report-g0+2.xml" in files


def test_a_part_that_is_too_large_continues_in_another_file(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(junit, "_ELEMENTS", 40)
    hosts = [inside(f"h{number}", "web") for number in range(5)]
    assert list(split(hosts, "group").values()) == [["h2", "h3"], ["h4"], ["h0", "h1"]]


def test_parts_of_sarif_have_different_run_ids(
    tmp_path: Path, run: RunInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sarif, "_RESULTS", 2 * len(CONTROLS))
    hosts = [replace(gone(f"h{number}"), groups=("web",)) for number in range(5)]
    write_reports(hosts, {tmp_path / "r.sarif": by_group(partial(FORMATS["sarif"].report, run), hosts)})
    ids = {
        path.name: read_sarif(path)["automationDetails"]["id"].split("/")[2] for path in tmp_path.iterdir()
    }
    assert ids == {"r-web.sarif": "web", "r-web+2.sarif": "web+2", "r-web+3.sarif": "web+3"}


def test_an_error_leaves_every_file_unchanged(tmp_path: Path, run: RunInfo) -> None:
    (tmp_path / "report-a.xml").write_text("before")
    parts = by_host(partial(FORMATS["junit"].report, run))
    broken = Parts(parts.make, lambda host: str(1 // 0) if host.host == "b" else host.host)
    with pytest.raises(ZeroDivisionError):
        write_reports([assessment("a"), assessment("b")], {tmp_path / "report.xml": broken})
    assert [path.name for path in tmp_path.iterdir()] == ["report-a.xml"]
    assert (tmp_path / "report-a.xml").read_text() == "before"


def test_an_unwritable_file_is_an_error_that_names_it(tmp_path: Path, run: RunInfo) -> None:
    parts = by_host(partial(FORMATS["junit"].report, run))
    (tmp_path / "file").touch()
    with pytest.raises(HardenerError, match=r"report-a\.xml"):
        write_reports([assessment("a")], {tmp_path / "file" / "report.xml": parts})


_ROOT = re.compile(rb"<\?xml.*\n<testsuites.*\n|</testsuites>\n")  # what is counted lies in it


@pytest.mark.parametrize(
    ("name", "limit", "counted"),
    [
        ("junit", (junit, "_MOST_BYTES"), lambda text: len(_ROOT.sub(b"", text))),
        ("junit", (junit, "_MOST_ELEMENTS"), lambda text: text.count(b"<") - text.count(b"</") - 2),
        ("sarif", (sarif, "_MOST_RESULTS"), lambda text: len(json.loads(text)["runs"][0]["results"])),
    ],
)
def test_a_file_larger_than_its_reader_accepts_is_written_with_a_warning(
    tmp_path: Path,
    run: RunInfo,
    monkeypatch: pytest.MonkeyPatch,
    *,
    name: str,
    limit: tuple[Any, str],
    counted: Callable[[bytes], int],
) -> None:
    hosts = [inside(f"h{number}", "web") for number in range(3)]
    path = tmp_path / "report"
    make = partial(FORMATS[name].report, run)
    assert write_reports(hosts, {path: make()}) == []
    whole = path.read_bytes()
    seen = counted(whole)
    monkeypatch.setattr(*limit, seen)
    assert write_reports(hosts, {path: make()}) == []
    monkeypatch.setattr(*limit, seen - 1)
    (warning,) = write_reports(hosts, {path: make()})
    assert path.read_bytes() == whole
    assert re.fullmatch(
        rf"{path}: [\d,.]+ .*, more than the .* that Git(Lab reads|Hub accepts):"
        " --split host or --split group writes several smaller files",
        warning,
    )
    assert write_reports(hosts, {path: by_group(make, hosts)}) == []


def test_size_limits_of_junit_and_sarif_equal_those_of_their_readers() -> None:
    assert (junit._MOST_BYTES, junit._MOST_ELEMENTS) == (30_000_000, 250_000)
    assert sarif._MOST_RESULTS == 25_000


@pytest.mark.parametrize("name", ["web", "eu-1", "web_1", "A", "10.0.0.7", "db01.example.com"])
def test_a_simple_name_is_its_own_file_name(name: str) -> None:
    assert file_name(name) == name


@given(st.text("ab._-/ \u00e4", max_size=5), st.text("ab._-/ \u00e4", max_size=5))
def test_different_names_give_different_files(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) is (one == other)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../../etc/passwd", "a\0b", "x" * 5000, "\ud800", "-rf", "a..b", ".a"]
)
def test_any_name_gives_a_file_name_of_limited_length(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,119}", file_name(name))
