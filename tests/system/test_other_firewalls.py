from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hardener import lab
from tests.hosts.beside import FIREWALLS, assert_filtered_beside

pytestmark = pytest.mark.independent


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        (name, engine)
        for name in FIREWALLS
        for engine in ("26.1", "28.5")
        if (name, engine) != ("none", "26.1")
    ],
)
def test_published_ports_are_filtered_beside_another_firewall(
    boot: Callable[[str], lab.Guest], tmp_path: Path, name: str, engine: str
) -> None:
    assert_filtered_beside(name, engine, boot("13"), tmp_path)
