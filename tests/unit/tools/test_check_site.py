"""What a page of the site fetches from elsewhere is found, and a link that a reader follows is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_site import problems

POLICY = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">'


@pytest.mark.parametrize(
    "element",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<script src="//cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="HTTPS://fonts.example/css">',
        '<link rel="preconnect" href="https://fonts.example">',
        '<img alt="" src="http://example.org/x.png">',
        '<img alt="" srcset="https://example.org/x.png 2x">',
        '<iframe src="https://example.org"></iframe>',
        '<p style="background: url(https://example.org/x.png)"></p>',
    ],
)
def test_external_resources_are_reported(tmp_path: Path, element: str) -> None:
    (tmp_path / "index.html").write_text(f"{POLICY}{element}")
    (found,) = problems(tmp_path)
    assert found.startswith("index.html fetches ")


def test_external_resources_in_style_sheets_are_reported(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(POLICY)
    (tmp_path / "a.css").write_text("@import 'https://a.example/x.css'; b { background: url(../x.png) }")
    assert list(problems(tmp_path)) == ["a.css fetches https://a.example/x.css"]


def test_links_and_own_files_are_accepted(tmp_path: Path) -> None:
    own = '<a href="https://a.example">x</a><link rel="canonical" href="https://a.example"><img src="a.png">'
    (tmp_path / "index.html").write_text(f"{POLICY}{own}")
    assert list(problems(tmp_path)) == []


def test_a_page_without_a_policy_and_an_empty_site_are_reported(tmp_path: Path) -> None:
    assert list(problems(tmp_path)) == [f"{tmp_path}: there is no page"]
    (tmp_path / "index.html").write_text("<p>text</p>")
    assert list(problems(tmp_path)) == ["index.html has no Content-Security-Policy"]
