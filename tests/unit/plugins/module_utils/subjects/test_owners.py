"""What a role starts or installs belongs to it, so that a release of the role gives it back or names it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hardener.docker.plugins.module_utils.converge import activations, roleparts
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Begun
from ansible_collections.hardener.docker.plugins.module_utils.subjects import owners

from tests.unit.plugins.loading import ROLES
from tests.unit.plugins.module_utils.render.rendering import rendered
from tests.unit.snapshots import RELEASES, make, recorded
from tests.unit.walls.sources import names, nodes, texts

RENDER = Path(__file__).parents[5] / "plugins/module_utils/render"
MODULES = sorted(path for path in RENDER.glob("*.py") if (ROLES / path.stem).is_dir())
# Units that renderers read, and whose files they write, but never start by an activation `units`.
READ = frozenset(
    [
        *("docker.service", "docker.socket", "containerd.service"),
        *("firewalld.service", "nftables.service", "netfilter-persistent.service"),
        "hardener-scan.service",
    ]
)
UNIT = re.compile(r"[\w@-]+\.(?:service|timer|socket|path|target)")


def started(source: str) -> set[str]:
    """The units and the activations that a renderer names."""
    tables = [getattr(owners, name, ()) for name in names(source) if name.isupper()]
    units = {unit for table in tables for unit in ([table] if isinstance(table, str) else table)}
    named = {
        str(value.value)
        for node in nodes(source)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value == "name" and isinstance(value, ast.Constant)
    }
    return units | set(filter(UNIT.fullmatch, texts(source))) | named & owners.ACTIVATIONS.keys()


def test_every_activation_belongs_to_a_role_or_to_all() -> None:
    assert {*owners.ACTIVATIONS, *owners.SHARED, "units"} == set(activations.KINDS)
    assert {*owners.ACTIVATIONS.values(), *owners.UNITS.values(), *owners.WRITTEN} <= {
        path.name for path in ROLES.iterdir()
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_what_a_renderer_starts_belongs_to_its_role(path: Path) -> None:
    owned = {**owners.UNITS, **owners.ACTIVATIONS}
    found = started(path.read_text()) - READ
    assert {name: owned.get(name) for name in found} == dict.fromkeys(found, path.stem)


@pytest.mark.parametrize("role", [path.stem for path in MODULES])
def test_a_release_of_a_role_gets_all_that_its_documents_start(role: str) -> None:
    for snapshot in (make(), *map(recorded, RELEASES)):
        for document in rendered(role, snapshot):
            for activation in document.get("activations", ()):
                memory: dict[str, Any] = dict.fromkeys(activation.get("units", {}), 1) or {"kept": 1}
                begun = Begun(activation, memory)
                assert roleparts.begun_of_role(activation["name"], begun, role) == begun


def test_a_release_of_security_updates_gets_the_timers_of_apt_and_dnf() -> None:
    memory: dict[str, Any] = {unit: {} for unit in (*owners.APT_TIMERS, *owners.DNF_TIMERS)}
    begun = Begun({}, {**memory, owners.SCAN_TIMER: {}})
    released = roleparts.begun_of_role("units", begun, "security_updates")
    assert released is not None
    assert released.memory == memory


def test_every_package_that_a_role_installs_is_named_by_its_release() -> None:
    known = {(role, word) for role, _, package in owners.INSTALLED for word in package.split(" or ")}
    for path in ROLES.glob("*/tasks/*.yml"):
        role = path.relative_to(ROLES).parts[0]
        for task in yaml.safe_load(path.read_text()) or ():
            wanted = (task.get("ansible.builtin.package") or {}).get("name")
            wanted = wanted or (task.get("vars") or {}).get("converge_package")
            if isinstance(wanted, str) and "{{" not in wanted:
                assert (role, wanted) in known, path
