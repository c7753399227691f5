from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from hardener.decisions.document import parse
from hardener.decisions.lint import unknown_places
from hardener.decisions.waivers import KEY, waivers_of
from tests.unit.decisions.kinds import WAIVER

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
