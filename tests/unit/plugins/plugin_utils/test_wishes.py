"""Which documents of a role are applied, by what the site sets and by what the host remembers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.hardener.docker.plugins.plugin_utils import specification, wishes
from ansible_collections.hardener.docker.plugins.plugin_utils.wishes import Wishes

from tests.unit.plugins.loading import LIBRARY, ROLES, render

RENDERERS = sorted(path.stem for path in (LIBRARY / "render").glob("*.py") if (ROLES / path.stem).is_dir())
OPTIONS: dict[str, dict[str, Any]] = {
    "x_on": {"type": "bool", "default": True},
    "x_ports": {"type": "list", "default": []},
    "x_driver": {"type": "str", "default": ""},
    "x_opts": {"type": "dict", "default": {}},
    "x_level": {"type": "str", "default": "info"},
}
DECIDED_BY = {"on": ("ports",), "driver": ("opts",)}
DOCUMENTS = [{"name": name} for name in ("x", "x_on", "x_driver", "x_level")]
VALUES = {
    "x_on": False,
    "x_ports": [9100],
    "x_opts": {"max-size": "33m"},
    "x_level": "debug",
    "x_driver": "",
}


def chosen(
    named: str = "",
    *,
    only: str = "",
    inventory: str | None = "inv",
    in_force: str = "",
    stored: dict[str, Any] | None = None,
    documents: Sequence[dict[str, Any]] = DOCUMENTS,
    **more: Any,
) -> dict[str, Any]:
    """The documents that are applied: by name the wish, its refusal, or None."""
    found = Wishes(
        role="x",
        only=set(only.split()),
        inventory=inventory,
        named=set(named.split()),
        options=OPTIONS,
        decided_by=DECIDED_BY,
        runs={"in_force": in_force.split(), "wishes": stored or {}},
        value=VALUES.__getitem__,
        **more,
    ).chosen(documents)
    return {each["name"]: each.get("refused") or each.get("wish") for each in found}


def test_variables_of_the_site_are_those_of_its_inventory() -> None:
    known = {"inventory_hostname": "a", "hostvars": {"a": {"x_on": 1}}, "x_level": "a default"}
    assert wishes.set_by_site(known) == {"x_on"}
    for unknown in (
        {},
        {"inventory_hostname": "b", "hostvars": {}},
        {"hostvars": None, "inventory_hostname": "a"},
    ):
        with pytest.raises(AnsibleActionFail, match="no wish is applied"):
            wishes.set_by_site(unknown)


def test_only_roles_whose_own_variables_are_set_have_wishes() -> None:
    named = (
        "firewall_allow",
        "kernel_of_the_site",
        "docker_engine_version",
        "converge_allow",
        "hardener_policy",
    )
    known = {"inventory_hostname": "a", "hostvars": {"a": dict.fromkeys((*named, "activity_collector"))}}
    assert wishes.roles_of_site(known) == ["activity", "firewall"]


@pytest.mark.parametrize(
    ("named", "in_force", "expected"),
    [
        ("", "x_on x_driver", set()),
        ("x_on", "", {"x_on"}),
        ("x_ports", "", set()),  # it only modifies what a switch turns on
        ("x_ports", "x_on", {"x_on"}),
        ("x_opts", "", {"x_driver"}),
        ("x_level x_opts", "", {"x_level", "x_driver"}),
        ("x_unknown other_on", "x_on", set()),
    ],
)
def test_a_document_is_a_wish_by_the_variables_that_decide_it(
    named: str, in_force: str, expected: set[str]
) -> None:
    assert chosen(named, in_force=in_force).keys() - {"x"} == expected


def test_documents_of_controls_are_applied_beside_wishes_and_without_them() -> None:
    assert chosen("x_level", only="x_on").keys() == {"x", "x_on", "x_level"}
    assert chosen("x_level", only="x_on", inventory=None) == {"x": None, "x_on": None}
    assert chosen() == {}


def test_a_document_of_a_control_remembers_the_variables_that_modify_it() -> None:
    wish = chosen("x_ports", only="x_on")["x_on"]
    assert wish["variables"].keys() == {"x_ports"}


def test_a_wish_has_a_digest_of_each_value_and_no_value() -> None:
    wish = chosen("x_opts x_driver")["x_driver"]
    assert (wish["inventory"], wish["role"], wish["if_applied"]) == ("inv", "x", False)
    assert wish["variables"].keys() == {"x_driver", "x_opts"}
    assert "33m" not in str(wish)
    assert len(set(wish["variables"].values())) == 2


def test_a_variable_that_the_same_inventory_no_longer_sets_ends_its_wish() -> None:
    stored = {"x_on": {"inventory": "inv", "role": "x", "variables": ["x_ports"]}}
    assert chosen(stored=stored)["x_on"]["variables"] == {}
    assert chosen(stored=stored, inventory="another") == {}
    assert chosen("x_ports", in_force="x_on", stored=stored)["x_on"]["variables"].keys() == {"x_ports"}


@pytest.mark.parametrize(
    ("only_default", "named", "held"),
    [
        (True, "x_on", True),
        (False, "x_on", False),
        (None, "x_on", True),
        (True, "x_ports", False),
        (False, "x_ports", True),  # the switch has its default, which repairs the waived control
        (None, "x_ports", False),
        (False, "", True),  # so does one that the inventory no longer sets
        (True, "", False),
    ],
)
def test_a_wish_that_weakens_a_control_or_repairs_a_waived_one_is_held(
    only_default: bool | None, named: str, *, held: bool
) -> None:
    guarded = {"x_on": {"reason": "it weakens 2.2", "only_default": only_default}}
    stored = {"x_on": {"inventory": "inv", "role": "x", "variables": ["x_on"]}}
    found = chosen(named, in_force="x_on", stored=stored, guarded=guarded)["x_on"]
    assert (found == "it weakens 2.2") is held


def test_a_repair_of_a_control_needs_an_unchanged_wish_and_other_wishes_an_applied_one() -> None:
    found = chosen("x_on x_level", only="x_on", if_applied=True)
    terms = {
        name: (wish["if_applied"], wish.get("if_unchanged", False)) for name, wish in found.items() if wish
    }
    assert terms == {"x_on": (False, True), "x_level": (True, False)}


def test_keys_of_several_types_have_a_digest() -> None:
    assert wishes._digest({1: "a", "b": 2}) != wishes._digest({1: "a", "b": 3})


def test_a_refused_role_answers_all_wishes() -> None:
    whole = [{"name": "x", "refused": "no engine"}]
    (answer,) = chosen("x_ports x_level", documents=whole).values()
    assert answer == "no engine"
    assert chosen("", documents=whole) == {}


def test_a_reviewed_plan_applies_the_wishes_that_it_names() -> None:
    assert chosen("x_on x_level", only="x_level", reviewed=True).keys() == {"x", "x_level"}


@pytest.mark.parametrize(
    ("named", "terms", "idle"),
    [
        ("x_ports", {}, ["x_ports has no effect here, since x_on is not applied"]),
        ("x_ports x_on", {}, ["x_ports has no effect here, since x_on is not applied"]),  # it is set to false
        ("x_ports", {"in_force": {"x_on"}}, []),
        ("x_ports", {"only": {"x_on"}}, []),
        ("x_ports", {"inventory": None}, []),
        ("x_ports", {"if_applied": True}, []),
        ("x_opts", {}, []),  # its document is no switch
        ("x_level", {}, []),
        ("x_leveel", {}, ["x_leveel is no variable of the role x, and has no effect: is x_level meant?"]),
        ("x_leveel", {"inventory": None}, []),
        ("x_allowed_tcp_ports", {}, []),  # of another role with the same prefix
        ("y_leveel", {}, []),
    ],
)
@pytest.mark.parametrize("documents", [DOCUMENTS, DOCUMENTS[1:]])
def test_a_variable_without_effect_is_named(
    named: str, terms: dict[str, Any], idle: list[str], documents: list[dict[str, Any]]
) -> None:
    found = Wishes(
        **{
            "role": "x",
            "only": set(),
            "inventory": "inv",
            "named": set(named.split()),
            "options": OPTIONS,
            "decided_by": DECIDED_BY,
            "value": VALUES.__getitem__,
            **{key: value for key, value in terms.items() if key != "in_force"},
            "runs": {"in_force": terms.get("in_force", ())},
        }
    ).chosen(documents)
    assert [note for each in found for note in each.get("notes", ())] == idle


@pytest.mark.parametrize("role", RENDERERS)
def test_results_of_tasks_are_not_mistyped_variables(role: str) -> None:
    """Ansible adds them to the variables of the host, for the roles that follow."""
    texts = [file.read_text() for file in (ROLES / role).rglob("*.yml")]
    results = {name for text in texts for name in re.findall(r"\b(?:register: |loop_var: )(\w+)", text)}
    assert [*wishes._mistyped(results, role, specification.variables(ROLES / role))] == []


VARIABLES = ("x_on", "x_level", "x_port", "x_other")


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
    found = wishes.is_asked(
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
    named = wishes.named_variables(one, {"inventory_hostname": "web1"}, VARIABLES, {"x_level": "x", "y": 1})
    assert named == {"x_on", "x_level", "x_port"}
    assert one._role._default_vars == dict.fromkeys(VARIABLES, 1)
    assert [role._default_vars["x_port"] for role in one.get_play().roles] == [1, 2]


@pytest.mark.parametrize("manager", [None, SimpleNamespace(), Manager({})])
def test_all_variables_are_treated_as_set_if_their_origin_is_unknown(manager: Any) -> None:
    assert wishes.named_variables(task(manager), {}, VARIABLES, None) == set(VARIABLES)


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
