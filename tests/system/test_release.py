"""A host that is hardened and given back is what it was, while its containers run."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardener import lab
from tests.hosts.command import hardener
from tests.hosts.play import Run
from tests.hosts.workload import CONTAINERS, running, shell, with_containers
from tests.system.hardening import EVERYTHING, PREPARED, ROLES, VARIABLES


@pytest.fixture(scope="module")
def host(guest: lab.Guest) -> lab.Guest:
    """A host whose engine runs containers without live-restore, with an account in its group."""
    guest.ssh("sh", "-c", PREPARED)
    return with_containers(guest)


def test_a_release_restores_a_hardened_host(host: lab.Guest, tmp_path: Path) -> None:
    before, containers = shell(host, EVERYTHING), running(shell(host, CONTAINERS))
    hardened = Run(host, tmp_path, ROLES, **VARIABLES).result()
    assert hardened["outcome"] == "changed", hardened
    protected = shell(host, EVERYTHING)
    assert protected != before
    (tmp_path / "before").write_text(before)
    (tmp_path / "protected").write_text(protected)

    predicted = hardener("release", host.inventory, "--check")
    assert predicted.returncode == 0, predicted.stderr
    assert shell(host, EVERYTHING) == protected

    released = hardener("release", host.inventory)
    after = shell(host, EVERYTHING)
    (tmp_path / "after").write_text(after)
    assert released.returncode == 0, released.stderr
    different = sorted(set(before.splitlines()) ^ set(after.splitlines()))
    assert different == [], "\n".join([*different, released.stderr])
    assert running(shell(host, CONTAINERS)) == containers

    again = hardener("release", host.inventory)
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    assert shell(host, EVERYTHING) == after
