"""The table of supported hosts has the best kind of host for each command."""

from __future__ import annotations

from tools import support_page
from tools.support_page import COMMANDS, HOSTS


def test_the_hosts_and_commands_of_the_table_exist() -> None:
    for each in support_page.EVIDENCE:
        assert each.host in HOSTS
        assert set(each.commands.split()) <= {*COMMANDS}


def test_a_cell_has_the_kind_that_shows_most() -> None:
    page = support_page.page("# Title\n\nText.\n\n| host | old |\n")
    assert page.startswith("# Title\n\nText.\n\n| host | audit |")
    debian_13 = next(line for line in page.splitlines() if line.startswith(f"| {support_page.DEBIAN_13} | "))
    assert debian_13.split(" | ")[1:5] == ["guest", "guest", "guest", "namespaces"]
