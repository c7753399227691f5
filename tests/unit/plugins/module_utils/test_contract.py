"""One list of impacts, states and outcomes: what else names them says the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible_collections.hardener.docker.plugins.module_utils import contract
from ansible_collections.hardener.docker.plugins.module_utils.converge import documents
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from hypothesis import given, settings
from hypothesis import strategies as st

from hardener.catalogue.words import IMPACTS
from hardener.model import Impact
from hardener.plan import _FATES
from tests.unit.plugins.loading import ROOT


def test_impacts_of_the_package_are_those_of_the_collection_in_the_same_order() -> None:
    assert tuple(Impact) == contract.IMPACTS
    assert set(IMPACTS) == set(contract.IMPACTS)


def test_the_schema_of_an_assessment_has_every_impact() -> None:
    schema = json.loads((ROOT / "hardener" / "assessment.schema.json").read_text(encoding="utf-8"))
    assert list(enums(schema, "impact")) == [[*contract.IMPACTS, None]]


def enums(schema: Any, name: str) -> Iterator[list[Any]]:
    """The values of every property of this name."""
    if isinstance(schema, dict):
        for key, inner in schema.items():
            if key == name and isinstance(inner, dict) and "enum" in inner:
                yield inner["enum"]
            yield from enums(inner, name)


def test_every_state_of_a_document_maps_to_an_outcome_of_its_step() -> None:
    assert tuple(_FATES) == contract.STATES


def test_the_role_has_the_same_default_time_to_confirm_a_run() -> None:
    specification = (ROOT / "roles" / "converge" / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    options = yaml.safe_load(specification)["argument_specs"]["main"]["options"]
    assert options["converge_confirm_timeout"]["default"] == contract.CONFIRM_TIMEOUT
    assert contract.LEAST_CONFIRM_TIMEOUT < contract.CONFIRM_TIMEOUT < contract.MOST_CONFIRM_TIMEOUT


def test_a_greater_impact_exceeds_the_allowed_one() -> None:
    for number, allowed in enumerate(contract.IMPACTS):
        exceeding = [impact for impact in contract.IMPACTS if contract.exceeds(impact, allowed)]
        assert exceeding == list(contract.IMPACTS[number + 1 :])


@pytest.mark.parametrize("kind", contract.RESOURCES)
def test_an_unknown_field_of_a_resource_is_refused(kind: str) -> None:
    needed = {
        field: types()
        for field, (types, default) in contract.RESOURCES[kind].items()
        if default is contract.REQUIRED
    }
    resource = {"kind": kind, "path": "/etc/x", **needed}
    request = {"documents": [{"name": "a", "resources": [resource]}]}
    assert documents.parse(request, ()).documents[0].resources[0].kind == kind
    resource["colour"] = "red"
    with pytest.raises(Refused, match="unknown 'colour'"):
        documents.parse(request, ())


# --- what is known beside a document ------------------------------------------------------------------------

KNOWN = {"host": "web1", "policy": {"a": [1]}}
# Pieces of which a host could make a document that ends where another one begins.
PIECES = ['{"a":1}', "{", "}", "[", "]", '"', ",", ":", "\\", '"host":"other"', '"b"', "1", " ", "null", "{}"]


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), min_size=1))
def test_members_are_inserted_into_a_json_document(document: dict[str, str]) -> None:
    assert json.loads(contract.beside(json.dumps(document).encode(), KNOWN)) == {**document, **KNOWN}


@settings(max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_inserted_members_override_those_of_the_host(text: str) -> None:
    for document in (text, f'{{"a":{text}}}', f'{{"a":"{text}}}', f'{{"host":"other",{text}}}'):
        try:
            found = json.loads(contract.beside(document.encode(), KNOWN))
        except ValueError:
            continue
        assert {key: found[key] for key in KNOWN} == KNOWN


def test_of_two_members_with_the_same_name_the_inserted_one_is_read() -> None:
    found = contract.beside(b'{"host":"other","a":1}', KNOWN)
    assert json.loads(found) == {"a": 1, **KNOWN}
