"""No condition of a ``for`` in a template reads ``loop``, which only the body of the loop has."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import Environment, nodes

from tests.unit.walls.sources import PACKAGE

TEMPLATES = sorted(PACKAGE.rglob("*.html"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_filter_of_a_template_loop_reads_the_variable_loop(path: Path) -> None:
    assert not reads_its_loop(path.read_text(encoding="utf-8"))


def test_a_loop_filter_that_reads_the_variable_loop_is_found() -> None:
    assert reads_its_loop("{% for each in all if each or loop.last %}{{ each }}{% endfor %}")
    assert not reads_its_loop("{% for each in all if each %}{{ loop.index }}{% endfor %}")


def reads_its_loop(text: str) -> bool:
    """Return whether the condition of a ``for`` of the template reads ``loop``."""
    loops = Environment(autoescape=True).parse(text).find_all(nodes.For)
    conditions = nodes.Tuple([each.test for each in loops if each.test], "load")
    return any(name.name == "loop" for name in conditions.find_all(nodes.Name))
