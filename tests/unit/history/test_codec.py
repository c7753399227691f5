from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hardener import catalogue
from hardener.history.assessment_store import pack, unpack
from hardener.history.codec import Codec
from hardener.model import Assessment, Control, Offender, Status, Verdict
from tests.unit.reports.assessments import assessment, gone, hostile_assessment, hostile_text

verdicts = st.builds(
    Verdict,
    status=st.sampled_from(Status),
    expected=hostile_text,
    actual=hostile_text,
    offenders=st.lists(st.builds(Offender, hostile_text, hostile_text, hostile_text), max_size=3).map(tuple),
    evidence=st.lists(hostile_text, max_size=3).map(tuple),
    checked=st.integers(min_value=0),
)


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Small:
    name: str


@dataclass(frozen=True, slots=True)
class Everything:
    text: str
    number: int
    share: float
    moment: datetime
    day: date
    pairs: tuple[tuple[str, int], ...]
    colour: Colour
    names: tuple[str, ...]
    parts: Mapping[str, tuple[Small, ...]]
    maybe: Small | None
    later: str = "default"
    most: Mapping[str, str] = field(default_factory=dict)


ONE = Everything(
    text="t",
    number=3,
    share=0.25,
    moment=datetime(2026, 11, 25, 1, 2, 3, 4, tzinfo=UTC),
    day=date(2026, 11, 25),
    pairs=(("a", 1), ("b", 2)),
    colour=Colour.RED,
    names=("a",),
    parts={"x": (Small("y"),)},
    maybe=None,
)


def through_json(value: Everything, *, without: str = "") -> Everything:
    data = json.loads(json.dumps(Codec().encode(value)))
    data.pop(without, None)
    return Codec().decode(Everything, data)


def test_a_value_of_every_supported_type_is_decoded_unchanged() -> None:
    assert through_json(ONE) == ONE
    assert isinstance(through_json(ONE).colour, Colour)


def test_a_field_missing_in_old_data_gets_its_default() -> None:
    assert through_json(ONE, without="later") == ONE
    assert through_json(ONE, without="most") == ONE


def test_a_missing_required_field_is_an_error() -> None:
    with pytest.raises(KeyError, match="number"):
        through_json(ONE, without="number")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", 3),
        ("text", None),
        ("number", "3"),
        ("share", "1"),
        ("moment", "2026-11-25T01:02:03"),
        ("moment", 3),
        ("pairs", "ab"),
        ("pairs", [{"a": 1}]),
        ("names", "ab"),
        ("parts", []),
        ("maybe", "x"),
    ],
)
def test_a_value_of_another_type_is_an_error(name: str, value: object) -> None:
    data = {**json.loads(json.dumps(Codec().encode(ONE))), name: value}
    with pytest.raises((TypeError, ValueError)):
        Codec().decode(Everything, data)


def test_unknown_fields_are_ignored() -> None:
    assert Codec().decode(Small, {"name": "a", "colour": "red"}) == Small("a")


@given(verdicts)
@example(Verdict(Status.PASS, "\ud800\udfff", "\ud83d" + "\ude00"))  # halves side by side stay halves
def test_any_verdict_is_decoded_exactly(verdict: Verdict) -> None:
    assert Codec().decode(Verdict, unpack(pack(Codec().encode(verdict)))) == verdict


@pytest.mark.parametrize("one", [assessment(), gone(), hostile_assessment("\ud800\x00")])
def test_an_assessment_is_decoded_exactly(one: Assessment) -> None:
    assert Codec().decode(Assessment, json.loads(json.dumps(Codec().encode(one)))) == one


def test_every_control_of_the_catalogue_is_decoded_exactly() -> None:
    controls = catalogue.every_control()
    assert [Codec().decode(Control, Codec().encode(control)) for control in controls] == list(controls)


def test_a_type_with_its_own_encoder_is_stored_by_it() -> None:
    codec = Codec({Small: (lambda small: small.name, Small)})
    encoded = codec.encode(ONE)
    assert encoded["parts"] == {"x": ["y"]}
    assert codec.decode(Everything, encoded) == ONE


def test_a_type_that_cannot_be_stored_is_an_error() -> None:
    with pytest.raises(TypeError, match="cannot store"):
        Codec().encode({1, 2})
