"""Imports between the rooms of the package, the collection and the tests; see docs/architecture.md."""

from __future__ import annotations

import ast
import re
import sys

import pytest

from tests.unit.walls.sources import (
    FLOOR,
    LIBRARY,
    MODULES,
    ROOT,
    everything,
    imports,
    names,
    nodes,
    room,
    texts,
)

PURE = (
    "activity",
    "assess",
    "batches",
    "catalogue",
    "checks",
    "decisions",
    "comparison",
    "errors",
    "evidence",
    "model",
    "plan",
    "reports",
    "scan",
    "site",
    "snapshot",
    "text",
    "trust",
    "workload",
)


# What the controller imports of the library: tables, and functions that only read them. The one of kernel
# settings is in the collector's package, since no other program on a host needs it.
TABLES = frozenset(
    [
        "contract",
        "docker.content_trust",
        "docker.keys",
        "docker.runtimes",
        "docker.seccomp",
        "docker.seccomp_rules",
        "host.limited_json",
        "host.text",
        "snapshot.sysctls",
        "subjects.audit",
        "subjects.files",
        "subjects.host",
        "subjects.owners",
    ]
)
COLLECTION = "ansible_collections.hardener.docker.plugins"


# An import of a test module or of a conftest; parsing hundreds of files takes a second.
OF_A_TEST = re.compile(
    r"^[ ]*(?:(?:from|import)[ ]+\S*|from[ ]+\S+[ ]+import[ ]+(?:\([^)]*|[^(\n]*))\b(?:test_|conftest\b)",
    re.MULTILINE,
)


def test_the_search_finds_every_form_of_import() -> None:
    source = "\n".join(
        (
            "import a.b",
            "from c import d",
            "def f():\n from . import near\n from ..far import thing\n from .. import other",
            "if TYPE_CHECKING:\n import quiet",
        )
    )
    found = imports(source, "hardener.room.module")
    assert {"a.b", "c", "c.d", "hardener.room.near", "hardener.far.thing", "hardener.other", "quiet"} <= found


def test_the_modules_of_the_package_are_found() -> None:
    rooms = {room(name) for name in MODULES}
    assert set(PURE) <= rooms
    assert {"fleet", "cli", "notify", "schedule"} <= rooms


@pytest.mark.parametrize("pure", PURE)
def test_packages_that_judge_import_neither_fleet_nor_command_line_nor_history(pure: str) -> None:
    for name, source in MODULES.items():
        if room(name) == pure:
            known = {room(imported) for imported in imports(source, name)}
            assert not known & {"fleet", "cli", "history", "lab"}, name


def test_the_history_does_not_import_the_fleet() -> None:
    for name, source in MODULES.items():
        if room(name) == "history":
            assert not {room(imported) for imported in imports(source, name)} & {"fleet", "lab", "checks"}, (
                name
            )


@pytest.mark.parametrize("teller", ["notify", "schedule"])
def test_notifications_and_schedules_import_neither_fleet_nor_history(teller: str) -> None:
    for name, source in MODULES.items():
        if room(name) == teller:
            known = {room(imported) for imported in imports(source, name)}
            assert not known & {"fleet", "history", "lab", "checks"}, name


# From the command line down: a module imports from its own layer and those below it, never from above.
LAYERS = (
    frozenset({"cli", "__main__"}),
    frozenset({"workflows"}),
    frozenset(
        {
            "terminal",
            "documents",
            "reports",
            "site",
            "evidence",
            "notify",
            "schedule",
            "history",
            "fleet",
            "lab",
        }
    ),
    frozenset(
        {
            "batches",
            "comparison",
            "decisions",
            "plan",
            "planfile",
            "result_filter",
            "summary",
            "assess",
            "activity",
            "trust",
            "workload",
        }
    ),
    frozenset({"checks", "catalogue", "scan"}),
    frozenset({"run", "model", "snapshot", "files", "text", "errors"}),
    frozenset({"bounded", "umask", "content", "workfolder"}),
)


def test_the_library_of_checks_neither_imports_nor_registers_a_check() -> None:
    for name, source in MODULES.items():
        if name.startswith("hardener.checks.lib."):
            beside = {each for each in imports(source, name) if each.startswith("hardener.checks.")}
            registry = {"hardener.checks.Check", "hardener.checks.check", "hardener.checks.lib"}
            assert not {each for each in beside - registry if not each.startswith("hardener.checks.lib.")}, (
                name
            )
            assert '@check("' not in source, name


def layer(name: str) -> int:
    """Return the number of the layer of a module, from above; that below all layers for foreign modules."""
    found = [number for number, rooms in enumerate(LAYERS) if room(name) in rooms]
    return found[0] if found else len(LAYERS)


def test_every_module_is_in_a_layer() -> None:
    assert {room(name) for name in MODULES if layer(name) == len(LAYERS)} == {"__init__"}


def test_imports_only_go_to_lower_layers() -> None:
    upwards = {
        (name, imported)
        for name, source in MODULES.items()
        for imported in imports(source, name)
        if room(name) != "__init__" and layer(imported) < layer(name)
    }
    assert not upwards


def test_workflows_do_not_print_and_do_not_import_click() -> None:
    for name, source in MODULES.items():
        if room(name) == "workflows":
            assert not {"click", "rich"} & {each.split(".")[0] for each in imports(source, name)}, name
            assert not {"print", "stdout", "stderr"} & names(source), name


def asked(source: str) -> set[str]:
    """Texts with an underscore that are keys of a mapping: the extra variables, in ``fleet.requests``."""
    keys = (
        key.value
        for node in nodes(source)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    )
    return {key for key in keys if isinstance(key, str) and "_" in key}


def test_only_the_fleet_contains_names_of_playbooks_and_their_variables() -> None:
    variables = asked(MODULES["hardener.fleet.requests"])
    assert {"collect_dest", "harden_plan", "rollback_run", "converge_allow"} <= variables
    for name, source in MODULES.items():
        if room(name) == "fleet":
            continue
        assert not variables & asked(source), name
        for node in nodes(source):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                keywords = {keyword.arg for keyword in node.keywords}
                assert not (node.func.attr == "run" and "variables" in keywords), name


def test_only_the_fleet_imports_ansible() -> None:
    for name, source in MODULES.items():
        if room(name) != "fleet":
            tops = {imported.split(".")[0] for imported in imports(source, name)}
            assert not tops & {"ansible", "ansible_runner"}, name


def test_only_the_fleet_starts_ansible() -> None:
    for name, source in MODULES.items():
        if room(name) != "fleet":
            started = {text for text in texts(source) if text.split(" ")[0].startswith("ansible-")}
            assert not started - {"ansible-core", "ansible-version"}, name  # names in reports


def of_the_collection(source: str, module: str) -> set[str]:
    """The modules of the collection that a module imports, below ``plugins``."""
    prefix = f"{COLLECTION}."
    found = {name[len(prefix) :] for name in imports(source, module) if name.startswith(prefix)}
    return {name for name in found if (ROOT / "plugins" / name.replace(".", "/")).with_suffix(".py").exists()}


def test_every_form_of_an_import_from_the_collection_is_found() -> None:
    for line in (
        f"import {COLLECTION}.module_utils.docker.api",
        f"from {COLLECTION}.module_utils.docker import api",
        f"from {COLLECTION}.module_utils.docker.api import DEFAULT_SOCKET",
        f"def f():\n    from {COLLECTION}.module_utils.docker import api as client, keys",
    ):
        assert "module_utils.docker.api" in of_the_collection(line, "hardener.model"), line


def test_the_package_imports_only_tables_of_the_collection() -> None:
    allowed = {f"module_utils.{name}" for name in TABLES}
    found = {name: of_the_collection(source, name) - allowed for name, source in MODULES.items()}
    assert not {name: imported for name, imported in found.items() if imported}
    used = set().union(*(of_the_collection(source, name) for name, source in MODULES.items()))
    assert used == allowed


@pytest.mark.parametrize("table", sorted(TABLES))
def test_tables_import_only_tables(table: str) -> None:
    source = (LIBRARY / table.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")
    others = {name for name in imports(source, table) if name.split(".")[0] not in sys.stdlib_module_names}
    packages = {name.partition(".")[0] for name in TABLES}
    assert {".".join(name.split(".")[:2]) for name in others} <= TABLES | packages


def test_neither_package_nor_collection_imports_development_programs() -> None:
    for path, source in everything():
        tops = {name.split(".")[0] for name in imports(source, path[: -len(".py")].replace("/", "."))}
        assert not tops & {"tools", "bench", "tests"}, path


def test_renderers_import_only_the_library() -> None:
    for path in (LIBRARY / "render").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        ast.parse(source, feature_version=(3, 8))
        found = imports(source, f"render.{path.stem}") - {"", "snapshot", *TABLES}
        tops = {name.split(".")[0] for name in found}
        assert tops <= sys.stdlib_module_names | {"render", "trust", *FLOOR}, path


def test_roles_contain_no_python_and_no_path_of_another_role() -> None:
    for path in (ROOT / "roles").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.suffix in {".yml", ".md"}, path
            assert "/roles/" not in path.read_text(encoding="utf-8") or path.suffix == ".md", path


def test_plugins_import_no_module_by_its_path() -> None:
    for path in (ROOT / "plugins").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert "add_directory" not in source, path
        assert "spec_from_file_location" not in source, path


def test_neither_a_test_module_nor_a_conftest_is_imported() -> None:
    """What several modules need is in a module of its own: pytest imports conftests itself."""
    for path in (ROOT / "tests").rglob("*.py"):
        assert not OF_A_TEST.search(path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(
    "line",
    [
        "from a.test_b import c",
        "    from .test_b import c",
        "import a.test_b",
        "from a import (\n    test_b,\n)",
        "from a.conftest import b",
        "from ..conftest import (\n    b,\n)",
        "from a import b, conftest",
        "import a.conftest",
    ],
)
def test_imports_of_a_test_module_or_a_conftest_are_found(line: str) -> None:
    assert OF_A_TEST.search(f"x\n{line}\n")
