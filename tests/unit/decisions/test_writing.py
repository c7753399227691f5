from __future__ import annotations

from datetime import date
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hardener.decisions.document import parse
from hardener.decisions.waivers import waivers_of
from hardener.decisions.writing import with_waiver
from hardener.errors import HardenerError
from hardener.model import Waiver

TODAY = date(2026, 11, 25)
HERE = Path("waivers.yml")
FIELDS: dict[str, Any] = {
    "control": "container-no-docker-sock",
    "hosts": ["web*"],
    "objects": {"container": ["traefik"]},
    "reason": "Routes by labels.",
    "owner": "team-web",
    "approved_by": "J. Doe",
    "ticket": "SEC-123",
    "created": "2026-11-25",
    "expires": "2027-05-25",
    "compensating_control": "",
}
ENTRY = """\
- id: W-001
  control: daemon-icc-disabled
  hosts: [db1] # the old one
  reason: >-
    The vendor
    says so.

  owner: team-db
  approved_by: J. Doe
  ticket: SEC-1
  created: 2026-11-01
  expires: 2027-01-31
"""
WRITTEN = """\
- id: W-002
  control: container-no-docker-sock
  hosts: ["web*"]
  objects: {container: [traefik]}
  reason: Routes by labels.
  owner: team-web
  approved_by: J. Doe
  ticket: SEC-123
  created: 2026-11-25
  expires: 2027-05-25
"""


def added(text: str, **changed: Any) -> str:
    return with_waiver(text.encode(), {**FIELDS, **changed}, path=HERE, today=TODAY).decode()


def entries(text: str) -> tuple[Waiver, ...]:
    return waivers_of(parse(text.encode(), HERE), TODAY).entries


def test_a_missing_file_is_created() -> None:
    head, key, entry = added("").split("\n", 2)
    assert head.startswith("# ")
    assert key == "waivers:"
    assert entry == indent(WRITTEN.replace("W-002", "W-001"), "  ")


@pytest.mark.parametrize("lead", ["", "  ", "      "])
def test_an_entry_is_appended_with_the_indentation_of_the_last_one(lead: str) -> None:
    text = f"# ours\n\nwaivers: # what is left\n{indent(ENTRY, lead)}"
    assert added(text) == text + indent(WRITTEN, lead)


@pytest.mark.parametrize(
    "tail",
    ["\n# horizon: none\n", "\n\n# what comes\n# next\nhorizon_days: 300\n", "horizon_days: 300\n"],
)
def test_text_after_the_list_stays_after_it(tail: str) -> None:
    text = f"waivers:\n{indent(ENTRY, '  ')}"
    assert added(text + tail) == text + indent(WRITTEN, "  ") + tail


def test_the_list_can_be_anywhere_in_the_file() -> None:
    text = f"horizon_days: 300\nwaivers:\n{ENTRY}"
    assert added(text) == text + WRITTEN


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("waivers: []\n", "waivers:\n"),
        ("waivers: [ ] # none yet\n", "waivers:  # none yet\n"),
        ("waivers:\n", "waivers:\n"),
        ("waivers: # none\n", "waivers: # none\n"),
        ("# only words\n", "# only words\nwaivers:\n"),
        ("horizon_days: 300\n", "horizon_days: 300\nwaivers:\n"),
    ],
)
def test_the_first_entry_of_a_list_is_written(before: str, after: str) -> None:
    assert added(before) == after + indent(WRITTEN.replace("W-002", "W-001"), "  ")


def test_line_ends_and_byte_order_mark_are_kept() -> None:
    text = "\ufeff" + f"waivers:\n{ENTRY}".replace("\n", "\r\n")
    assert added(text) == text + WRITTEN.replace("\n", "\r\n")


def test_a_missing_final_newline_is_added() -> None:
    assert added(f"waivers:\n{ENTRY}".rstrip()) == f"waivers:\n{ENTRY}{WRITTEN}"


@pytest.mark.parametrize(
    "end",
    [
        "  compensating_control: |\n    one\n\n    two\n",
        "  groups:\n    - a\n    - b\n",
        '  groups: [a,\n    "b"\n  ]\n',
    ],
    ids=["block", "list", "brackets"],
)
def test_an_entry_is_appended_after_any_kind_of_last_value(end: str) -> None:
    text = f"waivers:\n{ENTRY}{end}"
    assert added(f"{text}\n# the end\n") == f"{text}{WRITTEN}\n# the end\n"


def test_a_list_in_flow_style_is_not_changed() -> None:
    texts = ", ".join(f"{key}: x" for key in ("id", "reason", "owner", "approved_by", "ticket"))
    one = f"{texts}, control: daemon-icc-disabled, hosts: [a], created: 2026-11-01, expires: 2027-01-01"
    text = f"waivers: [{{{one}}}]\n"
    assert len(entries(text)) == 1
    with pytest.raises(
        HardenerError, match=r"cannot add a waiver to waivers\.yml: its list has an unsupported layout"
    ):
        added(text)


def test_the_next_id_is_unused() -> None:
    text = f"waivers:\n{ENTRY.replace('W-001', 'W-041')}"
    assert [each.id for each in entries(added(text))] == ["W-041", "W-042"]
    assert [each.id for each in entries(added(text, id="mine"))] == ["W-041", "mine"]


@pytest.mark.parametrize(
    ("changed", "slip"),
    [
        ({"expires": "2029-01-01"}, "expires: 2029-01-01 is past the horizon"),
        ({"expires": "soon"}, "expires: must be a date"),
        ({"hosts": []}, "names neither hosts nor groups"),
        ({"id": "W-001"}, "id: W-001 appears twice"),
        ({"objects": {"containers": ["x"]}}, "objects.containers: must be"),
        ({"reason": "\x00"}, r"reason: holds a character that YAML forbids: \x00"),
    ],
)
def test_an_invalid_entry_is_not_written(changed: dict[str, Any], slip: str) -> None:
    with pytest.raises(HardenerError, match="the waiver was not written") as caught:
        added(f"waivers:\n{ENTRY}", **changed)
    assert slip in str(caught.value)


def test_an_entry_is_not_added_to_an_invalid_file() -> None:
    with pytest.raises(HardenerError, match=r"waivers\.yml:9: owner: is empty"):
        added(f"waivers:\n{ENTRY}".replace("team-db", ""))


TEXT = st.text(
    st.characters(
        codec="utf-8", exclude_categories=("Cs", "Cc", "Cn", "Co"), exclude_characters="\ufeff\u2028\u2029"
    ),
    min_size=1,
    max_size=40,
).filter(str.strip) | st.sampled_from(
    ["no", "~", "null", "- x", "a: b", "#", "*x", "&x", "5.10", "0x1F", "'", '"', "[", "%", "@"]
)


@given(reason=TEXT, owner=TEXT, globs=st.lists(TEXT, min_size=1, max_size=3))
def test_written_entries_are_read_by_hardener_and_by_yaml(reason: str, owner: str, globs: list[str]) -> None:
    text = added(f"waivers:\n{ENTRY}", reason=reason, owner=owner, hosts=globs)
    *_, ours = entries(text)
    assert (ours.reason, ours.owner) == (reason.strip(), owner.strip())
    assert ours.scope.hosts == tuple(each.strip() for each in globs)
    theirs = yaml.safe_load(text)["waivers"][-1]
    assert (theirs["reason"], theirs["owner"], theirs["hosts"]) == (reason, owner, globs)


COMMENTS = st.lists(st.sampled_from(["# a\n", "\n", "  # b: c\n", "    # - d\n"]), max_size=3).map("".join)


@given(COMMENTS, COMMENTS, COMMENTS, st.integers(1, 3))
def test_existing_entries_are_kept(first: str, second: str, third: str, count: int) -> None:
    made = [ENTRY.replace("W-001", f"W-00{n}") for n in range(1, count + 1)]
    text = f"{first}waivers:\n{second}{second.join(made)}{third}"
    after = added(text)
    assert [each.id for each in entries(after)] == [f"W-00{n}" for n in range(1, count + 2)]
    place = after.index(f"- id: W-00{count + 1}\n")
    assert after[:place] + after[place:].replace(WRITTEN.replace("W-002", f"W-00{count + 1}"), "", 1) == text
