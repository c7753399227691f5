"""A host with containers at work is hardened, and rolls back by itself what locks its controller out."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardener import lab
from tests.hosts.at_work import assert_all_at_work
from tests.hosts.guard import LOCKED_OUT, assert_lockout_is_rolled_back, record, settled
from tests.hosts.loop import Site
from tests.hosts.production import Report
from tests.hosts.workload import shell


@pytest.fixture(scope="module")
def site(guest: lab.Guest, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site whose host has a kernel of its own."""
    return Site(guest, tmp_path_factory.mktemp("loop"))


def test_a_host_with_running_containers_is_hardened(site: Site) -> None:
    hardened = Report("harden", site.inventory)
    hardened.assert_compliant()
    assert_all_at_work(site.host)
    settled(site.host)
    assert record(site.host)["confirmed"]
    guard = "/var/lib/hardener/backups/*/guard.pyz"
    assert shell(site.host, f"ls {guard}; systemctl cat hardener-guard.service") == ""


def test_rules_that_lock_the_controller_out_are_rolled_back_by_the_host(site: Site, tmp_path: Path) -> None:
    assert_lockout_is_rolled_back(site.host, tmp_path, LOCKED_OUT["and open connections end"], workloads=5)
    assert_all_at_work(site.host)
