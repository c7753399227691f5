"""A kernel of its own boots with another firewall and the rules of the role."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hardener import lab
from tests.hosts.beside import assert_filtered_beside


@pytest.mark.parametrize(("name", "engine"), [("ufw", "28.5"), ("firewalld", "26.1")])
def test_published_ports_are_filtered_beside_another_firewall_on_a_guest(
    boot: Callable[[str], lab.Guest], tmp_path: Path, name: str, engine: str
) -> None:
    assert_filtered_beside(name, engine, boot("13"), tmp_path, reloads=False)
