"""The walls between the rooms of the house, as docs/architecture.md draws them."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils import contract
from ansible_collections.hardener.docker.plugins.module_utils.docker import keys, seccomp
from ansible_collections.hardener.docker.plugins.module_utils.host import layout
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import sysctls

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "hardener"
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
LIBRARY = ROOT / "plugins" / "module_utils"
FLOOR = {"host", "docker", "contract"}  # what a program may import beside itself
PROGRAMS = sorted({path.parent.name for path in LIBRARY.glob("*/__init__.py")} - FLOOR - {"render"})

# What the controller imports of the library: tables, and functions that only read them. The one of kernel
# settings is in the collector's package, since no other program on a host needs it.
TABLES = frozenset(
    [
        "contract",
        "docker.content_trust",
        "docker.extensions",
        "docker.keys",
        "docker.runtimes",
        "docker.seccomp",
        "snapshot.sysctls",
    ]
)
COLLECTION = "ansible_collections.hardener.docker.plugins"

# An import of a test module; parsing hundreds of files takes a second.
OF_A_TEST = re.compile(
    r"^[ ]*(?:(?:from|import)[ ]+\S*\btest_|from[ ]+\S+[ ]+import[ ]+(?:\([^)]*|[^(\n]*)\btest_)",
    re.MULTILINE,
)


@cache
def nodes(source: str) -> tuple[ast.AST, ...]:
    """Every node of a module; most walls read every module."""
    return tuple(ast.walk(ast.parse(source)))


@pytest.fixture(scope="module", autouse=True)
def _forgotten() -> Iterator[None]:
    """Nodes take hundreds of megabytes: the tests of other modules do without them."""
    yield
    nodes.cache_clear()


@cache
def imports(source: str, module: str) -> frozenset[str]:
    """Full names of everything that a module imports, wherever in it, and from whatever dots."""
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
    """Every string in a module but its documentation."""
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
    """Source of every module of the package by its name; a package is called ``hardener.x.__init__``."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in PACKAGE.rglob("*.py")
    }


def room(name: str) -> str:
    """The room of the package that a module is in: ``hardener.fleet.run`` is in ``fleet``."""
    return name.split(".")[1] if name.startswith("hardener.") else ""


MODULES = modules()


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


def test_docstrings_are_not_counted_as_texts() -> None:
    source = '"""ansible-playbook"""\ndef f():\n    """ansible"""\n    run("ansible-doc")\n'
    assert list(texts(source)) == ["ansible-doc"]


def test_the_modules_of_the_package_are_found() -> None:
    rooms = {room(name) for name in MODULES}
    assert set(PURE) <= rooms
    assert {"fleet", "cli", "notify", "schedule"} <= rooms


@pytest.mark.parametrize("pure", PURE)
def test_judging_does_not_import_fleet_or_command_line(pure: str) -> None:
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


def test_the_library_of_checks_has_no_check() -> None:
    for name, source in MODULES.items():
        if name.startswith("hardener.checks.lib."):
            beside = {each for each in imports(source, name) if each.startswith("hardener.checks.")}
            registry = {"hardener.checks.Check", "hardener.checks.check", "hardener.checks.lib"}
            assert not {each for each in beside - registry if not each.startswith("hardener.checks.lib.")}, (
                name
            )
            assert '@check("' not in source, name


def layer(name: str) -> int:
    """Number of the layer of a module, from above; below all of them for what is not ours."""
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


def test_the_loop_over_events_of_ansible_exists_once() -> None:
    told = {name for name, source in MODULES.items() if "TaskResult" in names(source)}
    assert {name for name in told if room(name) != "fleet"} == {"hardener.terminal.progress"}


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
def test_tables_import_no_other_module(table: str) -> None:
    source = (LIBRARY / table.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")
    assert {name.split(".")[0] for name in imports(source, table)} <= sys.stdlib_module_names


def test_neither_package_nor_collection_imports_development_programs() -> None:
    for path, source in everything():
        tops = {name.split(".")[0] for name in imports(source, path[: -len(".py")].replace("/", "."))}
        assert not tops & {"tools", "bench", "tests"}, path


# What the syntax does not tell: of Python 3.9 and later. Dictionaries have no `|` before that either.
AFTER_3_8 = frozenset(
    ["removeprefix", "removesuffix", "waitstatus_to_exitcode", "is_relative_to", "pairwise"]
)


def later_than_3_8(source: str) -> list[str]:
    """Lines that need a later Python, as far as that can be told without knowing the types."""
    found = []
    for node in nodes(source):
        if isinstance(node, ast.Attribute) and node.attr in AFTER_3_8:
            found.append(f"{node.lineno}: {node.attr}")
        elif isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.BitOr):
            sides = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.value,)
            if any(isinstance(side, (ast.Dict, ast.DictComp)) for side in sides):
                found.append(f"{node.lineno}: | of dictionaries")
    return found


@pytest.mark.parametrize("program", [*PROGRAMS, *sorted(FLOOR)])
def test_on_host_code_runs_on_python_3_8(program: str) -> None:
    later = 'a |= {"b": 1}\nc = a | {key: 1 for key in a}\nd = "".removesuffix("e")\nf = {1} | {2}\n'
    assert [line[0] for line in later_than_3_8(later)] == ["1", "2", "3"]
    for path in [*(LIBRARY / program).rglob("*.py"), *LIBRARY.glob(f"{program}.py")]:
        assert later_than_3_8(path.read_text(encoding="utf-8")) == [], path


@pytest.mark.parametrize("program", [*PROGRAMS, *sorted(FLOOR)])
def test_on_host_code_imports_only_the_standard_library(program: str) -> None:
    allowed = {program, *FLOOR}
    paths = [*(LIBRARY / program).rglob("*.py"), *LIBRARY.glob(f"{program}.py")]
    assert paths
    for path in paths:
        source = path.read_text(encoding="utf-8")
        ast.parse(source, feature_version=(3, 8))
        module = ".".join(path.relative_to(LIBRARY).with_suffix("").parts)
        tops = {imported.split(".")[0] for imported in imports(source, module)} - {""}
        assert tops <= sys.stdlib_module_names | allowed, path


def test_renderers_import_only_the_library() -> None:
    for path in (LIBRARY / "render").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        ast.parse(source, feature_version=(3, 8))
        found = imports(source, f"render.{path.stem}") - {"", "snapshot", *TABLES}
        tops = {name.split(".")[0] for name in found}
        assert tops <= sys.stdlib_module_names | {"render", "trust", *FLOOR}, path


# Words that name an impact, or how a run ended, and nothing else anywhere.
WORDS = frozenset(
    [
        *(word for word in contract.IMPACTS if "-" in word),
        *(word for word in contract.NOT_STANDING if "_" in word),
        contract.WOULD_CHANGE,
    ]
)
# Flags that are called otherwise than the key of daemon.json that they set.
FLAGS = frozenset(key.flag for key in keys.KEYS if key.name not in ("", key.flag) and "-" in key.flag)


def words(source: str, known: frozenset[str]) -> set[str]:
    """The words of a list that stand in the texts of a module, each by itself."""
    if not any(word in source for word in known):  # parsing hundreds of modules takes seconds
        return set()
    return {word for text in texts(source) for word in text.split() if word in known}


def everything() -> Iterator[tuple[str, str]]:
    """Path and source of every module of the package and of the collection."""
    for top in (PACKAGE, ROOT / "plugins"):
        for path in top.rglob("*.py"):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def test_impacts_and_outcomes_are_listed_once() -> None:
    second = 'IMPACTS = ("none", "reload", "daemon-restart")\n'
    assert words(second, WORDS) == {"daemon-restart"}
    found = {path for path, source in everything() if words(source, WORDS)}
    documentation = {path for path in found if path.startswith("plugins/modules/")}
    assert found - documentation == {"plugins/module_utils/contract.py"}


def test_the_flags_of_dockerd_are_listed_once() -> None:
    assert words('FLAGS = {"insecure-registries": "insecure-registry"}\n', FLAGS) == {"insecure-registry"}
    assert words('FLAGS = """icc insecure-registry\nlabel"""\n', FLAGS) == {"insecure-registry"}
    found = {path for path, source in everything() if words(source, FLAGS)}
    assert found == {"plugins/module_utils/docker/keys.py"}


def maps_keys_to_flags(source: str) -> bool:
    """Whether a module knows which flag sets a key: by a table, or by making or asking for one."""
    if not any(word in source for word in ("--", *keys.BY_NAME, "flag_of", "exclusive_flag")):
        return False
    for node in nodes(source):
        match node:
            case ast.Dict():
                pairs = zip(node.keys, node.values, strict=True)
                if any(_is_flag_of(key, value) for key, value in pairs):
                    return True
            case ast.JoinedStr():
                pieces = zip(node.values, node.values[1:], strict=False)
                if any(_is_dashes(one) and isinstance(other, ast.FormattedValue) for one, other in pieces):
                    return True
            case ast.BinOp(left=left, op=ast.Add()) if _is_dashes(left):
                return True
            case ast.Name("flag_of" | "exclusive_flag") | ast.Attribute(_, "flag_of" | "exclusive_flag"):
                return True
            case ast.alias("flag_of" | "exclusive_flag"):
                return True
    return False


def _is_dashes(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and str(node.value).endswith("--")


def _is_flag_of(key: ast.AST | None, value: ast.AST) -> bool:
    match key, value:
        case ast.Constant(str(name)), ast.Constant(str(flag)):
            return name in keys.BY_NAME and flag.removeprefix("--") == keys.BY_NAME[name].flag
    return False


def states_defaults(source: str) -> bool:
    """Whether a module has a table of defaults of daemon.json."""
    for node in nodes(source) if any(key in source for key in keys.RELOADABLE) else ():
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            if sum(_is_default_of(key, value) for key, value in pairs) > 2:
                return True
    return False


def _is_default_of(key: ast.AST | None, value: ast.AST) -> bool:
    match key, value:
        case ast.Constant(str(name)), ast.Constant(default) if default is not None:
            return bool(default == keys.default_of(name))
    return False


def test_the_defaults_of_dockerd_are_listed_once() -> None:
    assert states_defaults('_DEFAULTS = {"icc": True, "live-restore": False, "shutdown-timeout": 15}')
    assert not states_defaults('wanted = {"icc": False, "live-restore": True, "log-driver": "json-file"}')
    assert not [path for path, source in everything() if states_defaults(source)]


def test_the_search_finds_every_form_of_a_map_from_keys_to_flags() -> None:
    for source in (
        'FLAGS = {"icc": "icc"}',
        'FLAGS = {"hosts": "--host", "labels": "--label"}',
        'given = f"says --{key}"',
        'given = "--" + key',
        "from ..docker.keys import flag_of",
        "flags.get(keys.exclusive_flag(key))",
    ):
        assert maps_keys_to_flags(source), source
    for source in ('{"icc": False}', '{"ipv6": "ip6tables"}', 'f"--config-file={path}"', 'x + "--"'):
        assert not maps_keys_to_flags(source), source


def test_readers_of_a_snapshot_do_not_map_keys_to_flags() -> None:
    found = {path for path, source in everything() if maps_keys_to_flags(source)}
    assert found == {
        "plugins/module_utils/docker/keys.py",
        "plugins/module_utils/converge/daemonconfig.py",  # what dockerd would refuse of a new file
        "plugins/module_utils/snapshot/daemonconfig.py",  # where a secret was seen
    }
    tables = {"SWITCHES", "WITH_VALUE", "BY_NAME", "KEYS"}
    asking = {name for table in tables for name in plugins_with(table)}
    assert asking == {"plugins/module_utils/docker/keys.py", "plugins/module_utils/docker/flags.py"}


def test_only_the_search_for_the_engine_reads_its_raw_file() -> None:
    raw = {path for path, source in everything() if "parsed" in source and "parsed" in set(texts(source))}
    assert raw == {
        "hardener/snapshot.py",  # of schema 1
        "plugins/module_utils/docker/config.py",
        "plugins/module_utils/docker/engine.py",
        "plugins/module_utils/snapshot/daemonconfig.py",
        "plugins/module_utils/snapshot/paths.py",
    }


def test_each_kernel_setting_is_listed_once() -> None:
    keys = frozenset(each.key for each in sysctls.SETTINGS if not each.needed and "*" not in each.key)
    assert words('SETTINGS = """kernel.sysrq fs.suid_dumpable"""\n', keys) == {"fs.suid_dumpable"}
    found = {path for path, source in everything() if words(source, keys)}
    assert found == {"plugins/module_utils/snapshot/sysctls.py"}
    for data in (*ROOT.glob("roles/kernel/**/*.yml"), *PACKAGE.glob("catalogue/**/*.yaml")):
        assert not [key for key in keys if key in data.read_text(encoding="utf-8")], data


def test_the_calls_that_the_default_seccomp_profile_refuses_are_listed_once() -> None:
    second = '_REFUSED = """acct add_key bpf keyctl mount reboot"""\n'
    assert len(words(second, seccomp.REFUSED)) == 6
    found = {path for path, source in everything() if len(words(source, seccomp.REFUSED)) > 5}
    assert found == {
        "plugins/module_utils/docker/seccomp.py",
        "plugins/module_utils/activity/severity.py",  # how bad a denied call is
        "plugins/module_utils/activity/syscalls.py",  # the number of each call
        "hardener/workload/syscalls.py",  # the calls of newer kernels
    }


# Names of files in hardener's folders, and formats of records, by which programs find each other's.
OWN_FILES = frozenset(
    [
        *(layout.BACKUPS, layout.GUARD, layout.JOURNAL, layout.NUMBER, layout.OUTCOME),
        *(layout.RECORD, layout.RUN.pattern),
        *(contract.ACTIVITY_FORMAT, contract.SCAN_FORMAT, contract.TRUST_FORMAT),
    ]
)
OWN_FOLDERS = re.compile(rf"(?<![\w/])(?:{layout.SETTINGS}|{layout.PROGRAMS}|{layout.STATE})(?![\w-])")


def names_own_files(source: str) -> bool:
    """Whether a module has a path, a name or a format of hardener's own files on hosts."""
    if "hardener" not in source and not any(name in source for name in OWN_FILES):
        return False
    return any(text in OWN_FILES or OWN_FOLDERS.search(text) for text in texts(source))


def test_every_form_of_a_name_of_own_files_is_found() -> None:
    for source in (
        'x = "/var/lib/hardener"',
        'y = "/etc/hardener/new.json"',
        'z = os.path.join(a, "guard.pyz")',
    ):
        assert names_own_files(source), source
    for source in (
        '"""Read /var/lib/hardener/x."""',
        'x = "/run/hardener-record"',
        'y = "/var/lib/hardener2"',
    ):
        assert not names_own_files(source), source


def test_the_files_of_hardener_on_a_host_are_named_once() -> None:
    found = {path for path, source in everything() if names_own_files(source)}
    documentation = {path for path in found if path.startswith("plugins/modules/")}
    assert found - documentation == {
        "plugins/module_utils/contract.py",
        "plugins/module_utils/host/layout.py",
    }


def names(source: str) -> set[str]:
    """Names of everything that a module uses or imports, the last one where there are dots."""
    found = set()
    for node in nodes(source):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add(node.name)
    return found


def plugins_with(name: str) -> set[str]:
    """Plugins of the collection that use a name."""
    return {
        path
        for path, source in everything()
        if path.startswith("plugins/") and name in source and name in names(source)
    }


def test_the_search_finds_every_use_of_a_name() -> None:
    for source in ("from socket import AF_UNIX", "socket.AF_UNIX", "x = AF_UNIX", "import AF_UNIX as x"):
        assert "AF_UNIX" in names(source), source
    assert "AF_UNIX" not in names("x = 'RestrictAddressFamilies=AF_UNIX'")


def test_the_engine_has_one_client() -> None:
    client = "plugins/module_utils/docker/api.py"
    assert plugins_with("AF_UNIX") == {
        client,
        "plugins/module_utils/converge/logtargets.py",  # looks whether a syslog daemon listens
        "plugins/module_utils/record/worker.py",  # the recorder's own socket, by which it is ended
        "plugins/module_utils/snapshot/unixsockets.py",  # asks the kernel which of them listen
    }
    assert plugins_with("SO_PEERCRED") == {client}
    spoken = {
        path
        for path, source in everything()
        if path.startswith("plugins/")
        and "HTTP/1." in source
        and any("HTTP/1." in text for text in texts(source))
    }
    assert spoken == {client}
    assert any("HTTP/1." in text for text in texts('head = f"GET {path} HTTP/1.0"'))


def unseparated(source: str) -> list[str]:
    """Calls of systemctl whose names of units do not stand behind ``--``, as source."""
    found = []
    for node in nodes(source):
        words = getattr(node, "args", None) if isinstance(node, ast.Call) else getattr(node, "elts", None)
        if not words or not (isinstance(words[0], ast.Constant) and words[0].value == "systemctl"):
            continue
        before, separated = [], False
        for word in words[2:]:
            separated = separated or (isinstance(word, ast.Constant) and word.value == "--")
            before += [] if separated else [word]
        if any(not _is_option(word, more=separated) for word in before):
            found.append(ast.unparse(node))
    return found


def _is_option(word: ast.expr, *, more: bool) -> bool:
    """Whether a word is an option; a list of options may stand before a separator that follows."""
    if isinstance(word, ast.JoinedStr):
        word = word.values[0]
    if isinstance(word, ast.Constant):
        return str(word.value).startswith("-")
    return more and isinstance(word, ast.Starred)


@pytest.mark.parametrize(
    ("call", "seen"),
    [
        ('run("systemctl", "stop", unit)', True),
        ('must("systemctl", "stop", "a.service")', True),
        ('must("systemctl", "stop", f"{unit}.timer", timeout=9)', True),
        ('run("systemctl", "reset-failed", *gone)', True),
        ('run("systemctl", "stop", unit, "--")', True),
        ('call(["systemctl", "--now", "disable", unit])', True),
        ('run("systemctl", "stop", "--", unit, *others)', False),
        ('run("systemctl", "mask", *runtime, "--", unit)', False),
        ('run("systemctl", "show", f"--property={names}", "--", unit)', False),
        ('run("systemctl", "daemon-reload", timeout=90)', False),
    ],
)
def test_the_search_finds_every_unit_name_without_a_separator(call: str, seen: bool) -> None:
    assert bool(unseparated(call)) is seen


def test_names_of_units_are_never_taken_for_options() -> None:
    found = {path: unseparated(source) for path, source in everything() if path.startswith("plugins/")}
    assert not {path: calls for path, calls in found.items() if calls}


def test_foreign_texts_are_made_printable_in_one_module() -> None:
    # The client refuses a request that is none.
    assert plugins_with("isprintable") == {
        "plugins/module_utils/docker/api.py",
        "plugins/module_utils/host/text.py",
    }


def renames(source: str) -> bool:
    """Whether a module gives a file the name of another one, as an atomic write does."""
    if "rename(" not in source and "replace(" not in source:
        return False
    for call in nodes(source):
        match call:
            case ast.Call(ast.Attribute(ast.Name("os"), "rename" | "replace")):
                return True
            case ast.Call(ast.Attribute(_, "rename" | "replace"), [_], []):  # of a path; a text's takes two
                return True
    return False


def test_the_search_finds_every_form_of_a_rename() -> None:
    for call in ("os.rename(a, b)", "os.replace(a, b, src_dir_fd=c)", "path.replace(b)", "Path(a).rename(b)"):
        assert renames(call), call
    for call in ("text.replace('a', 'b')", "state._replace(mode=1)", "replace(place, content)"):
        assert not renames(call), call


def test_files_are_written_atomically_in_one_module() -> None:
    found = {path for path, source in everything() if path.startswith("plugins/") and renames(source)}
    assert found == {
        "plugins/module_utils/host/atomic.py",
        "plugins/module_utils/host/reserve.py",  # on a disk that is full
        "plugins/plugin_utils/files.py",  # on the control node, which trusts other folders
    }


def views(source: str) -> set[str]:
    """What in a renderer is a view of its own: what reads a snapshot itself, or is a class made from one."""
    own = set()
    for node in nodes(source):
        match node:
            case ast.Subscript(ast.Name("snapshot")) | ast.Attribute(ast.Name("snapshot")):
                own.add(ast.unparse(node))
            case ast.FunctionDef("__init__") if {"snapshot"} & {each.arg for each in node.args.args}:
                own.add(ast.unparse(node.args))
            case ast.ClassDef() if "HostView" in {ast.unparse(base) for base in node.bases}:
                own.add(node.name)
    return own


def test_the_search_finds_every_form_of_a_snapshot_view() -> None:
    for source in (
        'def f(snapshot):\n    return snapshot["sources"]["engine"]',
        'def f(snapshot):\n    return snapshot.get("sources")',
        "class _Host:\n    def __init__(self, snapshot):\n        self.raw = snapshot",
        "class _Host(HostView):\n    pass",
    ):
        assert views(source), source
    assert not views(
        'class _Rule(NamedTuple):\n    path: str\n\ndef f(host):\n    return host.data("engine")'
    )


def test_only_one_class_reads_the_snapshot_for_renderers() -> None:
    texts = {path.stem: path.read_text(encoding="utf-8") for path in (LIBRARY / "render").glob("*.py")}
    found = {name for name, text in texts.items() if views(text)}
    assert found == {"hostview"}


def test_roles_contain_no_python_and_no_path_of_another_role() -> None:
    for path in (ROOT / "roles").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.suffix in {".yml", ".md"}, path
            assert "/roles/" not in path.read_text(encoding="utf-8") or path.suffix == ".md", path


def test_plugins_import_each_other_by_name() -> None:
    for path in (ROOT / "plugins").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert "add_directory" not in source, path
        assert "spec_from_file_location" not in source, path


# What changes a file that a path names, where the call has no open folder to begin at.
CHANGING = frozenset(
    [
        "replace",
        "rename",
        "unlink",
        "remove",
        "mkdir",
        "makedirs",
        "rmdir",
        "symlink",
        "link",
        "chmod",
        "chown",
        "lchown",
        "utime",
        "truncate",
        "mknod",
        "mkfifo",
        "setxattr",
        "removexattr",
    ]
)
# Folders that `tempfile` or the package has just made for root alone, and the kernel's switches.
BY_PATH = {
    "scan/openscap.py": {"open"},
    "scan/changelogs.py": {"chmod"},
    "converge/migration/staging.py": {"open"},
    "converge/activations/sysctl.py": {"open"},
    "converge/activations/apparmor.py": {"open"},
    "converge/activations/selinux.py": {"open"},
    "converge/worker.py": {"open", "fdopen"},
    "record/worker.py": {"open"},
    "record/rootfiles.py": {"fdopen"},
    # what is mounted for the process alone
    "record/mounts.py": {"makedirs"},
    "record/tools.py": {"chmod", "open", "remove"},
    "record/workspace.py": {"makedirs", "open", "rmtree"},  # below /run
    # by links of the kernel's to what it has opened
    "converge/migration/tree.py": {"chown", "chmod", "setxattr", "utime"},
}


def changes_by_path(source: str) -> set[str]:
    """Names of the calls in a module that change or make a file by its path alone."""
    found = set()
    for call in nodes(source):
        if not isinstance(call, ast.Call):
            continue
        words = {
            text.value for each in call.args for text in ast.walk(each) if isinstance(text, ast.Constant)
        }
        flags = {
            name.attr for each in call.args for name in ast.walk(each) if isinstance(name, ast.Attribute)
        }
        writing = flags & {"O_CREAT", "O_WRONLY", "O_RDWR"} or words & {
            "w",
            "wb",
            "a",
            "ab",
            "r+",
            "r+b",
            "x",
        }
        within = {keyword.arg for keyword in call.keywords} & {"dir_fd", "src_dir_fd"}
        match call.func:
            case ast.Attribute(ast.Name("os"), name) if name in CHANGING and not within:
                found.add(name)
            case ast.Attribute(ast.Name("os"), "open" | "fdopen" as name) if writing and not within:
                found.add(name)
            case ast.Attribute(ast.Name("shutil"), name) if name != "which":
                found.add(name)
            case ast.Name("open") if writing:
                found.add("open")
    return found


def test_the_search_finds_every_form_of_a_change_by_path() -> None:
    for call in (
        "os.unlink(path)",
        "os.open(path, os.O_RDWR | os.O_CREAT)",
        "open(path, 'w')",
        "shutil.rmtree(path)",
        "os.replace(one, other)",
    ):
        assert changes_by_path(f"def f():\n {call}"), call
    for call in ("os.unlink(name, dir_fd=folder)", "os.open(path, os.O_RDONLY)", "open(path, 'rb')"):
        assert not changes_by_path(call), call


def test_only_the_shared_package_changes_files_by_path() -> None:
    found = {}
    for program in PROGRAMS:
        for path in (LIBRARY / program).rglob("*.py"):
            calls = changes_by_path(path.read_text(encoding="utf-8"))
            if calls and program != "snapshot":
                found[path.relative_to(LIBRARY).as_posix()] = calls
    assert found == BY_PATH


def test_no_test_module_imports_another() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        assert not OF_A_TEST.search(path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(
    "line",
    [
        "from a.test_b import c",
        "    from .test_b import c",
        "import a.test_b",
        "from a import (\n    test_b,\n)",
    ],
)
def test_imports_of_a_test_module_are_found(line: str) -> None:
    assert OF_A_TEST.search(f"x\n{line}\n")
