"""Drift of a host with a kernel of its own: audit rules that somebody unloads are found and loaded again."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardener import lab
from tests.hosts.loop import Site
from tests.hosts.workload import shell

# What is broken by hand, by the control that it moves.
BROKEN = {
    "audit-bin-runc": "auditctl -l | sed -n 's/^-a \\(.*path=.usr.sbin.runc .*\\)/-d \\1/p' | xargs auditctl",
}


def test_unloaded_audit_rules_are_found_and_loaded_again(
    guest: lab.Guest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARDENER_HOME", str(tmp_path / "home"))
    site = Site(guest, tmp_path)
    site.run("harden", "-i", str(site.inventory), "--only", "audit_rules")
    shell(guest, "\n".join(BROKEN.values()))
    assert site.run("runs", "baseline", "latest", "--part").returncode == 0
    moved = site.drift()
    assert (moved.code, moved.found) == (6, set(BROKEN)), moved.said
    repaired = site.drift("--remediate")
    assert (repaired.code, repaired.found, repaired.left) == (7, set(BROKEN), set()), repaired.said
