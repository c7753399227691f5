"""Rules for what hosts, nodes and files of others say: one reader parses it, an error quotes it shortened."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from hardener.errors import HardenerError
from hardener.snapshot import FactUnavailable
from hardener.text import LONGEST
from tests.unit.walls.sources import MODULES, everything, imports, nodes, room


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


PARSERS = frozenset(
    {
        *(f"json.{name}" for name in ("load", "loads", "JSONDecoder")),
        *(f"yaml.{name}" for name in ("load", "load_all", "safe_load", "safe_load_all", "full_load")),
        *("gzip.decompress", "zlib.decompress", "zipfile.ZipFile", "tarfile.open"),
        *("pickle.load", "pickle.loads", "marshal.loads", "shutil.unpack_archive"),
    }
)
READERS = {"hardener/bounded.py", "plugins/module_utils/host/limited_json.py"}
# What else parses, and why that needs no limit.
OWN = {
    "hardener/catalogue/__init__.py": "data of the package",
    "hardener/catalogue/known_releases.py": "data of the package, or a file that decisions/ has read",
    "hardener/lab/guest.py": "a file of the lab, which its user has started",
    "hardener/lab/image.py": "an image whose digest was verified",
    "hardener/lab/qemu.py": "QEMU, which the lab has started; no guest writes to this socket",
    "hardener/lab/recipe.py": "writes an archive",
    "plugins/action/verify_images.py": "a copy of the action's own arguments",
    "plugins/plugin_utils/host_time.py": "two numbers in a folder of this run",
    "plugins/plugin_utils/specification.py": "data of the collection",
}
# Programs on hosts limit the bytes that they read, and the memory and time of their process (host/limits.py).
# Only the modules that read what registries and containers send use the reader too.
ON_HOSTS = "plugins/module_utils/"
READING_OTHERS = {"trust/registry.py", "trust/statements.py", "trust/engine.py", "activity/engine.py"}


def parsers(path: str, source: str) -> frozenset[str]:
    """The parsers without limits that a module uses."""
    called = {ast.unparse(node) for node in nodes(source) if isinstance(node, ast.Attribute)}
    return PARSERS & {*called, *imports(source, path)}


def test_the_search_finds_every_parser() -> None:
    for text in ("json.loads(x)", "from json import loads", "partial(json.load, x)", "yaml.load(x, loader)"):
        assert parsers("hardener/x.py", text), text
    assert not parsers("hardener/x.py", "json.dumps(x); parse(x); zipfile.BadZipFile")


def test_only_the_reader_parses_what_others_wrote() -> None:
    found = {path for path, source in everything() if parsers(path, source)}
    assert found >= READERS
    unbounded = {
        path
        for path in found - READERS
        if not path.startswith(ON_HOSTS) or path.removeprefix(ON_HOSTS) in READING_OTHERS
    }
    assert unbounded == OWN.keys()
