"""Drift of a host with a kernel of its own: audit rules that somebody unloads are loaded again, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardener import lab
from tests.hosts.loop import (
    BROKEN,
    BROKEN_IN_A_KERNEL,
    Site,
    assert_drift_is_repaired_and_the_repair_rolled_back,
)
from tests.hosts.production import Report


def test_manual_changes_are_found_and_repaired_and_the_repair_is_rolled_back(
    guest: lab.Guest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARDENER_HOME", str(tmp_path / "home"))
    site = Site(guest, tmp_path)
    Report("harden", site.inventory).assert_compliant()
    assert_drift_is_repaired_and_the_repair_rolled_back(site, BROKEN | BROKEN_IN_A_KERNEL)
