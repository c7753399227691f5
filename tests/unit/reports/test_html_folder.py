from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hardener.model import Assessment
from hardener.reports.html_folder import HtmlFolder
from hardener.reports.interface import write_reports
from hardener.run import RunInfo
from tests.unit.reports.assessments import (
    ATTACKS,
    CONTROLS,
    assessment,
    decided,
    earlier,
    gone,
    hostile_assessment,
)
from tests.unit.reports.readers import Page

Pages = dict[str, str]


@pytest.fixture
def pages(tmp_path: Path, run: RunInfo) -> Callable[..., Pages]:
    """Write the folder, and read its files."""

    def written(*hosts: Assessment) -> Pages:
        folder = tmp_path / "pages"
        before = earlier(run, *(replace(each, unreachable="") for each in hosts[:1])) if hosts else None
        write_reports(iter(hosts), {folder: HtmlFolder(run, before)})
        assert not list(folder.rglob(".hardener*"))
        return {
            str(path.relative_to(folder)): path.read_text(encoding="utf-8")
            for path in folder.rglob("*")
            if path.is_file()
        }

    return written


def links(text: str) -> list[str]:
    return [str(values["href"]) for tag, values in Page(text).elements if tag in ("a", "link")]


def test_every_host_has_a_page_with_every_control(pages: Callable[..., Pages]) -> None:
    found = pages(assessment("db01.example.com"), gone("web_1"), assessment("db01.example.com"))
    hosts = {name for name in found if name.startswith("hosts/")}
    assert hosts == {
        "hosts/db01.example.com.html",
        "hosts/web_1.html",
        "hosts/db01.example.com+2.html",
    }
    for name in hosts:
        assert found[name].count("<article ") == len(CONTROLS)
    assert "privileged containers" in found["hosts/db01.example.com.html"]
    assert "Not reached: ssh: connection refused" in found["hosts/web_1.html"]
    assert found["controls.html"].count("<article ") == len(CONTROLS)
    assert "Set it for audit-dockerd." not in found["hosts/web_1.html"]  # it stands once, with the control


def test_every_link_has_a_target(pages: Callable[..., Pages]) -> None:
    found = pages(decided(), assessment("a b/../c"), gone("web_1"))
    for name, text in found.items():
        if not name.endswith(".html"):
            continue
        for link in links(text):
            if link.startswith("data:"):
                continue
            path, _, place = link.partition("#")
            target = str((Path("/") / Path(name).parent / path).resolve().relative_to("/")) if path else name
            assert target in found, (name, link)
            assert not place or f' id="{place}"' in found[target], (name, link)


def test_pages_have_no_inline_code_and_load_nothing_external(pages: Callable[..., Pages]) -> None:
    found = pages(decided(), gone())
    for name, text in found.items():
        if not name.endswith(".html"):
            continue
        page = Page(text)
        assert "".join(page.raw["script"] + page.raw["style"]) == ""
        for _tag, values in page.elements:
            assert not [each for each in values if each.startswith("on") or each == "style"]
            for key in ("src", "href"):
                assert not re.match(r"[a-z]+://|//", str(values.get(key, ""))), (name, values)


@pytest.mark.parametrize("attack", ATTACKS["html"])
def test_untrusted_text_adds_no_element(pages: Callable[..., Pages], attack: str) -> None:
    def shape(text: str) -> list[list[tuple[str, list[str]]]]:
        lost = replace(gone(text + "2", reason=text), groups=())  # groups are sorted by name
        found = pages(hostile_assessment(text), lost)
        assert all(each.replace("\n", "").isprintable() for each in found.values())
        return [
            [(tag, list(values)) for tag, values in Page(found[name]).elements]
            for name in found
            if name in ("index.html", "controls.html")
        ]

    assert shape(attack) == shape("calm")


def test_other_files_in_the_folder_are_kept(tmp_path: Path, run: RunInfo) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "index.html").write_text("before")

    def broken() -> Assessment:
        raise ValueError("the disk of the store")

    with pytest.raises(ValueError, match="disk"):
        write_reports((broken() for _ in range(1)), {tmp_path: HtmlFolder(run)})
    assert (tmp_path / "index.html").read_text() == "before"
    write_reports([assessment()], {tmp_path: HtmlFolder(run)})
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert "Not compliant" in (tmp_path / "index.html").read_text()


def test_a_folder_without_hosts_is_valid(pages: Callable[..., Pages]) -> None:
    assert "Nothing assessed" in pages()["index.html"]
