"""Sources of the package and the collection: their syntax, imports, names and texts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "hardener"
LIBRARY = ROOT / "plugins" / "module_utils"
FLOOR = {"host", "docker", "contract", "subjects"}  # what a program may import beside itself


@cache
def nodes(source: str) -> tuple[ast.AST, ...]:
    """Return every node of a module; most tests read every module."""
    return tuple(ast.walk(ast.parse(source)))


@cache
def imports(source: str, module: str) -> frozenset[str]:
    """Return the full name of everything that a module imports, in functions and by relative names too."""
    return frozenset(_imports(source, module))


def _imports(source: str, module: str) -> Iterator[str]:
    package = module.split(".")[:-1]
    for node in nodes(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def texts(source: str) -> Iterator[str]:
    """Yield every string in a module except its docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    documentation = {
        id(node.body[0].value)
        for node in nodes(source)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in nodes(source):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


def modules() -> dict[str, str]:
    """Return the source of every module by its name; a package is called ``hardener.x.__init__``."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in PACKAGE.rglob("*.py")
    }


def room(name: str) -> str:
    """Return the room of the package that a module is in: ``hardener.fleet.run`` is in ``fleet``."""
    return name.split(".")[1] if name.startswith("hardener.") else ""


MODULES = modules()


def everything() -> Iterator[tuple[str, str]]:
    """Yield the path and the source of every module of the package and of the collection."""
    for top in (PACKAGE, ROOT / "plugins"):
        for path in top.rglob("*.py"):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def names(source: str) -> set[str]:
    """Return the names that a module uses or imports; of a dotted name, the last part."""
    found = set()
    for node in nodes(source):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add(node.name)
    return found
