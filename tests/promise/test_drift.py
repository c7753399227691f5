"""Manual changes of a hardened host are found, repaired and rolled back, and an auditor verifies it all.

The host is in namespaces; `tests/e2e/test_drift.py` has one with a kernel of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardener.evidence.signature import NAMESPACE
from tests.hosts import namespace_host
from tests.hosts.loop import Site, assert_drift_is_repaired_and_the_repair_rolled_back
from tests.hosts.production import ULIMITS, Report
from tests.integration.auditor import typed
from tests.unit.evidence.bundles import new_key, public


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose host is hardened; all of its runs are in one history."""
    host = namespace_host.start("drifting", "13")
    try:
        folder = tmp_path_factory.mktemp("drift")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HARDENER_HOME", str(folder / "home"))
            site = Site(host, folder, **ULIMITS)
            hardened = Report("harden", site.inventory)
            assert not hardened.failing_without_kernel(), hardened.said
            yield site
    finally:
        host.stop()


def test_manual_changes_are_found_and_repaired_and_the_repair_is_rolled_back(site: Site) -> None:
    assert_drift_is_repaired_and_the_repair_rolled_back(site)


def test_an_auditor_verifies_the_evidence_of_all_runs(site: Site, tmp_path: Path) -> None:
    key = new_key(tmp_path / "key")
    (tmp_path / "allowed_signers").write_text(f'auditor@example.com namespaces="{NAMESPACE}" {public(key)}\n')
    runs = re.findall(r"^([0-9a-f]{8,}) ", site.run("runs", "list").stdout, re.MULTILINE)
    assert len(runs) > 3
    bundle = str(tmp_path / "bundle.tar.gz")
    exported = site.run("evidence", "export", *runs, "--out", bundle, "--sign", str(key))
    assert exported.returncode == 0, exported.stderr
    audit = typed(tmp_path)
    assert audit.returncode == 0, audit.stderr
    assert 'Good "evidence@hardener" signature for auditor@example.com' in audit.stdout
