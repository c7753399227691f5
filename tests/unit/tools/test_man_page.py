"""The man page has every command and option, and its reader has nothing to complain of."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from hardener.cli import main
from tests.unit.reports.assessments import HOSTILE
from tools import man_page


def shown(path: Path) -> str:
    """The page as man shows it; its warnings fail."""
    environment = {**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"}
    found = subprocess.run(
        ["man", "--warnings", "-l", str(path)], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stderr == ""
    return re.sub(".\b", "", found.stdout)


@pytest.mark.skipif(shutil.which("man") is None, reason="there is no man")
def test_the_page_has_every_command_and_no_warning() -> None:
    text = shown(man_page.PAGE)
    for name in main.list_commands(click.Context(main)):
        assert f"\n   hardener {name}\n" in text
    assert "hardener schedule status" in text
    assert "--fail-on [critical|high|medium|low]" in text
    assert "a change was rolled back" in text


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="there is no mandoc")
def test_mandoc_only_reports_the_missing_date() -> None:
    command = ["mandoc", "-T", "lint", "-W", "warning", str(man_page.PAGE)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [each for each in found.stdout.splitlines() if "missing date" not in each] == []


def test_the_page_is_ascii() -> None:
    """``make check-docs`` compares it with what is generated: versions of click word options differently."""
    assert man_page.page().isascii()
    assert man_page.PAGE.read_bytes().isascii()


@pytest.mark.parametrize("text", [*HOSTILE, ".so /etc/passwd", "'br", "\\fBx", "-i", "a~b^c`d", " .x"])
def test_text_cannot_become_a_roff_request(text: str) -> None:
    for line in text.splitlines() or [""]:
        escaped = man_page._text(line)
        assert not escaped.startswith((".", "'", " "))
        assert not re.search(r"\\(?![-e&]|\(..|\[u[0-9A-F]{4,6}\])", escaped)
