"""Every regular expression of the project: what it says, how it is applied, and where it stands."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[3]
_OF_OURS = "tools/install_lines.py"  # applied to files of this repository alone
_FOLDERS = ("hardener", "plugins", "bench", "tools", "docs", ".ci")
_APPLIED = frozenset({"search", "match", "fullmatch", "split", "findall", "finditer", "sub", "subn"})
_MODULES = ("re", "regex")
_IMPORTED = re.compile(r"\b(?:from|import|,)\s+(?:re|regex)\b")
_LITERAL = r"/(?![/*])((?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+)/([a-z]*)"
_OF_SCRIPTS = re.compile(rf"(?:(?<=\()|(?<=[(,=:!&|?] )){_LITERAL}")


class Expression(NamedTuple):
    """A regular expression, as one method applies it."""

    place: str  # path and line
    pattern: str | bytes
    flags: int
    method: str


@cache
def expressions() -> tuple[Expression, ...]:
    """All of them, once for each way in which they are applied."""
    found: list[Expression] = []
    for folder in _FOLDERS:
        for path in sorted(set((ROOT / folder).rglob("*.py")) - {ROOT / _OF_OURS}):
            found += of_source(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
    for path in sorted((ROOT / "hardener" / "reports" / "page").glob("*")):
        if path.suffix in {".js", ".html"}:
            found += of_script(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
    return tuple(found)


def of_source(source: str, name: str) -> Iterator[Expression]:
    """The expressions of a Python source.

    Raises:
        NameError: one is put together at run time, or its functions have other names, so that nothing can be
            said of it.
    """
    if not _IMPORTED.search(source):
        return
    tree = ast.parse(source)
    _require_plain_import(tree, name)
    known = _Constants(tree)
    stored = _stored(tree)
    for node in ast.walk(tree):
        if not (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_re(node.func.value)
        ):
            continue
        method = node.func.attr
        if method != "compile" and method not in _APPLIED:
            continue
        place = f"{name}:{node.lineno}"
        pattern = known.value(node.args[0], place)
        flags = int(known.value(_flags(node, method), place))
        if method == "compile":
            methods = _methods(tree, stored.get(node)) or {"search", "fullmatch"}
        else:
            methods = {method}
        yield from (Expression(place, pattern, flags, each) for each in sorted(methods))


def _require_plain_import(tree: ast.Module, name: str) -> None:
    """Raise NameError unless all functions of expressions are called as those of ``re``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            hidden = node.module in _MODULES and not node.level
        elif isinstance(node, ast.Import):
            hidden = any(each.name == "regex" or (each.name == "re" and each.asname) for each in node.names)
        else:
            continue
        if hidden:
            raise NameError(f"{name}:{node.lineno}: only `import re` lets its expressions be found")


def of_script(source: str, name: str) -> Iterator[Expression]:
    """The expressions of a page's script; they use only what Python's expressions know as well.

    Raises:
        NameError: one is put together at run time.
    """
    for number, text in enumerate(source.splitlines(), 1):
        if "RegExp" in text:
            raise NameError(f"{name}:{number}: write the expression as a literal, so that it can be found")
        for match in _OF_SCRIPTS.finditer(text):
            flags = (re.MULTILINE if "m" in match[2] else 0) | (re.IGNORECASE if "i" in match[2] else 0)
            yield Expression(f"{name}:{number}", match[1], flags, "search")


def _is_re(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "re"


def _flags(call: ast.Call, method: str) -> ast.expr:
    for keyword in call.keywords:
        if keyword.arg == "flags":
            return keyword.value
    place = {"compile": 1, "search": 2, "match": 2, "fullmatch": 2, "findall": 2, "finditer": 2}.get(
        method, 4
    )
    return call.args[place] if len(call.args) > place else ast.Constant(0)


def _stored(tree: ast.Module) -> dict[ast.expr, str]:
    """Calls whose value has a name of its own."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.value] = node.targets[0].id
    return found


def _methods(tree: ast.Module, name: str | None) -> set[str]:
    """How a stored expression is applied; empty where it is handed on, and may be applied in any way."""
    found: set[str] = set()
    if name is None:
        return found
    called: set[int] = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and _named(node.value, name)
            and node.attr in {*_APPLIED, "pattern"}
        ):
            called.add(id(node.value))
            found.add(node.attr)
    for node in ast.walk(tree):
        loads = isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load)
        if loads and _named(node, name) and id(node) not in called:
            return set()
    return found - {"pattern"}


def _named(node: ast.AST, name: str) -> bool:
    return (isinstance(node, ast.Name) and node.id == name) or (
        isinstance(node, ast.Attribute) and node.attr == name
    )


class _Constants(Mapping[str, Any]):
    """What the names at the top of a module stand for, also those that it imports from a shared module."""

    def __init__(self, tree: ast.Module) -> None:
        self._nodes: dict[str, ast.expr] = {}
        self._imported: dict[str, Path] = {}
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self._nodes[node.targets[0].id] = node.value
            elif isinstance(node, ast.ImportFrom) and node.module:
                module = node.module.rpartition("module_utils.")[2].replace(".", "/")
                path = ROOT / "plugins/module_utils" / f"{module}.py"
                self._imported |= {each.name: path for each in node.names if path.is_file()}

    def value(self, node: ast.expr, place: str) -> Any:
        """What an expression of Python comes to."""
        code = compile(ast.fix_missing_locations(ast.Expression(node)), f"<{place}>", "eval")
        return eval(code, {"re": re}, self)

    def __getitem__(self, name: str) -> Any:
        if name in self._imported:
            return _Constants(ast.parse(self._imported[name].read_text(encoding="utf-8")))[name]
        return self.value(self._nodes[name], name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)
