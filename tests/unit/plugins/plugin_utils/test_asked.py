"""What a site has asked for, and what a role has by default."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.plugin_utils import asked, specification

from tests.unit.plugins.loading import LIBRARY, ROLES, render

VARIABLES = ("x_on", "x_level", "x_port", "x_other")
RENDERERS = sorted(path.stem for path in (LIBRARY / "render").glob("*.py") if (ROLES / path.stem).is_dir())


@pytest.mark.parametrize(
    ("document", "named", "expected"),
    [
        ({"name": "x_on"}, [], False),
        ({"name": "x_on"}, ["x_on"], True),
        ({"name": "x_on"}, ["x_level"], True),  # it depends on that
        ({"name": "x_level"}, ["x_on"], False),
        ({"name": "x"}, [], False),
        ({"name": "x"}, ["x_port"], True),  # it is for all of them
        ({"name": "x_on", "asked": False}, ["x_on"], False),
        ({"name": "x_unknown"}, [], True),
        ({"name": "y_on"}, [], True),
    ],
)
def test_a_document_is_requested_by_the_variables_that_it_depends_on(
    document: dict[str, Any], named: Iterable[str], expected: bool
) -> None:
    found = asked.is_asked(
        document, "x", set(named), variables=VARIABLES, decided_by={"on": ("level",), "y": ("on",)}
    )
    assert found is expected


class Manager:
    """Merges variables as Ansible does: what roles have by default is weakest."""

    def __init__(self, named: dict[str, Any]) -> None:
        self._named = named
        self._inventory = SimpleNamespace(get_host=lambda name: name)

    def get_vars(self, *, play: Any, host: str, task: Any, include_hostvars: bool) -> dict[str, Any]:
        assert (host, include_hostvars) == ("web1", False)
        found: dict[str, Any] = {}
        for role in (*play.roles, task._role):
            found |= role._default_vars
        return found | self._named


def task(manager: Any) -> Any:
    """A task of the role x, which the play has twice, and which a role of the site includes."""
    own, twin, site = (
        SimpleNamespace(_role_path=path, _default_vars=dict(defaults))
        for path, defaults in (
            ("/roles/x", dict.fromkeys(VARIABLES, 1)),
            ("/roles/x", dict.fromkeys(VARIABLES, 1)),
            ("/roles/site", {"x_port": 2}),
        )
    )
    play = SimpleNamespace(roles=[twin, site])
    return SimpleNamespace(
        _role=own,
        get_dep_chain=lambda: [site],
        get_play=lambda: play,
        get_variable_manager=lambda: manager,
    )


def test_variables_set_outside_of_the_defaults_of_a_role_are_found() -> None:
    one = task(Manager({"x_on": 1, "elsewhere": 1}))
    named = asked.named_variables(one, {"inventory_hostname": "web1"}, VARIABLES, {"x_level": "x", "y": 1})
    assert named == {"x_on", "x_level", "x_port"}
    assert one._role._default_vars == dict.fromkeys(VARIABLES, 1)
    assert [role._default_vars["x_port"] for role in one.get_play().roles] == [1, 2]


@pytest.mark.parametrize("manager", [None, SimpleNamespace(), Manager({})])
def test_all_variables_are_treated_as_set_if_their_origin_is_unknown(manager: Any) -> None:
    assert asked.named_variables(task(manager), {}, VARIABLES, None) == set(VARIABLES)


# What decides nothing on a host: it is for another entry point of the role, or for the package itself.
ELSEWHERE = {
    "activity": {"seconds"},
    "content_trust": {"socket"},
    "docker_engine": {"client", "extra_packages", "hold"},
    "vulnerability_scan": {"imports", "openscap", "openscap_content", "openscap_profile"},
}


@pytest.mark.parametrize("role", RENDERERS)
def test_every_variable_of_a_role_belongs_to_a_document(role: str) -> None:
    """A variable is in the name of a document, or among those that one depends on."""
    own = {name.removeprefix(f"{role}_") for name in specification.variables(ROLES / role)}
    decided_by = getattr(render(role), "DECIDED_BY", {})
    others = {name for names in decided_by.values() for name in names}
    assert others | decided_by.keys() <= own
    source = "".join(path.read_text() for path in (LIBRARY / "render").glob(f"{role}*.py"))
    for name in own - others - ELSEWHERE.get(role, set()):
        assert f'"{role}_{name}"' in source or (role == "docker_daemon" and f'"{name}"' in source), name
