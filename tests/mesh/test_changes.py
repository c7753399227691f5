"""A host changed by the nodes of a mesh, of which one is given up in the middle and goes on later."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.hosts import namespace_host
from tests.hosts.fleet import ICC, Fleet, pause, until
from tests.mesh.mesh import Mesh

LEASE = 15


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    if not Path("/usr/bin/receptor").exists():
        pytest.fail("receptor is missing: apt-get install receptor", pytrace=False)
    with Mesh("w1", "w2") as started:
        yield started


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    host = namespace_host.start("changed", "13")
    try:
        yield Fleet([host], tmp_path)
    finally:
        host.stop()


def hardening(mesh: Mesh, node: str) -> list[int]:
    """The processes of a node that harden hosts."""
    marker = str(mesh.root / node / "tmp").encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes()
            if b"playbooks/harden.yml" in words and marker in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def test_an_abandoned_node_changes_no_host_of_a_newer_run(mesh: Mesh, fleet: Fleet) -> None:
    """Its slice is lost for good, since it may have changed the host; the number of the run does the rest."""
    (host,) = fleet.hosts
    process = fleet.start("harden", *ICC, "--mesh", str(mesh.options(lease=LEASE, nodes=["w1"])))
    until(lambda: hardening(mesh, "w1"))
    stopped = [pid for each in hardening(mesh, "w1") for pid in pause(each)]
    mesh.links["w1"].cut()
    try:
        _, said = process.communicate(timeout=600)
        assert f"{host.name}: failed: lost with its slice: " in said, said
        assert process.returncode == 4, said
        assert fleet.with_icc() == [True], "it was stopped in time"
        (left,) = fleet.unfinished()
        assert left.unconfirmed == (host.name,)

        mesh.options(lease=LEASE, nodes=["w2"])
        resumed = fleet.run("resume", "latest")
        assert resumed.returncode == 0, resumed.stderr
        assert f"untouched: {host.name}\n" in resumed.stderr
        assert fleet.with_icc() == [False]
        back = fleet.run("rollback")
        assert back.returncode == 0, back.stderr
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    until(lambda: not hardening(mesh, "w1"))
    assert fleet.with_icc() == [True], "what was decided later stands"
    assert left.number not in [number for number, _ in fleet.records(host)]
