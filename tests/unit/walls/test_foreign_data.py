"""Rules for what hosts, nodes and files of others say: an error quotes it shortened."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from hardener.errors import HardenerError
from hardener.snapshot import FactUnavailable
from hardener.text import LONGEST
from tests.unit.walls.sources import MODULES, nodes, room


def shortening_errors() -> set[str]:
    """The exceptions that shorten their text themselves."""
    found = {"HardenerError", "FactUnavailable"}
    bases = {
        node.name: {ast.unparse(base) for base in node.bases}
        for source in MODULES.values()
        for node in nodes(source)
        if isinstance(node, ast.ClassDef)
    }
    while more := {name for name, each in bases.items() if each & found} - found:
        found |= more
    return found


SHORTENING = shortening_errors()


def unshortened(source: str) -> list[str]:
    """The values of any length that other exceptions quote by ``!r`` or ``repr``."""
    return [
        f"{node.lineno}: {found}"
        for node in nodes(source)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
        if ast.unparse(node.exc.func) not in SHORTENING
        for found in _quoted(node.exc)
    ]


def _quoted(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Call(ast.Name("line")) | ast.Subscript(_, ast.Slice()):
            return
        case ast.Call(ast.Name("repr"), [value]) | ast.FormattedValue(value, 114) if not _is_short(value):
            yield ast.unparse(value)
    for child in ast.iter_child_nodes(node):
        yield from _quoted(child)


def _is_short(value: ast.expr) -> bool:
    match value:
        case ast.Call(ast.Name("line")) | ast.Subscript(_, ast.Slice()):
            return True
        case ast.Name(name):
            return name.isupper()
    return False


def test_the_search_finds_every_long_quotation() -> None:
    for text in ('f"{x!r} is odd"', "repr(x)", "'a' + repr(x.y)", "f'{str(x)!r}'", "f'{repr(x)}'"):
        assert unshortened(f"raise ValueError({text})"), text
    for text in ('f"{x[:40]!r} is odd"', "repr(x)[:9]", "line(repr(x))", "f'{line(x, 60)!r}'", "f'{NAME!r}'"):
        assert not unshortened(f"raise ValueError({text})"), text
    assert not unshortened("raise Refused(MANIFEST, f'{x!r}')")


@pytest.mark.parametrize("kind", [HardenerError, FactUnavailable])
def test_the_other_exceptions_shorten_their_text(kind: type[Exception]) -> None:
    text = str(kind("x", "y" * 10_000) if kind is FactUnavailable else kind("y" * 10_000))
    assert len(text) < LONGEST + 100


def test_errors_quote_foreign_values_shortened() -> None:
    assert {"HardenerError", "FactUnusable", "Refused", "ReceptorError"} <= SHORTENING
    found = {
        name: uses
        for name, source in MODULES.items()
        if room(name) != "cli" and (uses := unshortened(source))  # whose options are the user's own
    }
    assert not found
