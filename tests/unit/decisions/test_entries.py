"""What holds for waivers and attestations alike."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.decisions.document import DocumentError, parse
from hardener.decisions.entries import unknown_places
from hardener.decisions.waivers import KEY, waivers_of
from tests.hanging import must_end
from tests.unit.decisions.kinds import KINDS, WAIVER, Kind

each_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.key for kind in KINDS])


@each_kind
def test_a_file_without_entries_is_accepted(kind: Kind) -> None:
    for empty in ("", "# none yet\n", f"{kind.key}: []\n", f"{kind.key}:\n", "horizon_days: 30\n"):
        assert kind.read(empty) == ()


@each_kind
@pytest.mark.parametrize(
    ("written", "slug"),
    [
        ("container-no-docker-sock", "container-no-docker-sock"),
        ("Container-No-Docker-Sock", "container-no-docker-sock"),
        ("5.32", "container-no-docker-sock"),
        ("5.10", "container-no-host-network"),
        ("1.1.10", "audit-etc-default-docker"),
        ("h.1", "host-updates-pending"),
    ],
)
def test_a_control_can_be_named_by_slug_or_id(kind: Kind, written: str, slug: str) -> None:
    (entry,) = kind.read(kind.changed("control", written))
    assert entry.control == slug


@each_kind
@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("id", "", "id: is empty"),
        ("id", "a b", "id: must be at most 64 letters"),
        ("control", "no-such", "control: there is no control 'no-such'"),
        ("control", "2.8", "control: 2.8 means different controls: daemon-"),
        ("control", "container-no-docker-socket", "did you mean container-no-docker-sock"),
        ("control", "image-trusted", "did you mean image-trusted-base"),
        ("hosts", "web1", "hosts: must be a list"),
        ("hosts", '[""]', "hosts: is empty"),
        ("hosts", "[[a]]", "hosts: must be a string"),
        ("hosts", f"[{'x' * 201}]", "hosts: is longer than 200 characters"),
        ("groups", "{a: b}", "groups: must be a list"),
        ("objects", "[web]", "objects: must be a mapping of keys to values"),
        ("objects", "{containers: [web]}", "objects.containers: must be 'container'"),
        ("objects", "{package: [bash]}", "objects.package: must be 'container'"),
        ("objects", "{container: web}", "objects.container: must be a list"),
        ("objects", "{container: []}", "objects.container: is empty"),
        ("since", "yesterday", "must be a date such as 2026-11-25"),
        ("since", "20261125", "must be a date such as 2026-11-25"),
        ("since", "2026-11-27", "2026-11-27 is in the future"),
        ("since", "[1]", "must be a date"),
        ("expires", None, "expires: is missing"),
        ("expires", "", "expires: is empty"),
        ("expires", "2027-02-30", "expires: is not a day of the calendar"),
        ("expires", "2026-11-24", "expires: 2026-11-24 is before {since} (2026-11-25)"),
        ("expires", "2027-11-27", "past the horizon of 366 days: 2027-11-26 at the latest"),
        ("expires", "9" * 5000, "expires: must be a date"),
    ],
)
def test_a_mistake_is_an_error_with_its_line(kind: Kind, key: str, value: str | None, problem: str) -> None:
    key = kind.since if key == "since" else key
    (found,) = kind.problems(kind.changed(key, value))
    assert found.startswith(f"{kind.file}:{2 if value is None else kind.line_of(key)}: {key}")
    assert problem.replace("{since}", kind.since) in found


@each_kind
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "is missing"),
        ("", "is empty"),
        ('"  "', "is empty"),
        ("x" * 2001, "is longer than 2000 characters"),
        ("[a]", "must be a string"),
    ],
)
def test_a_required_text_that_is_missing_empty_or_too_long_is_an_error(
    kind: Kind, value: str | None, problem: str
) -> None:
    for key in kind.texts:
        line = 2 if value is None else kind.line_of(key)
        (found,) = kind.problems(kind.changed(key, value))
        assert found.startswith(f"{kind.file}:{line}: {key}: {problem}")


@each_kind
def test_a_date_of_tomorrow_is_accepted_for_other_time_zones(kind: Kind) -> None:
    assert kind.read(kind.changed(kind.since, "2026-11-26"))


@each_kind
def test_an_entry_needs_an_id(kind: Kind) -> None:
    identifier = kind.good.splitlines()[1]
    text = kind.good.replace(f"{identifier}\n    control", "  - control")
    assert kind.problems(text) == [f"{kind.file}:2: id: is missing"]


@each_kind
def test_an_entry_needs_hosts_or_groups(kind: Kind) -> None:
    text = "\n".join(line for line in kind.good.splitlines() if "hosts" not in line and "groups" not in line)
    assert kind.problems(text) == [
        f'{kind.file}:2: {kind.key}: names neither hosts nor groups (hosts: ["*"] is every host)'
    ]


@each_kind
def test_unknown_keys_are_errors_with_suggestions(kind: Kind) -> None:
    line = len(kind.good.splitlines()) + 1
    assert kind.problems(f"{kind.good}    expire: 2027-01-01\n") == [
        f"{kind.file}:{line}: expire: unknown key; did you mean expires?"
    ]
    assert kind.problems(f"{kind.good}version: 1\n") == [
        f"{kind.file}:{line}: version: unknown key; the keys are horizon_days, {kind.key}"
    ]


@each_kind
def test_duplicate_ids_are_an_error(kind: Kind) -> None:
    line = len(kind.good.splitlines()) + 1
    identifier = kind.good.splitlines()[1].partition(": ")[2]
    assert kind.problems(kind.good + kind.good.removeprefix(f"{kind.key}:\n")) == [
        f"{kind.file}:{line}: id: {identifier} appears twice, first in line 2"
    ]


@each_kind
def test_values_of_the_wrong_type_are_refused(kind: Kind) -> None:
    for text in ("[]", "text", "{}: text", "{}: {{}}", "{}:\n  - text", "{}: [[]]"):
        assert kind.problems(text.format(kind.key))


@each_kind
def test_an_expiry_date_beyond_the_horizon_of_the_file_is_an_error(kind: Kind) -> None:
    line = kind.line_of("expires") + 1
    assert kind.problems(f"horizon_days: 30\n{kind.good}") == [
        f"{kind.file}:{line}: expires: 2027-05-25 is past the horizon of 30 days: 2026-12-25 at the latest"
    ]
    assert kind.read(f"horizon_days: 1000\n{kind.changed('expires', '2029-01-01')}")
    # Whatever order the keys have.
    assert kind.problems(f"{kind.good}horizon_days: 30\n")


@each_kind
@pytest.mark.parametrize("days", ["0", "-1", "3661", "9" * 400, "1.5", "x", "[1]", '""'])
def test_a_horizon_must_be_a_valid_number_of_days(kind: Kind, days: str) -> None:
    problem, *_ = kind.problems(f"horizon_days: {days}\n{kind.good}")
    assert "must be a number of days from 1 to 3660" in problem


@each_kind
def test_every_problem_of_a_file_is_reported(kind: Kind) -> None:
    text = kind.good.replace("J. Doe", "").replace("2027-05-25", "never").replace('["web*"]', "web*")
    (person,) = [key for key in kind.texts if key.endswith("_by")]
    assert [each.split(": ")[1] for each in kind.problems(text)] == ["hosts", person, "expires"]


VALUES = st.recursive(
    st.text("abW-*0123456789.:é ", max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.sampled_from(["id", "container", "hosts"]), inner, max_size=2).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"
        )
    ),
    max_leaves=4,
)


@each_kind
@given(data=st.data(), value=VALUES)
def test_arbitrary_entries_are_read_or_reported(kind: Kind, data: st.DataObject, value: str) -> None:
    keys = ["id", "control", "hosts", "objects", kind.texts[0], kind.since, "expires"]
    said = ""
    try:
        kind.read(kind.changed(data.draw(st.sampled_from(keys)), value))
    except DocumentError as error:
        said = str(error)
    assert said.isprintable()


# What a file of the largest size can be filled with, so that as much as can be is wrong with it.
_TYPED = "- {id: '', hosts: [''], control: x}\n"
FILLINGS = ["- {}\n", "- x\n", "-\n", "- []\n", "- {a: 1}\n", "- [[[]]]\n", _TYPED]


@each_kind
@pytest.mark.parametrize("filling", FILLINGS)
@pytest.mark.parametrize("entries", [9_999, None], ids=["as many entries as may be", "as large as may be"])
def test_problems_of_the_largest_file_are_found_in_bounded_time(
    kind: Kind, filling: str, entries: int | None
) -> None:
    most = (1 << 20) // len(filling) - 10
    with must_end():
        problems = kind.problems(f"{kind.key}:\n{filling * min(most, entries or most)}")
    assert 1 <= len(problems) <= 1001
    if len(problems) > 1000:
        assert problems[-1].endswith("more problems follow, which are not listed")


HERE = Path("waivers.yml")


def found(hosts: str, groups: str) -> list[str]:
    text = WAIVER.good.replace('["web*"]', hosts).replace("[edge]", groups)
    waivers = waivers_of(parse(text.encode(), HERE), date(2026, 11, 25))
    problems = unknown_places(
        waivers.document, KEY, waivers.entries, hosts={"web1", "db1"}, groups={"all", "edge", "database"}
    )
    return [each.at(HERE) for each in problems]


@pytest.mark.parametrize("hosts", ['["web*"]', '["*"]', "[web1, db1]", '["[wd]*"]'])
def test_existing_hosts_and_groups_are_accepted(hosts: str) -> None:
    assert found(hosts, "[edge, all]") == []


def test_missing_hosts_and_groups_are_reported() -> None:
    assert found('["web*", wbe1, "mail*"]', "[egde, x]") == [
        "waivers.yml:4: hosts: no host of the inventory matches mail*",
        "waivers.yml:4: hosts: no host of the inventory matches wbe1; did you mean web1?",
        "waivers.yml:5: groups: the inventory has no group egde; did you mean edge?",
        "waivers.yml:5: groups: the inventory has no group x",
    ]
