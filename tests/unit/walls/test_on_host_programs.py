"""Rules for programs that run on hosts: Python 3.8, its standard library, safe files and arguments."""

from __future__ import annotations

import ast
import sys

import pytest

from tests.unit.walls.sources import FLOOR, LIBRARY, everything, imports, nodes

PROGRAMS = sorted({path.parent.name for path in LIBRARY.glob("*/__init__.py")} - FLOOR - {"render"})

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
    "record/tools.py": {"chmod", "makedirs", "open", "remove"},
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
