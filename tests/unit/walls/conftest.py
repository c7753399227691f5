"""Free the syntax trees after these tests: they take hundreds of megabytes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.walls.sources import nodes


@pytest.fixture(scope="package", autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    nodes.cache_clear()
