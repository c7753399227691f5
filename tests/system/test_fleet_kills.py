"""A controller that is killed at a random point of a run: every host is known, and another run goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.hosts.fleet import BACK, ICC, Fleet, pause, states, until

HOSTS = 3
SEED = int(os.environ.get("HARDENER_TEST_SEED", time.time_ns() % 1_000_000))
RUN = ("harden", *ICC, "--canary", "1", "--confirm-timeout", "40")


def kill_all(process: subprocess.Popen[str]) -> None:
    """A loss of power: nothing of the run is left on the control node."""
    for pid in pause(process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_one(process: subprocess.Popen[str]) -> None:
    """The kernel is out of memory: Ansible is not told."""
    os.kill(process.pid, signal.SIGKILL)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C: the terminal tells the whole group."""
    os.killpg(process.pid, signal.SIGINT)


@pytest.fixture(scope="module")
def seconds(fleet: Fleet) -> float:
    """How long a whole run takes from its first word on the disk; it is rolled back."""
    process = fleet.start(*RUN, node="whole")
    until(lambda: fleet.unfinished("whole"))
    began = time.monotonic()
    _, said = process.communicate(timeout=1200)
    assert process.returncode == 0, said
    took = time.monotonic() - began
    back = fleet.run("rollback", node="whole")
    assert back.returncode == 0, back.stderr
    return took


@pytest.mark.parametrize("end", [kill_all, kill_one, interrupt])
def test_after_a_kill_the_state_of_every_host_is_known_and_resume_finishes(
    fleet: Fleet, seconds: float, end: Callable[[subprocess.Popen[str]], None]
) -> None:
    point = random.Random(f"{SEED} {end.__name__}").uniform(0, 0.9)
    node = end.__name__
    while True:
        before = {host.name: fleet.records(host) for host in fleet.hosts}
        print(f"HARDENER_TEST_SEED={SEED}: {node} after {point:.3f} of {seconds:.1f} s")
        process = fleet.start(*RUN, node=node)
        until(lambda: fleet.unfinished(node))
        time.sleep(point * seconds)
        if process.poll() is None:
            break
        fleet.run("rollback", node=node)  # this machine was busier when the whole run was measured
        seconds /= 2
    end(process)
    _, said = process.communicate(timeout=600)
    assert process.returncode == (130 if end is interrupt else -signal.SIGKILL), said

    (left,) = fleet.unfinished(node)
    resumed = fleet.run("resume", "latest", node=node)
    print(resumed.stderr)
    assert resumed.returncode == 0, resumed.stderr
    assert fleet.with_icc() == [False] * HOSTS
    assert fleet.unfinished(node) == []
    told = states(resumed.stderr)
    assert sorted(told) == sorted(host.name for host in fleet.hosts)
    for host in fleet.hosts:
        new = fleet.records(host)[len(before[host.name]) :]
        mine = [outcome for number, outcome in new if number == left.number]
        changed = [number for number, outcome in new if outcome == "changed"]
        assert len(changed) == 1, (host.name, new, "what is confirmed is not done again")
        assert (told[host.name] == "confirmed") is (changed == [left.number]), (host.name, new)
        assert (told[host.name] == "rolled back") is (bool(mine) and mine[-1] in BACK), (host.name, new)
    back = fleet.run("rollback", node=node)
    assert back.returncode == 0, back.stderr
    assert fleet.with_icc() == [True] * HOSTS
