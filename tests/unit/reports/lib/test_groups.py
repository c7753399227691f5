from __future__ import annotations

from dataclasses import replace

import pytest

from hardener.model import Assessment, Status
from hardener.reports.lib.groups import GroupTotals
from tests.unit.reports.assessments import CONTROLS, assessment, gone


def inside(host: Assessment, *groups: str) -> Assessment:
    return replace(host, groups=groups)


def totals(*hosts: Assessment) -> GroupTotals:
    counted = GroupTotals()
    for host in hosts:
        counted.add(host)
    return counted


def test_the_totals_of_a_group_include_every_host_in_it() -> None:
    web, edge = assessment("a"), gone("b")
    edge_group, web_group = totals(inside(web, "edge", "web"), inside(edge, "edge")).several()
    assert (edge_group.name, edge_group.hosts, edge_group.unreachable) == ("edge", 2, 1)
    assert edge_group.counts == web.counts() + edge.counts()
    assert (web_group.hosts, web_group.unreachable, web_group.counts[Status.FAIL]) == (1, 0, 2)
    assert edge_group.counts.total() == 2 * len(CONTROLS)


@pytest.mark.parametrize("groups", [(), ("one",)])
def test_a_single_group_is_not_listed(groups: tuple[str, ...]) -> None:
    assert totals(inside(assessment(), *groups)).several() == []


def test_the_number_of_groups_is_bounded() -> None:
    assert len(totals(inside(assessment(), *map(str, range(5000)))).several()) == 1000
