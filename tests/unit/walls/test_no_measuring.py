"""Tests assert no time: a busy machine takes longer without a defect, and bench/ measures."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.unit.walls.sources import ROOT

CLOCK = re.compile(r"^(monotonic|perf_counter|process_time|thread_time|time)(_ns)?$")
# Parsing hundreds of files takes seconds.
READS_A_CLOCK = re.compile(r"\b(monotonic|perf_counter|process_time|thread_time|time)(_ns)?\(\)")


def reads_a_clock(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or node.args or node.keywords:
        return False
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    return bool(CLOCK.match(name))


def is_elapsed(node: ast.AST) -> bool:
    """Whether this contains the difference of a clock's reading and another; less a number, it is a date."""
    return any(
        isinstance(each, ast.BinOp)
        and isinstance(each.op, ast.Sub)
        and not isinstance(each.right, ast.Constant)
        and any(map(reads_a_clock, (each.left, each.right)))
        for each in ast.walk(node)
    )


def measuring(source: str) -> Iterator[int]:
    """Yield the line of each assertion on elapsed time.

    A loop may assert that the deadline of what it waits for is not over; it must not assert a difference.
    """
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes = list(ast.walk(function))
            elapsed = {
                target.id
                for node in nodes
                if isinstance(node, ast.Assign) and is_elapsed(node.value)
                for target in node.targets
                if isinstance(target, ast.Name)
            }
            waiting = {
                id(each) for node in nodes if isinstance(node, ast.While | ast.For) for each in ast.walk(node)
            }
            for node in nodes:
                if isinstance(node, ast.Assert):
                    yield from (
                        node.lineno
                        for each in ast.walk(node.test)
                        if isinstance(each, ast.Compare)
                        and _measures(each, elapsed, waits=id(node) in waiting)
                    )


def _measures(comparison: ast.Compare, elapsed: set[str], *, waits: bool) -> bool:
    operands = (comparison.left, *comparison.comparators)
    return (
        is_elapsed(comparison)
        or any(isinstance(each, ast.Name) and each.id in elapsed for each in ast.walk(comparison))
        or (not waits and any(map(reads_a_clock, operands)))
    )


@pytest.mark.parametrize(
    "line",
    [
        "assert time.monotonic() - begun < 20",
        "assert 1 < monotonic() - begun < 3",
        "assert time.process_time() - begun < limit, 'text'",
        "assert abs(began - time.time()) < 5",
        "took = time.perf_counter() - begun\n    assert took < 5 + more",
        "assert time.time_ns() < deadline",
        "while True:\n        assert time.monotonic() - begun < 5",
    ],
)
def test_assertions_on_elapsed_time_are_found(line: str) -> None:
    assert set(measuring(f"def test_it():\n    begun = time.monotonic()\n    {line}\n"))


@pytest.mark.parametrize(
    "line",
    [
        "while not done():\n        assert time.monotonic() < deadline",
        "assert found(time.time(), 'x') == 5",
        "took = time.monotonic() - begun\n    assert kept == 5",
        "assert now - written == 5",
        "ago = time.time() - 5\n    assert written(ago) == 5",
    ],
)
def test_waiting_and_dates_are_not_elapsed_time(line: str) -> None:
    assert not set(measuring(f"def test_it():\n    {line}\n"))


def test_no_test_asserts_elapsed_time() -> None:
    found = {}
    for path in (ROOT / "tests").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if READS_A_CLOCK.search(source) and (lines := sorted(set(measuring(source)))):
            found[path.relative_to(ROOT).as_posix()] = lines
    assert not found, "use tests/hanging.py, or assert what the limit leads to"
