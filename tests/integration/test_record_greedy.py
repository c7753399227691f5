"""Twins that take all processes or all of the disk, on an engine with a small disk."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.dockerd import Dockerd
from tests.integration.namespaces import OwnNetwork
from tests.integration.twinning import leaves_nothing, names, workload

# The kernel has one list of programs.
pytestmark = [pytest.mark.xdist_group("recorder"), pytest.mark.slow]

DISK = 256 * 1024 * 1024
BOMB = "for each in 1 2 3; do busybox watch -t -n 0 'sleep 1000000 &' & done; "
GROWING = "while true; do cat /dev/zero >>/data/page; sleep 0.1; done & "
CONFINED = "busybox grep -q 'CapEff:.0*$' /proc/self/status"  # as under the profile alone
SERVE = "exec httpd -f -p 80 -h /data"


@pytest.fixture(scope="module")
def engine(own_network: OwnNetwork | None) -> Iterator[Dockerd]:
    """An engine whose data are on a disk of their own."""
    assert own_network is not None
    with own_network.inside():
        engine = Dockerd()
        engine.data_root.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", engine.data_root], check=True)
        with engine:
            yield engine


@pytest.fixture
def greedy(engine: Dockerd, request: pytest.FixtureRequest) -> Iterator[None]:
    """A container that runs the script of the test, and is not started."""
    container = engine.create(
        "greedy",
        command=["sh", "-c", request.param],
        host_config={
            "PidsLimit": 100,
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Mounts": [{"Type": "volume", "Source": "greedy", "Target": "/data"}],
        },
    )
    before = names(engine)
    with leaves_nothing():
        yield
    assert names(engine) == before
    engine.api("DELETE", f"/containers/{container}?force=1&v=1")
    engine.api("DELETE", "/volumes/greedy")


@pytest.mark.usefixtures("greedy")
@pytest.mark.parametrize(
    ("greedy", "reason"),
    [(BOMB + SERVE, "no connection reached the twin"), (GROWING + SERVE, "no space left on device")],
    ids=["processes", "volume"],
    indirect=["greedy"],
)
def test_the_recording_of_a_greedy_container_ends_with_the_reason(
    engine: Dockerd, tmp_path: Path, reason: str
) -> None:
    out = str(tmp_path / "out")
    done = workload(engine, "record", "greedy", "--for", "5s", "--out", out, written=tmp_path)
    assert done.returncode == 4, done.stderr
    assert reason in " ".join(done.stdout.split())


@pytest.mark.usefixtures("greedy")
@pytest.mark.parametrize(
    "greedy", [f"if {CONFINED}; then {GROWING} fi; {SERVE}"], ids=["volume"], indirect=True
)
def test_the_proof_of_a_container_that_fills_the_disk_under_its_profile_ends(
    engine: Dockerd, tmp_path: Path
) -> None:
    run = "curl -sS --max-time 10 http://$HARDENER_ADDR_80/ >&2"
    out, profile = tmp_path / "out", str(tmp_path / "profile")
    done = workload(engine, "record", "greedy", "--run", run, "--out", str(out), written=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (recording,) = out.iterdir()
    done = workload(engine, "profile", str(recording), "--out", profile, written=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    done = workload(engine, "prove", profile, "--run", run, "--starts", "3", written=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "no space left on device" in " ".join(done.stdout.split())
