from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.evidence.bundles import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A key, who may sign, and a ledger that does not exist yet."""
    return Desk.made(tmp_path)
