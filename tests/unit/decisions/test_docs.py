"""What the documentation and the example show is what the files may hold."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from hardener.decisions.attestations import attestations_of
from hardener.decisions.document import parse
from hardener.decisions.waivers import waivers_of

ROOT = Path(__file__).parents[3]
TODAY = date(2026, 11, 25)
BLOCKS = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "waivers.md").read_text(), re.DOTALL)
EXAMPLE = ROOT / "inventories" / "example" / "waivers.yml"


def test_the_documentation_has_an_example_of_a_waiver_and_of_an_attestation() -> None:
    assert [block.partition(":")[0] for block in BLOCKS] == ["waivers", "attestations"]


@pytest.mark.parametrize("block", BLOCKS)
def test_the_examples_of_the_documentation_are_valid(block: str) -> None:
    read = waivers_of if block.startswith("waivers") else attestations_of
    assert len(read(parse(block.encode(), Path("docs")), TODAY).entries) == 1


def test_the_example_file_has_no_entries_and_a_valid_pattern() -> None:
    text = EXAMPLE.read_text()
    assert waivers_of(parse(text.encode(), EXAMPLE), TODAY).entries == ()
    pattern = "\n".join(line.removeprefix("#") for line in text.splitlines() if line.startswith("#  "))
    (waiver,) = waivers_of(parse(f"waivers:\n{pattern}\n".encode(), EXAMPLE), TODAY).entries
    assert waiver.control == "daemon-authz-plugin"
