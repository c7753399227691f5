"""A bare host becomes a hardened Docker host, stays one, and never runs Docker before it is configured.

The host is in namespaces: it fails what needs a kernel of its own, which `tests/releases/test_provision.py`
has.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hardener import lab
from tests.hosts import namespace_host
from tests.hosts.production import Report
from tests.hosts.provisioning import WITHOUT_DOCKER, provisioned
from tests.hosts.reboot import reboot
from tests.hosts.workload import CONTAINERS, IMAGE, WHOLE_HOST, running, shell

CONTAINER = f"{IMAGE}\ndocker run --detach --name web --restart always --ulimit nofile=1024 busybox:test stay"


@pytest.fixture
def bare() -> Iterator[lab.Guest]:
    """A Debian host from which Docker was removed."""
    host = namespace_host.start("bare", "13")
    try:
        shell(host, WITHOUT_DOCKER)
        reboot(host)
        yield host
    finally:
        host.stop()


def without_process(host: str) -> list[str]:
    """A look at a whole host, without the id of the engine's process."""
    return [line for line in host.splitlines() if not line.startswith("MainPID=")]


def test_a_bare_host_becomes_a_hardened_docker_host_and_stays_one(bare: lab.Guest, tmp_path: Path) -> None:
    report = provisioned(bare, tmp_path)
    assert not report.failing_without_kernel(), report.said
    blocked = [line for line in report.said.splitlines() if "this host is a container" in line]
    assert all(each.split()[1].rstrip(":") in " ".join(blocked) for each in report.failing()), report.said

    bare.ssh("sh", "-c", CONTAINER)
    before, container = shell(bare, WHOLE_HOST), running(shell(bare, CONTAINERS))
    assert len(container) == 1
    hardened = Report("harden", tmp_path / "site")
    assert shell(bare, WHOLE_HOST) == before, hardened.said
    assert running(shell(bare, CONTAINERS)) == container

    reboot(bare)
    assert len(running(shell(bare, CONTAINERS))) == 1
    assert without_process(shell(bare, WHOLE_HOST)) == without_process(before)
    assert Report("audit", tmp_path / "site").statuses == hardened.statuses
