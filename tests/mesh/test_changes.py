"""A host changed by the nodes of a mesh: a node that is given up and goes on, a controller that is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.hosts import namespace_host
from tests.hosts.fleet import BACK, ICC, Fleet, pause, states, until
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
        assert process.returncode == 9, said
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


def test_a_run_of_a_killed_controller_is_resumed_by_another(mesh: Mesh, fleet: Fleet) -> None:
    """The node may confirm the change before the next controller ends its work: it is not made again then."""
    (host,) = fleet.hosts
    options = ("--confirm-timeout", "40", "--mesh", str(mesh.options(lease=LEASE, nodes=["w1"])))
    process = fleet.start("harden", *ICC, *options)
    number = ("test", "-e", "/var/lib/hardener/number.json")  # written as a transaction begins
    until(lambda: host.ssh(*number, check=False).returncode == 0)
    process.kill()
    process.communicate()
    (left,) = fleet.unfinished()
    assert (left.unknown, left.at_work) == ((host.name,), False)

    mesh.options(lease=LEASE, nodes=["w2"])
    resumed = fleet.run("resume", "latest")
    assert resumed.returncode == 0, resumed.stderr
    assert fleet.with_icc() == [False]
    assert fleet.unfinished() == []
    assert mesh.command("work list") == {}, "a unit of work is left"
    records = fleet.records(host)
    mine = [outcome for each, outcome in records if each == left.number]
    changed = [each for each, outcome in records if outcome == "changed"]
    told = states(resumed.stderr)[host.name]
    assert len(changed) == 1, (records, "what is confirmed is not done again")
    assert (told == "confirmed") is (changed == [left.number]), (told, records)
    assert (told == "rolled back") is (bool(mine) and mine[-1] in BACK), (told, records)
