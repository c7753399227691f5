"""The site of a history: pages, links and texts, whatever hosts are called, and what a later run changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hardener.errors import HardenerError
from hardener.history import History
from hardener.model import Finding, Offender, Status, Verdict
from hardener.site import rendering
from hardener.site.folder import SiteFolder, Written
from tests.unit.reports.assessments import (
    ATTACKS,
    CONTROLS,
    DECISIONS,
    HOSTILE,
    VERDICTS,
    assessment,
    decided,
    gone,
    hostile_assessment,
    statuses,
)
from tests.unit.site.sites import LARGEST, Page, dead_links, grouped, pages, record, written

PROD = "inventories/prod~"
BETTER = (Verdict(Status.PASS, "a rule", "a rule"), *VERDICTS[1:])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "site"


def at(found: dict[str, Page], end: str) -> Page:
    """The page of the inventory whose path ends so."""
    (page,) = [each for name, each in found.items() if name.startswith(PROD) and name.endswith(f"/{end}")]
    return page


def text(page: Page) -> str:
    return " ".join(" ".join(page.said).split())


def test_the_page_of_an_earlier_host_has_no_link_to_a_missing_control_page(home: Path, out: Path) -> None:
    more = [assessment("a"), assessment("left")]
    record(home, "one", more, day=1)
    record(home, "two", [assessment("a", BETTER), assessment("left", BETTER)], day=2)
    record(home, "newer", [replace(each, findings=each.findings[1:]) for each in more[:1]], day=3)
    written(home, out)
    found = pages(out)
    assert "audit-etc-docker" in " ".join(at(found, "hosts/left.html").ids)
    assert list(dead_links(out, found)) == []


def test_all_pages_of_a_fleet_exist_and_all_links_have_targets(home: Path, out: Path) -> None:
    fleet = [grouped(assessment("a"), "all", "web"), grouped(decided("b"), "all"), grouped(gone("c"))]
    record(home, "one", fleet, day=1, decisions=DECISIONS)
    record(home, "two", [grouped(assessment("a", BETTER), "all"), *fleet[1:]], day=2, decisions=DECISIONS)
    record(home, "part", fleet[:1], day=3, limit="a")
    record(home, "elsewhere", fleet[:1], day=4, inventory="localhost,")
    written(home, out)
    found = pages(out)
    assert not list(dead_links(out, found))
    names = {name.split("/", 2)[2] for name in found if name.startswith(PROD)}
    assert names == {
        *("index.html", "hosts.html", "groups.html", "controls.html", "runs.html", "waivers.html"),
        *(f"hosts/{name}.html" for name in "abc"),
        *(f"groups/{name}.html" for name in ("all", "web")),
        *(f"runs/{name}.html" for name in ("one", "two", "part")),
        *(f"controls/{control.slug}.html" for control in CONTROLS),
    }
    assert "1 newly failing" in text(at(found, "index.html"))  # on the host of the limited run
    assert "1 fixed" in text(at(found, "runs/two.html"))
    assert "No earlier run" in text(at(found, "runs/one.html"))
    assert "only hosts a" in text(at(found, "runs/part.html"))
    assert "It could not be reached: ssh: connection refused" in text(at(found, "hosts/c.html"))
    assert "W-003" in text(at(found, "waivers.html"))
    assert "0 of 2 inventories are compliant" in text(found["index.html"])


def test_compliance_does_not_count_what_no_check_decides(home: Path, out: Path) -> None:
    record(home, "one", [assessment("a", statuses(*Status, Status.PASS))])
    written(home, out)
    shown = text(at(pages(out), "hosts/a.html"))
    assert "compliance is 40%" in shown  # 2 pass, 1 fails, 1 is waived, 1 is an error


def test_hostile_names_are_escaped(home: Path, out: Path) -> None:
    texts = [*HOSTILE, *ATTACKS["html"], "../../../etc/passwd", ".", "..", "é" * 4096]
    hosts = [grouped(hostile_assessment(each), each, "all") for each in texts]
    decisions = replace(
        DECISIONS,
        waivers=tuple(replace(DECISIONS.waivers[0], id=each, reason=each, owner=each) for each in texts),
    )
    record(home, "one", hosts, decisions=decisions)
    record(home, "two", hosts, decisions=decisions, day=1)
    for number, each in enumerate(ATTACKS["html"]):
        record(home, f"of-{number}", [assessment(each)], inventory=each, limit=each)
    written(home, out)
    found = pages(out)
    assert not list(dead_links(out, found))
    assert len([name for name in found if name.startswith(PROD) and "/hosts/" in name]) == len(texts)
    whole = b"".join(path.read_bytes() for path in out.rglob("*.html")).decode()
    assert all(line.isprintable() for line in whole.replace("\u2009", "").split("\n"))
    assert sorted(path.name for path in out.parent.iterdir()) == ["home", "site"]


def test_a_page_stays_below_its_limit(home: Path, out: Path) -> None:
    wide = "\U000e0001<&" * 100  # each of the three becomes many bytes
    offenders = tuple(Offender(wide, f"{wide}{number}", wide) for number in range(60))
    loud = Verdict(Status.FAIL, wide, wide, offenders, (wide,) * 30, 60)
    controls = [replace(CONTROLS[0], slug=f"control-{number}", title=wide) for number in range(15)]
    one = replace(assessment("a"), findings=tuple(Finding(control, loud) for control in controls))
    record(home, "one", [one])
    written(home, out)
    assert not list(dead_links(out, pages(out)))
    assert (next(out.rglob("hosts/a.html"))).stat().st_size > LARGEST / 3  # two findings have their details


def test_a_long_list_becomes_several_pages(home: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "_ROWS", 20)
    names = [f"{number:04}{'<' * 90}" for number in range(30)]
    few = tuple(Finding(*pair) for pair in zip(CONTROLS[:1], VERDICTS[:1], strict=True))
    hosts = [grouped(replace(assessment(name), findings=few), "all") for name in names]
    record(home, "one", hosts)
    record(home, "two", [replace(each, findings=(Finding(CONTROLS[0], BETTER[0]),)) for each in hosts], day=1)
    record(home, "three", hosts, day=2)
    written(home, out)
    found = pages(out)
    assert not list(dead_links(out, found))
    for kind in ("hosts", "groups/all", "controls/audit-dockerd", "runs/three"):
        listing = [
            page
            for name, page in found.items()
            if name.split("/", 2)[-1].startswith((f"{kind}.", f"{kind}~"))
        ]
        assert len(listing) == 2, kind
        said = " ".join(text(page) for page in listing)
        assert all(f"{number:04}<" in said for number in range(30)), kind


def test_decisions_are_shown_with_their_people_hosts_and_evidence(home: Path, out: Path) -> None:
    record(home, "one", [grouped(decided(host), "all") for host in ("db01", "db02")], decisions=DECISIONS)
    written(home, out)
    shown = text(at(pages(out), "waivers.html"))
    for expected in (
        "2 in force",
        "2 not needed",
        "W-003",
        "expired",
        "ending",
        "The SIEM.",
        "J. Doe on 2026-09-01; evidence images.pdf, SHA-256 9f9f",
    ):
        assert expected in shown, expected


def test_without_a_new_run_no_file_is_written(home: Path, out: Path) -> None:
    record(home, "one", [grouped(assessment("a"), "all"), decided("b")], decisions=DECISIONS)
    record(home, "two", [assessment("a", BETTER), gone("b")], day=1)
    first = written(home, out)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in out.rglob("*.*ml")}
    assert written(home, out) == Written(first.files, 0, 0)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in out.rglob("*.*ml")} == before


def test_a_new_run_does_not_change_other_runs_and_inventories(home: Path, out: Path) -> None:
    record(home, "one", [assessment("a")])
    record(home, "two", [assessment("a", BETTER)], day=1)
    record(home, "other", [assessment("a")], inventory="localhost,")
    written(home, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.html")}
    record(home, "three", [assessment("a")], day=2)
    written(home, out)
    changed = {path.name for path, moment in before.items() if path.stat().st_mtime_ns != moment}
    assert not changed & {"one.html", "two.html", "other.html"}
    assert {"index.html", "runs.html", "a.html"} <= changed
    assert not [
        path for path in before if "localhost" in path.parts[-2] and path.stat().st_mtime_ns != before[path]
    ]


def test_the_same_history_gives_the_same_bytes(home: Path, out: Path, tmp_path: Path) -> None:
    record(home, "one", [grouped(assessment("a"), "all"), assessment("b")], decisions=DECISIONS)
    written(home, out)
    record(home, "two", [grouped(assessment("a", BETTER), "web"), gone("c")], day=1)
    written(home, out)
    written(home, tmp_path / "fresh")
    both = [
        {path.relative_to(each).as_posix(): path.read_bytes() for path in each.rglob("*.*ml")}
        for each in (out, tmp_path / "fresh")
    ]
    assert both[0] == both[1]


def test_pages_of_removed_runs_are_removed(home: Path, out: Path) -> None:
    record(home, "one", [assessment("a")], inventory="localhost,")
    record(home, "two", [assessment("a")], day=1)
    record(home, "three", [assessment("b")], day=2)
    written(home, out)
    assert "It was not part of the last run" in text(at(pages(out), "hosts/a.html"))
    (home / "retention.yml").write_text("keep_runs: 1\n")
    record(home, "four", [assessment("b")], day=3)
    written(home, out)
    found = pages(out)
    assert not list(dead_links(out, found))
    assert not [name for name in found if "localhost" in name or name.endswith(("two.html", "hosts/a.html"))]


def test_a_removed_host_keeps_its_page_for_any_name(home: Path, out: Path) -> None:
    record(home, "one", [assessment("a"), *(assessment(each) for each in ("\ud800", "b" * 11_000, "<b>"))])
    record(home, "two", [assessment("a", BETTER), assessment("\ud800", BETTER)], day=1)
    record(home, "three", [assessment("a")], day=2)
    written(home, out)
    found = pages(out)
    assert not list(dead_links(out, found))
    assert len([name for name in found if "/hosts/" in name]) == 4
    assert text(at(found, "hosts.html")).count("last read") == 3


def test_a_deleted_page_is_written_again(home: Path, out: Path) -> None:
    record(home, "one", [assessment("a")])
    written(home, out)
    (removed,) = out.rglob("runs/one.html")
    removed.unlink()
    assert written(home, out).changed == 1
    assert removed.is_file()


def test_a_killed_run_leaves_complete_pages_and_the_next_one_finishes(
    home: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(home, "one", [assessment("a"), assessment("b")])
    written(home, out)
    record(home, "two", [assessment("a", BETTER), gone("c")], day=1)
    write, left = SiteFolder.write, [0]

    def dying(folder: SiteFolder, *arguments: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        write(folder, *arguments)

    monkeypatch.setattr(SiteFolder, "write", dying)
    for count in range(0, 15, 3):
        left[0] = count
        with pytest.raises(KeyboardInterrupt):
            written(home, out)
        found = pages(out)
        assert not [each for each in dead_links(out, found) if each[0] == "index.html"]
    monkeypatch.undo()
    written(home, out)
    written(home, tmp_path / "fresh")
    assert pages(out).keys() == pages(tmp_path / "fresh").keys()
    assert all((tmp_path / "fresh" / name).read_bytes() == (out / name).read_bytes() for name in pages(out))


def test_an_empty_history_is_an_error(home: Path, out: Path) -> None:
    with pytest.raises(HardenerError, match="no run is kept"):
        written(home, out)
    assert not out.exists()


def test_runs_of_a_selection_of_controls_are_shown_and_marked(home: Path, out: Path) -> None:
    record(home, "one", [assessment("a")], only=("daemon",))
    written(home, out)
    found = pages(out)
    assert not list(dead_links(out, found))
    assert "audit, daemon" in text(at(found, "index.html"))


def test_the_pages_show_the_latest_state(home: Path, out: Path) -> None:
    record(home, "whole", [assessment("a"), assessment("b")])
    record(home, "part", [assessment("a", BETTER)], day=1, limit="a", verb="harden")
    written(home, out)
    found = pages(out)
    assert not list(dead_links(out, found))
    assert "harden, the newest of 2 runs over parts of the hosts or controls" in text(at(found, "index.html"))
    for name in "ab":
        assert "It was not part of the last run" not in text(at(found, f"hosts/{name}.html"))


def test_the_page_of_an_inventory_begins_with_its_most_severe_failures(home: Path, out: Path) -> None:
    record(home, "one", [assessment("a"), assessment("b", BETTER)])
    written(home, out)
    said = at(pages(out), "index.html").text
    parts = ("Most severe: ", "controls/container-not-privileged.html", "privileged containers", "totals")
    assert [said.index(part) for part in parts] == sorted(said.index(part) for part in parts)


def test_the_page_of_a_host_has_the_history_of_its_controls(home: Path, out: Path) -> None:
    for day, verdicts in enumerate((VERDICTS, BETTER, VERDICTS, VERDICTS)):
        record(home, f"run{day}", [assessment("a", verdicts), assessment("b")], day=day)
    written(home, out)
    said = (next(out.rglob("hosts/a.html"))).read_text()
    assert '<rect class="fail" x="0" width="1" height="1"/><rect class="pass" x="1" width="1"' in said
    assert "What changed" not in next(out.rglob("hosts/b.html")).read_text()
    assert History(home).run("run3").info.ended - History(home).run("run0").info.ended == timedelta(days=3)


@pytest.mark.parametrize("runs", [1, 2, 40, 41])
def test_a_trend_of_many_runs_marks_only_the_last_one(home: Path, out: Path, runs: int) -> None:
    for day in range(runs):
        record(home, f"run{day}", [assessment("a")], day=day)
    written(home, out)
    dots = next(out.rglob("hosts/a.html")).read_text().count('class="dot"')
    assert dots == {1: 0, 41: 1}.get(runs, runs)


@pytest.mark.parametrize("field", ["not_begun", "change_failed"])
def test_hosts_that_were_not_changed_as_asked_are_named_with_the_reason(
    home: Path, out: Path, field: str
) -> None:
    reason: dict[str, Any] = {field: "outside its windows"}
    waiting = replace(assessment("b", BETTER), **reason)
    record(home, "one", [assessment("a", BETTER), waiting], verb="harden")
    written(home, out)
    found = pages(out)
    named = {name for name, page in found.items() if "outside its windows" in " ".join(page.said)}
    of_a_group = {"production.html", "database.html"}
    assert {name.rpartition("/")[2] for name in named} == {
        *("index.html", "hosts.html", "one.html", "b.html"),
        *of_a_group,
    }
    assert not any("Compliant" in " ".join(found[name].said) for name in named)
