from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record.forward import Target
from ansible_collections.hardener.docker.plugins.module_utils.record.observe import Connection
from ansible_collections.hardener.docker.plugins.module_utils.record.parts import covered

WEB, DNS = "050011AC", "060011AC"  # 172.17.0.5 and 172.17.0.6


class Twin:
    """A part of a run, as far as its ports are asked for: also its container and its life."""

    def __init__(self, address: str, ports: list[tuple[int, str, bool]], *connections: Connection) -> None:
        self.subject = self.life = self
        self._found = address, ports, set(connections)

    def target(self) -> Target | None:
        return Target(1, self._found[0]) if self._found[0] else None

    def every_port(self) -> list[tuple[int, str, bool]]:
        return self._found[1]

    def connections(self) -> set[Connection]:
        return self._found[2]


@pytest.mark.parametrize(
    ("carried", "own", "others", "reached"),
    [
        ({}, (), (), ""),
        ({(1, 53, "udp"): 1}, (), (), "udp"),
        ({(1, 53, "tcp"): 2}, (), (), "tcp"),
        ({(1, 53, "tcp"): 0, (0, 53, "tcp"): 1, (1, 54, "tcp"): 1}, (), (), ""),
        ({}, (Connection(DNS, 53, WEB, 40000),), (), "tcp"),
        ({}, (Connection(DNS, 40000, WEB, 53),), (), ""),  # its own request to another server
        ({}, (), (Connection(WEB, 40000, DNS, 53),), "tcp"),
        ({}, (), (Connection(WEB, 40000, f"0000000000000000FFFF0000{DNS}", 53),), "tcp"),
        ({}, (), (Connection(WEB, 53, DNS, 40000), Connection(WEB, 40000, WEB, 53)), ""),
    ],
)
def test_a_port_counts_as_reached_by_a_connection_to_it_and_not_by_others(
    carried: dict[tuple[int, int, str], int],
    own: tuple[Connection, ...],
    others: tuple[Connection, ...],
    reached: str,
) -> None:
    parts: Any = [
        Twin("172.17.0.5", [], *others),
        Twin("172.17.0.6", [(53, "tcp", True), (53, "udp", False)], *own),
    ]
    assert covered(1, parts, carried) == [
        {"port": 53, "protocol": "tcp", "published": True, "reached": reached == "tcp"},
        {"port": 53, "protocol": "udp", "published": False, "reached": reached == "udp"},
    ]


def test_no_other_connection_counts_for_a_twin_that_has_ended() -> None:
    parts: Any = [Twin("", [(53, "tcp", True)]), Twin("172.17.0.6", [], Connection(DNS, 40000, DNS, 53))]
    assert [each["reached"] for each in covered(0, parts, {})] == [False]
