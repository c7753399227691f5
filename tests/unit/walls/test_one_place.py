"""Each table, name and mechanism is in one place: the test fails if a second module has it."""

from __future__ import annotations

import ast
import re

from ansible_collections.hardener.docker.plugins.module_utils import contract
from ansible_collections.hardener.docker.plugins.module_utils.docker import keys, seccomp
from ansible_collections.hardener.docker.plugins.module_utils.host import layout
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import sysctls
from ansible_collections.hardener.docker.plugins.module_utils.subjects import audit, files, owners

from tests.unit.walls.sources import LIBRARY, MODULES, PACKAGE, ROOT, everything, names, nodes, room, texts


def test_the_search_for_texts_ignores_docstrings() -> None:
    source = '"""ansible-playbook"""\ndef f():\n    """ansible"""\n    run("ansible-doc")\n'
    assert list(texts(source)) == ["ansible-doc"]


def test_outside_of_the_fleet_only_the_progress_reads_results_of_tasks() -> None:
    told = {name for name, source in MODULES.items() if "TaskResult" in names(source)}
    assert {name for name in told if room(name) != "fleet"} == {"hardener.terminal.progress"}


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


def test_only_listed_modules_map_keys_to_flags() -> None:
    found = {path for path, source in everything() if maps_keys_to_flags(source)}
    assert found == {
        "plugins/module_utils/docker/keys.py",
        "plugins/module_utils/converge/daemonconfig.py",  # what dockerd would refuse of a new file
        "plugins/module_utils/snapshot/daemonconfig.py",  # where a secret was seen
    }
    tables = {"SWITCHES", "WITH_VALUE", "BY_NAME", "KEYS"}
    asking = {name for table in tables for name in plugins_with(table)}
    assert asking == {"plugins/module_utils/docker/keys.py", "plugins/module_utils/docker/config.py"}


def test_only_listed_modules_read_the_parsed_daemon_json() -> None:
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


# Files of the engine, and timers that a role starts.
SUBJECTS = frozenset({*files.FIXED, *owners.APT_TIMERS, *owners.DNF_TIMERS}) - {audit.RUN_CONTAINERD}


def test_files_and_timers_that_are_judged_and_set_are_listed_once() -> None:
    assert words('_FIXED = ("/etc/default/docker", "apt-daily.timer")', SUBJECTS)
    found = {path for path, source in everything() if words(source, SUBJECTS)}
    assert {path for path in found if "/subjects/" not in path} == {
        "hardener/checks/runtime/mounts.py",  # sockets of engines, whichever serves this host
        "plugins/module_utils/docker/engine.py",  # containerd's, to tell an engine's own from the system's
        "plugins/module_utils/docker/keys.py",  # the default path of daemon.json
    }


def test_names_of_secrets_are_listed_once() -> None:
    found = {path for path, source in everything() if any("passphrase|" in text for text in texts(source))}
    assert found == {"plugins/module_utils/host/redact.py"}


def test_only_four_modules_list_calls_that_the_default_seccomp_profile_refuses() -> None:
    second = '_REFUSED = """acct add_key bpf keyctl mount reboot"""\n'
    assert len(words(second, seccomp.REFUSED)) == 6
    found = {path for path, source in everything() if len(words(source, seccomp.REFUSED)) > 5}
    assert found == {
        "plugins/module_utils/docker/seccomp.py",
        "plugins/module_utils/activity/records.py",  # how bad a denied call is
        "plugins/module_utils/activity/syscalls.py",  # the number of each call
        "hardener/workload/syscalls.py",  # the calls of newer kernels
    }


# Names of files in hardener's folders, and formats of records, by which programs find each other's.
OWN_FILES = frozenset(
    [
        *(layout.BACKUPS, layout.GUARD, layout.JOURNAL, layout.NUMBER, layout.OUTCOME),
        *(layout.RECORD, layout.RUN.pattern, layout.WITHDRAWN),
        *(contract.ACTIVITY_FORMAT, contract.SCAN_FORMAT, contract.TRUST_FORMAT),
    ]
)
OWN_FOLDERS = re.compile(rf"(?<![\w/])(?:{layout.SETTINGS}|{layout.PROGRAMS}|{layout.STATE})(?![\w-])")


def names_own_files(source: str) -> bool:
    """Whether a module has a path, a name or a format of hardener's own files on hosts."""
    if "hardener" not in source and not any(name in source for name in OWN_FILES):
        return False
    return any(text in OWN_FILES or OWN_FOLDERS.search(text) for text in texts(source))


def test_the_search_finds_every_form_of_a_path_of_hardeners_files() -> None:
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


def test_the_files_of_hardener_on_a_host_are_named_in_two_modules() -> None:
    found = {path for path, source in everything() if names_own_files(source)}
    documentation = {path for path in found if path.startswith("plugins/modules/")}
    assert found - documentation == {
        "plugins/module_utils/contract.py",
        "plugins/module_utils/host/layout.py",
    }


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


def test_only_one_module_speaks_http_to_the_engine() -> None:
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


def test_only_one_module_uses_netlink() -> None:
    assert plugins_with("AF_NETLINK") == {"plugins/module_utils/host/netlink.py"}


def test_only_two_modules_make_foreign_texts_printable() -> None:
    # The client refuses a malformed request.
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


def test_only_three_modules_of_the_collection_replace_files() -> None:
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
