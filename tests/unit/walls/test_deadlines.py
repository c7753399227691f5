"""Rules for tasks and actions: whatever reaches a host has a deadline on the controller."""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible.plugins.action import ActionBase

from hardener.content import collections_path
from hardener.fleet import ansible_playbook
from tests.unit.walls.sources import MODULES, ROOT, nodes

PLUGINS = ROOT / "plugins"
BLOCKS = ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks", "handlers")
NO_ACTIONS = frozenset({"import_role", "include_role", "import_tasks", "include_tasks", "import_playbook"})
KEYWORDS = frozenset(
    [
        *["args", "async", "become", "changed_when", "check_mode", "delegate_to", "diff", "environment"],
        *["failed_when", "ignore_errors", "loop", "loop_control", "name", "no_log", "notify", "poll"],
        *["register", "retries", "delay", "run_once", "tags", "throttle", "timeout", "until", "vars", "when"],
    ]
)
ACTIONS = sorted(path.stem for path in (PLUGINS / "action").glob("*.py"))
_REMOTE = frozenset({"exec_command", "put_file", "fetch_file", "reset"})  # of a connection


def tasks(entries: Any) -> Iterator[dict[str, Any]]:
    """Every task in a list of plays or tasks."""
    for entry in entries if isinstance(entries, list) else ():
        inner = [part for name in BLOCKS for part in entry.get(name, ())]
        yield from tasks(inner)
        if not inner and "hosts" not in entry:
            yield entry


def written() -> dict[str, set[str]]:
    """The files of each action that the roles and the playbooks name."""
    found: dict[str, set[str]] = {}
    for path in [*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/*/tasks/**/*.yml")]:
        for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8"))):
            (name,) = task.keys() - KEYWORDS
            if name.rpartition(".")[2] in NO_ACTIONS:
                continue
            found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return found


# In a process of its own, since Ansible's loader changes how modules are found: the actions of tasks as a
# worker gets them where the script that starts Ansible has set the limits. A mere module has `normal`.
_LOADED = """\
import json, os, sys
from types import SimpleNamespace
from ansible.plugins.loader import action_loader, init_plugin_loader
init_plugin_loader()
from hardener.fleet.ansible_playbook import bound_tasks
from ansible_collections.hardener.docker.plugins.plugin_utils import host_script, limits
held = []
limits.hold = held.append
bound_tasks(umask=0o22)
given = dict.fromkeys(("connection", "play_context", "loader", "templar", "shared_loader_obj"))
found = {}
for name in json.load(sys.stdin):
    known = action_loader.has_plugin(name)
    action = action_loader.get(name if known else "ansible.legacy.normal", task=SimpleNamespace(), **given)
    found[name] = {
        "known": known,
        "held": action in held,
        "connects": action._requires_connection,
        "keeps": getattr(action, "KEEPS_LIMITS", False),
        "transfers": action.TRANSFERS_FILES,
        "by_script": isinstance(action, host_script.HostScriptAction),
    }
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, Any]:
    """What is known of each action of a task, of each of ours, and of those without a deadline."""
    local = (f"ansible.builtin.{name}" for name in ansible_playbook._LOCAL)
    names = [*written(), *(f"hardener.docker.{name}" for name in ACTIONS), *local]
    done = subprocess.run(
        [sys.executable, "-c", _LOADED],
        input=json.dumps(sorted(set(names))),
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections_path())},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_task_of_a_role_or_playbook_that_reaches_a_host_has_a_deadline(loaded: dict[str, Any]) -> None:
    names = written()
    assert {"ansible.builtin.command", "hardener.docker.hosts", "hardener.docker.collect"} <= names.keys()
    for name, files in names.items():
        assert name != "ansible.builtin.meta", files  # `reset_connection`: Ansible's main process would wait
        assert loaded[name]["held"] or not loaded[name]["connects"], (name, files)


@pytest.mark.parametrize("name", sorted(ansible_playbook._LOCAL - {"pause"}))
def test_an_action_without_a_deadline_needs_no_connection(name: str, loaded: dict[str, Any]) -> None:
    found = loaded[f"ansible.builtin.{name}"]
    assert found["known"]
    assert (found["connects"], found["held"]) == (False, False)


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_of_the_collection_is_limited(name: str, loaded: dict[str, Any]) -> None:
    found = loaded[f"hardener.docker.{name}"]
    assert found["known"]
    assert found["held"]
    assert found["keeps"] is found["by_script"]
    assert not (found["keeps"] and found["transfers"])  # Ansible would make a folder on the host first


def remote_methods() -> set[str]:
    """The methods of Ansible's base of actions that use the connection, themselves or by another of them."""
    called = {}
    (base,) = ast.parse(inspect.getsource(ActionBase)).body
    assert isinstance(base, ast.ClassDef)
    for method in base.body:
        if isinstance(method, ast.FunctionDef):
            called[method.name] = {each.attr for each in ast.walk(method) if isinstance(each, ast.Attribute)}
    found = set(_REMOTE)
    while more := {name for name, each in called.items() if each & found} - found:
        found |= more
    return found - {"run", "cleanup"}  # without TRANSFERS_FILES; the launcher bounds the second


def beyond(source: str, methods: set[str]) -> list[str]:
    """Uses of these methods of an action or its connection outside a block that ``bounded`` limits."""
    inside = {
        id(part)
        for node in nodes(source)
        if isinstance(node, ast.With)
        and any(ast.unparse(item.context_expr).startswith("limits.bounded(") for item in node.items)
        for part in ast.walk(node)
    }
    return [
        f"{node.lineno}: {node.attr}"
        for node in nodes(source)
        if isinstance(node, ast.Attribute)
        and node.attr in methods
        and id(node) not in inside
        and not ast.unparse(node.value).startswith(("type(", "ConnectionBase"))  # a look at a class
    ]


BOUNDED = """\
with limits.bounded(connection, seconds=1):
    connection.reset()
if type(connection).reset is not ConnectionBase.reset:
    self._execute_module()
"""


def test_actions_with_their_own_limits_reach_hosts_only_by_run_script() -> None:
    methods = remote_methods()
    assert {"_execute_module", "_low_level_execute_command", "_transfer_data", "_make_tmp_path"} <= methods
    assert beyond(BOUNDED, methods) == ["4: _execute_module"]
    for path in [*(PLUGINS / "action").glob("*.py"), *(PLUGINS / "plugin_utils").glob("*.py")]:
        source = path.read_text(encoding="utf-8")
        uses = beyond(source, methods)
        if path == PLUGINS / "plugin_utils" / "host_script.py":
            # `run_script` calls this method inside such a block.
            own = next(each for each in nodes(source) if getattr(each, "name", "") == "_execute")
            assert isinstance(own, ast.FunctionDef)
            lines = range(own.lineno, (own.end_lineno or 0) + 1)
            uses = [each for each in uses if int(each.partition(":")[0]) not in lines]
        assert [*uses, *beyond(source, {"_execute"})] == [], path


def _last_name(function: ast.expr) -> str:
    return str(getattr(function, "attr", getattr(function, "id", "")))


def test_only_the_options_that_select_hosts_create_a_fleet() -> None:
    makers = {
        module
        for module, source in MODULES.items()
        for node in nodes(source)
        if isinstance(node, ast.Call) and _last_name(node.func) == "Fleet"
    }
    assert makers == {"hardener.cli.fleet_options"}
    # A command that calls another one has hosts without having these options.
    callers = {
        module
        for module, source in MODULES.items()
        for node in nodes(source)
        if isinstance(node, ast.Attribute) and node.attr == "make_context"
    }
    assert callers == {"hardener.cli.resume", "hardener.cli.schedule"}
