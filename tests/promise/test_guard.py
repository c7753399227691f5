"""The guard and a rollback on a real guest: a host that is locked out takes the change back by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardener import lab
from tests.hosts.command import hardener
from tests.hosts.guard import (
    LOCKED_OUT,
    STATE,
    assert_lockout_is_taken_back,
    engine,
    play,
    record,
    settled,
)
from tests.hosts.workload import CONTAINERS, running, shell, with_containers


@pytest.fixture(scope="module")
def host(guest: lab.Guest) -> lab.Guest:
    """A host whose engine runs containers; every test leaves it as it found it."""
    return with_containers(guest, surviving=True)


def test_the_host_rolls_back_rules_that_lock_the_controller_out(host: lab.Guest, tmp_path: Path) -> None:
    assert_lockout_is_taken_back(host, tmp_path, LOCKED_OUT["and open connections end"])


def test_a_run_is_confirmed_and_leaves_nothing_armed(host: lab.Guest, tmp_path: Path) -> None:
    before, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    done = play(host, tmp_path, engine(**{"default-shm-size": "63M"})).result()
    assert done["outcome"] == "changed", done
    settled(host)
    assert running(shell(host, CONTAINERS)) == containers
    assert record(host)["confirmed"]
    assert shell(host, "ls /var/lib/hardener/backups/*/guard.pyz; systemctl cat hardener-guard.service") == ""

    listed = hardener("rollback", host.inventory, "--list")
    assert f"  {done['run']}  " in listed.stdout, listed
    predicted = hardener("rollback", host.inventory, "--check", "--diff")
    assert '-  "default-shm-size": "63M"' in predicted.stdout, predicted
    back = hardener("rollback", host.inventory)
    assert back.returncode == 0, back
    assert f"back to before run {done['run']}" in back.stderr
    settled(host)
    assert shell(host, STATE) == before
    assert running(shell(host, CONTAINERS)) == containers
    assert "rolled back on request of" in record(host)["reason"]
