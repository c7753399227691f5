from __future__ import annotations

from datetime import date
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.decisions.document import DocumentError, parse
from hardener.decisions.waivers import waivers_of
from hardener.model import Scope, Waiver

TODAY = date(2026, 11, 25)
HERE = Path("waivers.yml")

GOOD = dedent(
    """\
    waivers:
      - id: W-001
        control: container-no-docker-sock
        hosts: ["web*"]
        groups: [edge]
        objects: {container: [traefik, "ci-*"], image: [traefik]}
        reason: >
          Routes by the labels
          of containers.
        owner: no
        approved_by: J. Doe
        ticket: 123
        created: 2026-11-25
        expires: 2027-05-25
        compensating_control: A proxy before the socket.
    """
)


def problems(text: str) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        waivers_of(parse(text.encode(), HERE), TODAY)
    return [each.at(HERE) for each in caught.value.problems]


def changed(key: str, value: str | None) -> str:
    """The good file with one key otherwise, or without it."""
    lines = []
    for line in GOOD.splitlines():
        if line.strip().removeprefix("- ").startswith(f"{key}:"):
            if value is not None:
                lines.append(f"{line[: line.index(key)]}{key}: {value}")
        elif not (key == "reason" and line.startswith("      ")):
            lines.append(line)
    return "\n".join(lines)


def test_a_waiver_as_it_was_written() -> None:
    waivers = waivers_of(parse(GOOD.encode(), HERE), TODAY)
    assert waivers.entries == (
        Waiver(
            id="W-001",
            control="container-no-docker-sock",
            scope=Scope(
                ("web*",),
                ("edge",),
                (("container", "traefik"), ("container", "ci-*"), ("image", "traefik")),
            ),
            reason="Routes by the labels of containers.",
            owner="no",
            approved_by="J. Doe",
            ticket="123",
            created=date(2026, 11, 25),
            expires=date(2027, 5, 25),
            compensating_control="A proxy before the socket.",
        ),
    )
    assert waivers.horizon == 366


@pytest.mark.parametrize("empty", ["", "# none yet\n", "waivers: []\n", "waivers:\n", "horizon_days: 30\n"])
def test_a_file_may_hold_none(empty: str) -> None:
    assert waivers_of(parse(empty.encode(), HERE), TODAY).entries == ()


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
def test_a_control_is_called_by_its_name_or_by_an_id_that_means_one_thing(written: str, slug: str) -> None:
    waivers = waivers_of(parse(changed("control", written).encode(), HERE), TODAY)
    assert waivers.entries[0].control == slug


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("id", "", "waivers.yml:2: id: is empty"),
        ("id", "a b", "waivers.yml:2: id: must be letters"),
        ("control", "no-such", "waivers.yml:3: control: there is no control 'no-such'"),
        ("control", "2.8", "waivers.yml:3: control: 2.8 is daemon-"),
        ("control", "container-no-docker-socket", "did you mean container-no-docker-sock"),
        ("hosts", "web1", "waivers.yml:4: hosts: must be a list"),
        ("hosts", '[""]', "waivers.yml:4: hosts: is empty"),
        ("hosts", "[[a]]", "waivers.yml:4: hosts: must be text"),
        ("hosts", f"[{'x' * 201}]", "waivers.yml:4: hosts: is longer than 200 characters"),
        ("groups", "{a: b}", "waivers.yml:5: groups: must be a list"),
        ("objects", "[web]", "waivers.yml:6: objects: must be keys with values"),
        ("objects", "{containers: [web]}", "waivers.yml:6: objects.containers: must be 'container'"),
        ("objects", "{package: [bash]}", "waivers.yml:6: objects.package: must be 'container'"),
        ("objects", "{container: web}", "waivers.yml:6: objects.container: must be a list"),
        ("objects", "{container: []}", "waivers.yml:6: objects.container: is empty"),
        ("reason", None, "waivers.yml:2: reason: is missing"),
        ("reason", "", "waivers.yml:7: reason: is empty"),
        ("reason", '"  "', "waivers.yml:7: reason: is empty"),
        ("reason", "x" * 2001, "waivers.yml:7: reason: is longer than 2000 characters"),
        ("owner", "[a]", "owner: must be text"),
        ("ticket", None, "ticket: is missing"),
        ("approved_by", None, "approved_by: is missing"),
        ("created", "yesterday", "created: must be a date such as 2026-11-25"),
        ("created", "20261125", "created: must be a date such as 2026-11-25"),
        ("created", "2026-11-27", "created: 2026-11-27 is in the future"),
        ("created", "[1]", "created: must be a date"),
        ("expires", None, "waivers.yml:2: expires: is missing"),
        ("expires", "", "expires: is empty"),
        ("expires", "2027-02-30", "expires: is no day of the calendar"),
        ("expires", "2026-11-24", "expires: 2026-11-24 is before created (2026-11-25)"),
        ("expires", "2027-11-27", "past the horizon of 366 days: 2027-11-26 at the latest"),
        ("expires", "9" * 5000, "expires: must be a date"),
    ],
)
def test_a_slip_is_told_with_its_line_and_key(key: str, value: str | None, problem: str) -> None:
    found = problems(changed(key, value))
    assert len(found) == 1
    assert problem in found[0]


def test_created_today_on_the_other_side_of_the_earth_is_no_slip() -> None:
    assert waivers_of(parse(changed("created", "2026-11-26").encode(), HERE), TODAY).entries


def test_a_waiver_has_an_id() -> None:
    assert problems(GOOD.replace("- id: W-001\n    control", "- control")) == [
        "waivers.yml:2: id: is missing"
    ]


def test_a_waiver_is_somewhere() -> None:
    text = "\n".join(line for line in GOOD.splitlines() if "hosts" not in line and "groups" not in line)
    assert problems(text) == [
        'waivers.yml:2: waivers: names neither hosts nor groups (hosts: ["*"] is every host)'
    ]


def test_unknown_keys_are_told_with_what_was_meant() -> None:
    assert problems(f"{GOOD}    expire: 2027-01-01\n") == [
        "waivers.yml:16: expire: unknown key; did you mean expires?"
    ]
    (problem,) = problems(f"{GOOD}version: 1\n")
    assert problem == "waivers.yml:16: version: unknown key; there are horizon_days, waivers"


def test_an_id_stands_once() -> None:
    assert problems(GOOD + GOOD.removeprefix("waivers:\n")) == [
        "waivers.yml:16: id: W-001 stands twice, first in line 2"
    ]


@pytest.mark.parametrize(
    "text", ["[]", "text", "waivers: text", "waivers: {}", "waivers:\n  - text", "waivers: [[]]"]
)
def test_another_shape_is_refused(text: str) -> None:
    assert problems(text)


def test_the_horizon_is_the_files() -> None:
    short = f"horizon_days: 30\n{GOOD}"
    assert problems(short) == [
        "waivers.yml:15: expires: 2027-05-25 is past the horizon of 30 days: 2026-12-25 at the latest"
    ]
    long = f"horizon_days: 1000\n{changed('expires', '2029-01-01')}"
    assert waivers_of(parse(long.encode(), HERE), TODAY).horizon == 1000
    # Whatever order the keys have.
    assert problems(f"{GOOD}horizon_days: 30\n")


@pytest.mark.parametrize("days", ["0", "-1", "3661", "9" * 400, "1.5", "x", "[1]", '""'])
def test_a_horizon_is_a_sensible_number_of_days(days: str) -> None:
    assert "must be a number of days from 1 to 3660" in problems(f"horizon_days: {days}\n{GOOD}")[0]


def test_every_problem_of_a_file_is_known() -> None:
    text = GOOD.replace("J. Doe", "").replace("2027-05-25", "never").replace('["web*"]', "web*")
    assert [each.split(": ")[1] for each in problems(text)] == ["hosts", "approved_by", "expires"]


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


@given(st.sampled_from(["id", "control", "hosts", "objects", "reason", "created", "expires"]), VALUES)
def test_whatever_stands_there_is_read_or_told(key: str, value: str) -> None:
    said = ""
    try:
        waivers_of(parse(changed(key, value).encode(), HERE), TODAY)
    except DocumentError as error:
        said = str(error)
    assert said.isprintable()
