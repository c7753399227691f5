"""A fleet of hosts in namespaces: canaries, limits, and a controller that is stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from hardener import lab
from hardener.history.home import Home
from hardener.history.journal import Unfinished, unfinished_runs
from tests.hosts.fixtures import Boot

HOSTS = int(os.environ.get("HARDENER_TEST_FLEET", "5"))
ICC = ("--only", "daemon-icc-disabled")
# The engine of this host does not start with what the change sets.
BREAKS = """
mkdir -p /etc/systemd/system/docker.service.d
cat >/etc/systemd/system/docker.service.d/breaks.conf <<'END'
[Service]
ExecStartPre=/bin/sh -c '! grep -q icc /etc/docker/daemon.json'
END
systemctl daemon-reload
"""
# The module is part of this machine's kernel; the host only needs to know.
PREPARED = """
mkdir -p /lib/modules/$(uname -r)
echo kernel/br_netfilter.ko >>/lib/modules/$(uname -r)/modules.builtin
"""
MENDED = "rm /etc/systemd/system/docker.service.d/breaks.conf; systemctl daemon-reload"


class FleetUnderTest:
    """The hosts, in the order of their inventory, and control nodes with a history of their own."""

    def __init__(self, hosts: Sequence[lab.Guest], folder: Path) -> None:
        self.hosts = list(hosts)
        self.inventory = folder / "inventory.yml"
        self._folder = folder
        every = [yaml.safe_load(host.inventory.read_text()) for host in hosts]
        merged = {name: each for one in every for name, each in one["all"]["hosts"].items()}
        self.inventory.write_text(yaml.safe_dump({"all": {"hosts": merged}}, sort_keys=False))

    def command(self, verb: str, *options: str) -> list[str]:
        return [sys.executable, "-m", "hardener", verb, "-i", str(self.inventory), *options]

    def environment(self, node: str) -> dict[str, str]:
        return {**os.environ, "HARDENER_HOME": str(self._folder / node)}

    def run(self, verb: str, *options: str, node: str = "one") -> subprocess.CompletedProcess[str]:
        command = self.command(verb, *options)
        if verb == "resume":
            command = [sys.executable, "-m", "hardener", verb, *options]
        return subprocess.run(
            command, env=self.environment(node), capture_output=True, text=True, check=False, timeout=1200
        )

    def start(self, verb: str, *options: str, node: str = "one") -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(verb, *options),
            env=self.environment(node),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def unfinished(self, node: str = "one") -> list[Unfinished]:
        return list(unfinished_runs(Home(self._folder / node)))

    def daemon(self, host: lab.Guest) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            host.ssh("sh", "-c", "cat /etc/docker/daemon.json 2>/dev/null || echo '{}'").stdout
        )
        return found

    def with_icc(self) -> list[bool]:
        """Whether each host still lets containers talk to each other."""
        return [self.daemon(host).get("icc", True) for host in self.hosts]


@pytest.fixture(scope="module")
def fleet(pristine: Boot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetUnderTest]:
    """Pristine hosts; each test leaves them without the change."""
    started: list[lab.Guest] = []
    try:
        for _ in range(HOSTS):
            started.append(pristine("13"))
            started[-1].ssh("sh", "-c", PREPARED)
        yield FleetUnderTest(started, tmp_path_factory.mktemp("fleet"))
    finally:
        for host in started:
            host.stop()


def family(pid: int) -> list[int]:
    """A process and all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        below = [
            int(each)
            for thread in children.parent.parent.iterdir()
            for each in (thread / "children").read_text().split()
        ]
    except OSError:
        return [pid]
    return [pid, *(each for child in below for each in family(child))]


def until(true: Callable[[], object], *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_change_that_breaks_one_host_in_five_stops_the_run(fleet: FleetUnderTest) -> None:
    """The canary stops it; with a limit it goes on as told; resume finishes it once the cause is gone."""
    canary, others = fleet.hosts[0], fleet.hosts[1:]
    canary.ssh("sh", "-c", BREAKS)
    stopped = fleet.run("harden", *ICC, "--canary", "1", "--batch", "2")
    assert stopped.returncode == 5, stopped.stderr
    names = ", ".join(host.name for host in others)
    reason = f"1 failed where --max-fail allows 0 ({canary.name}: rolled back"
    assert f"not begun: {names}: {reason}" in stopped.stderr
    assert fleet.with_icc() == [True] * HOSTS
    untouched = [host.ssh("sh", "-c", "test ! -e /var/lib/hardener", check=False) for host in others]
    assert {each.returncode for each in untouched} == {0}, "no other host was touched"

    limited = fleet.run("resume", "latest", "--max-fail", "1")
    assert limited.returncode == 5, limited.stderr
    assert f"rolled back: {canary.name}\nuntouched: {names}\n" in limited.stderr
    assert fleet.with_icc() == [True, *[False] * (HOSTS - 1)], limited.stderr

    canary.ssh("sh", "-c", MENDED)
    finished = fleet.run("resume", "latest")
    assert finished.returncode == 0, finished.stderr
    assert fleet.with_icc() == [False] * HOSTS
    assert fleet.unfinished() == []
    back = fleet.run("rollback", "--canary", "1", "--batch", "50%")
    assert back.returncode == 0, back.stderr
    assert fleet.with_icc() == [True] * HOSTS


def test_a_paused_controller_is_refused_after_another_has_taken_over(
    fleet: FleetUnderTest,
) -> None:
    first = fleet.start("harden", *ICC, node="stopped")
    until(lambda: any(run.unknown for run in fleet.unfinished("stopped")))
    stopped = family(first.pid)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert fleet.with_icc() == [True] * HOSTS, "it was stopped in time"
        other = fleet.run("harden", *ICC, node="other")
        assert other.returncode == 0, other.stderr
        taken_back = fleet.run("rollback", node="other")
        assert taken_back.returncode == 0, taken_back.stderr
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    _, said = first.communicate(timeout=600)
    assert first.returncode == 3, said
    for host in fleet.hosts:
        assert f"{host.name}: failed: nothing was changed: a newer run of " in said
    assert fleet.with_icc() == [True] * HOSTS, "what the other has decided stands"
