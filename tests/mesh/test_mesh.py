"""A fleet audited by the nodes of a real Receptor mesh, which are killed, cancelled and cut off meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.audits import assert_same
from tests.integration.dockerd import Dockerd
from tests.integration.sshd import Sshd, free_port
from tests.leftovers import scratch
from tests.mesh.mesh import WORK, Mesh

HOSTS = 60
LEASE = 15


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    if not Path("/usr/bin/receptor").exists():
        pytest.fail("receptor is missing: apt-get install receptor", pytrace=False)
    with Mesh("w1", "w2") as started:
        yield started


@pytest.fixture
def whole(mesh: Mesh) -> Iterator[Mesh]:
    """The mesh with all its nodes, and without work."""
    mesh.until_ready(mesh.workers)
    yield mesh
    for name, link in mesh.links.items():
        link.heal()
        if not mesh.runs(name):
            mesh.start(name)
    for unit in mesh.command("work list"):
        mesh.command(f"work force-release {unit}")


@pytest.fixture(scope="module")
def fleet() -> Iterator[dict[str, Any]]:
    """An inventory of many hosts behind one ssh server, with an engine that no other test uses."""
    with Sshd() as sshd, Dockerd() as dockerd:
        hosts = {f"host{number:02}": sshd.variables() for number in range(HOSTS)}
        hosts["web*"] = sshd.variables()
        hosts["refused"] = sshd.variables(ansible_port=free_port())
        groups = {"web": {"hosts": {"host01": {}, "web*": {}}, "children": {"db": {"hosts": {"host02": {}}}}}}
        yield {"all": {"hosts": hosts, "children": groups, "vars": {"collect_socket": str(dockerd.socket)}}}


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch("mesh") as path:
        yield path


Audit = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def audit(fleet: dict[str, Any], folder: Path) -> Iterator[Audit]:
    """Start an audit that writes a report of this name."""
    (folder / "inventory.json").write_text(json.dumps(fleet))
    started = []

    def run(name: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "hardener", "audit", "-i", str(folder / "inventory.json")]
        command += ["--exit-zero", "--home", str(folder / "home"), "--json", str(folder / f"{name}.json")]
        process = subprocess.Popen(
            [*command, *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for the end of a run; return what it said on standard error."""
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return said


def hosts_of(report: Path) -> dict[str, dict[str, Any]]:
    hosts = json.loads(report.read_text())["hosts"]
    found = {host["host"]: host for host in hosts}
    assert len(found) == len(hosts), "a host stands twice in the report"
    return found


def complete(report: Path) -> None:
    """Assert that every host answered once but the one that cannot be reached."""
    hosts = hosts_of(report)
    reasons = {name: host["unreachable"] for name, host in hosts.items() if host["unreachable"]}
    assert list(reasons) == ["refused"], reasons
    assert len(hosts) == HOSTS + 2
    assert len({len(host["findings"]) for host in hosts.values()}) == 1


def test_a_mesh_gives_the_same_findings_as_the_local_executor(
    whole: Mesh, audit: Audit, folder: Path
) -> None:
    ended(audit("local", "--snapshots", str(folder / "local")))
    meshed = ("--mesh", str(whole.options()), "--slice", "16")
    ended(audit("mesh", "--snapshots", str(folder / "mesh"), *meshed))
    assert_same(folder / "local.json", folder / "mesh.json")
    complete(folder / "mesh.json")
    assert whole.command("work list") == {}, "a unit of work is left"
    assert not whole.job_folders(), "files of a job are left on a node"


def test_the_slice_of_a_dead_node_runs_on_another(whole: Mesh, audit: Audit, folder: Path) -> None:
    run = audit("report", "--mesh", str(whole.options(lease=LEASE)))
    whole.until_playing("w1")
    whole.kill("w1")
    assert " was lost: node w1: the node sent no output for " in ended(run)
    complete(folder / "report.json")


def test_a_cancelled_unit_of_work_is_repeated(whole: Mesh, audit: Audit, folder: Path) -> None:
    run = audit("report", "--mesh", str(whole.options(lease=LEASE)))
    whole.until_playing("w2")
    units = whole.command("work list")
    cancelled = next(unit for unit, status in units.items() if status["ExtraData"]["RemoteNode"] == "w2")
    assert cancelled in whole.command(f"work cancel {cancelled}", timeout=60).values()
    assert " was lost: node w2: " in ended(run)
    complete(folder / "report.json")


@pytest.mark.parametrize("seconds", [LEASE // 3, LEASE + 10])
def test_a_run_survives_an_interrupted_link(whole: Mesh, audit: Audit, folder: Path, seconds: int) -> None:
    """For less than a lease the node goes on; for longer, its slice goes to another one."""
    run = audit("report", "--mesh", str(whole.options(lease=LEASE)))
    whole.until_playing("w1")
    whole.links["w1"].cut()
    time.sleep(seconds)
    whole.links["w1"].heal()
    assert (" was lost: node w1: " in ended(run)) is (seconds > LEASE)
    complete(folder / "report.json")


def test_a_mesh_whose_only_node_died_is_reported(whole: Mesh, audit: Audit, folder: Path) -> None:
    run = audit("report", "--mesh", str(whole.options(lease=LEASE, nodes=["w1"])))
    whole.until_playing("w1")
    whole.kill("w1")
    ended(run)
    hosts = hosts_of(folder / "report.json")
    assert len(hosts) == HOSTS + 2
    assert all(host["unreachable"] for host in hosts.values())
    assert "none of these places can run a slice now: w1" in hosts["host00"]["unreachable"]


def test_units_of_work_of_a_killed_controller_are_ended_by_the_next_controller(
    whole: Mesh, audit: Audit, folder: Path
) -> None:
    run = audit("first", "--mesh", str(whole.options(lease=LEASE)))
    whole.until_playing("w1")
    run.kill()
    run.communicate()
    left = set(whole.command("work list"))
    assert left
    ended(audit("second", "--mesh", str(whole.options(lease=LEASE))))
    complete(folder / "second.json")
    assert not left & set(whole.command("work list"))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"tls_client": "nobody"}, "nobody"),
        ({"work_type": "other"}, "no node of the mesh offers work of type other"),
        ({"socket": "/no/such/socket"}, "receptor does not answer at /no/such/socket"),
    ],
)
def test_a_refusal_of_the_mesh_is_reported_with_the_reason(
    whole: Mesh, audit: Audit, folder: Path, changed: dict[str, Any], reason: str
) -> None:
    run = audit("report", "--mesh", str(whole.options(lease=LEASE, **changed)))
    _, said = run.communicate(timeout=120)
    assert reason in said, said


def test_nodes_of_the_mesh_accept_only_signed_work(whole: Mesh) -> None:
    """The nodes verify signatures: without one they take no work, so the runs above were signed."""
    offered = [each for each in whole.status()["Advertisements"] if each["WorkCommands"]]
    assert {(each["NodeID"], *each["WorkCommands"][0].values()) for each in offered} == {
        ("w1", WORK, True),
        ("w2", WORK, True),
    }
