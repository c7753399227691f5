"""The hosts of a fleet divided into slices: the same findings as in one piece, whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardener.content import collections_path
from tests.integration.audits import assert_same
from tests.integration.dockerd import Dockerd
from tests.integration.sshd import Sshd, free_port
from tests.leftovers import scratch

HOSTS = 8
ODD = ("web*", "a b", "{{ 7 * 7 }}", "all1")
SLICE = "4"


@pytest.fixture(scope="module")
def dockerd() -> Iterator[Dockerd]:
    """An engine that no other test uses: its containers would come and go between two audits."""
    with Dockerd() as engine:
        yield engine


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch("sliced") as path:
        yield path


@pytest.fixture
def inventory(sshd: Sshd, dockerd: Dockerd, folder: Path) -> str:
    """Hosts behind one server, one that cannot be reached, and some called like patterns and groups."""
    hosts = {f"host{number}": sshd.variables() for number in range(HOSTS)}
    hosts |= {name: sshd.variables() for name in ODD}
    hosts["refused"] = sshd.variables(ansible_port=free_port())
    groups: dict[str, Any] = {"host1": {"hosts": {"host5": {}}}, "web": {"hosts": {"host2": {}, "web*": {}}}}
    path = folder / "inventory.json"
    path.write_text(
        json.dumps(
            {"all": {"hosts": hosts, "children": groups, "vars": {"collect_socket": str(dockerd.socket)}}}
        )
    )
    return str(path)


def command(inventory: str, report: Path, *arguments: str) -> list[str]:
    return [
        *(sys.executable, "-m", "hardener", "audit", "-i", inventory, "--exit-zero"),
        *("--home", str(report.parent / "home"), "--json", str(report), *arguments),
    ]


def test_slices_give_the_same_findings_as_one_run(inventory: str, folder: Path) -> None:
    for name, arguments in {"whole": (), "sliced": ("--slice", SLICE)}.items():
        subprocess.run(
            command(inventory, folder / f"{name}.json", "--snapshots", str(folder / name), *arguments),
            check=True,
            capture_output=True,
            timeout=120,
        )
    assert_same(folder / "whole.json", folder / "sliced.json")
    hosts = [host["host"] for host in json.loads((folder / "sliced.json").read_text())["hosts"]]
    assert len(hosts) == len(set(hosts)) == HOSTS + len(ODD) + 1


def playing(marker: str) -> Iterator[int]:
    """The processes of Ansible that run the audit of an inventory, workers not included."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                above = Path("/proc", str(parent), "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if (
                marker.encode() in words
                and any(word.endswith(b"audit.yml") for word in words)
                and above != words
            ):
                yield int(entry.name)


@pytest.mark.slow
def test_a_killed_slice_is_repeated(inventory: str, folder: Path) -> None:
    report = folder / "report.json"
    run = subprocess.Popen(
        command(inventory, report, "--slice", SLICE, "--snapshots", str(folder / "snapshots")),
        stderr=subprocess.PIPE,
        text=True,
    )
    killed: set[int] = set()
    deadline = time.monotonic() + 60
    while len(killed) < 2 and run.poll() is None and time.monotonic() < deadline:
        for pid in playing(inventory):
            if pid not in killed and len(killed) < 2:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        time.sleep(0.05)
    _, said = run.communicate(timeout=90)
    assert run.returncode == 0, said
    assert len(killed) == 2
    assert said.count(" was lost: ") == 2, said
    hosts = {host["host"]: host for host in json.loads(report.read_text())["hosts"]}
    assert [name for name, host in hosts.items() if host["unreachable"]] == ["refused"]
    assert len(hosts) == HOSTS + len(ODD) + 1
    assert not list(playing(inventory)), "a process is left"


def test_an_unreadable_inventory_is_an_error(folder: Path) -> None:
    (folder / "hosts.yml").write_text("[")
    done = subprocess.run(
        command(str(folder / "hosts.yml"), folder / "report.json", "--slice", "1"),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode not in (0, 3, 4)
    assert "cannot read inventory" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("playbook", ["audit", "scan"])
def test_a_slice_of_awx_without_matching_hosts_succeeds(folder: Path, playbook: str) -> None:
    """AWX gives each slice a part of the inventory, and the pattern of the whole job."""
    (folder / "slice.json").write_text(
        json.dumps({"all": {"hosts": {"web1": {"ansible_connection": "local"}}}})
    )
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(folder / "slice.json")),
            *(f"hardener.docker.{playbook}", "-e", "hardener_hosts=db*"),
        ],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections_path())},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "skipping: no hosts matched" in done.stdout
    assert "Could not match supplied host pattern, ignoring: db*" in done.stderr
