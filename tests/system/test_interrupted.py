"""Runs that are killed at random moments, and a file system that becomes read-only in the middle of a run."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from tests.hosts.command import hardener
from tests.hosts.fixtures import Boot
from tests.hosts.guard import (
    JOURNAL,
    NOT_HERE,
    RESTARTING,
    STATE,
    UNCONFIRMED,
    background,
    engine,
    once,
    play,
    settled,
)
from tests.hosts.interrupting import Loop
from tests.hosts.workload import BARE, CONTAINERS, DAEMON_JSON, running, shell, with_containers

pytestmark = pytest.mark.independent

KILLS = int(os.environ.get("HARDENER_TEST_KILLS", "6"))
SEED = int(os.environ.get("HARDENER_TEST_SEED") or random.randrange(1 << 32))
VICTIMS = ("controller", "program", "both")
SPANS = ("change", "run")  # the changes on the host, the whole command: a kill comes at a random share


@pytest.fixture(scope="module", params=["configured", "bare"])
def host(request: pytest.FixtureRequest, pristine: Boot) -> Iterator[lab.Guest]:
    """A host whose engine runs containers; every test leaves it as it found it.

    A bare one has only what the engine itself makes, and its containers do not survive a restart yet.
    """
    guest = pristine("13")
    if request.param == "bare":
        shell(guest, BARE)
        with_containers(guest)
    else:
        with_containers(guest, surviving=True)
        shell(guest, f"chmod 0666 {DAEMON_JSON}")
    yield guest
    guest.stop()


def test_killed_runs_leave_the_host_as_before_or_as_planned(host: lab.Guest, tmp_path: Path) -> None:
    print(f"HARDENER_TEST_SEED={SEED} HARDENER_TEST_KILLS={KILLS}")
    chance = random.Random(SEED)
    loop = Loop(host, tmp_path)
    settled(host)
    loop.states["before"] = shell(host, STATE)
    containers = running(shell(host, CONTAINERS))
    loop.finish("harden")
    loop.states["planned"] = shell(host, STATE)
    assert loop.states["planned"] != loop.states["before"]
    loop.finish("rollback")
    state = loop.state()
    assert state == "before"
    for number in range(KILLS):
        verb = "harden" if state == "before" else "rollback"
        victim, span, share = VICTIMS[number % 3], SPANS[number % 2], chance.random()
        loop.interrupt(verb, victim, span, share)
        state = loop.state()
        print(f"{verb}, {victim} killed at {share:.0%} of the {span}: {state}")
        assert running(shell(host, CONTAINERS)) == containers
    if state == "planned":
        loop.finish("rollback")
        assert loop.state() == "before"
    loop.finish("harden")
    assert loop.state() == "planned"
    loop.finish("rollback")
    assert loop.state() == "before"
    assert running(shell(host, CONTAINERS)) == containers


# When /etc becomes read-only, and what the run sets.
MOMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "the journal is written": (JOURNAL, {"default-shm-size": "61M"}),
    "the file is written": (f"grep -q 62M {DAEMON_JSON}", {"default-shm-size": "62M"}),
    "it waits to be confirmed": (UNCONFIRMED, {"default-shm-size": "63M"}),
    "the engine does not start": (RESTARTING, NOT_HERE),
}
# A mount is not made read-only while a file on it is open for writing.
REMOUNT = "until mount -o remount,ro,bind /etc; do sleep 0.01; done 2>/dev/null"
WRITABLE = "mount -o remount,rw,bind /etc; umount /etc"
READ_ONLY = re.compile("Read-only file system|mounted read-only")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_during_which_etc_becomes_read_only_completes_or_restores_the_host(
    host: lab.Guest, tmp_path: Path, moment: str
) -> None:
    settled(host)
    before, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    condition, keys = MOMENTS[moment]
    shell(host, "mount --bind /etc /etc")
    try:
        background(host, f"{once(condition)}; {REMOUNT}")
        done = play(host, tmp_path, engine(**keys)).result()
        daemon_json = json.loads(shell(host, f"cat {DAEMON_JSON} || echo {{}}"))
    finally:
        shell(host, WRITABLE)
    print(f"{moment}: {done['outcome']}: {done['msg']}")
    changed = done["outcome"] == "changed"
    if changed:
        assert keys.items() <= daemon_json.items()
    else:
        assert done["outcome"] in ("refused", "rolled_back", "rollback_failed"), done
        assert READ_ONLY.search(done["msg"]), done
        assert "\n" not in done["msg"]
        settled(host)
        assert shell(host, STATE) == before
    # What could not be removed from a read-only /etc goes with the next run.
    assert play(host, tmp_path, engine(**{"default-shm-size": "60M"})).result()["outcome"] == "changed"
    for _ in range(1 + changed):
        back = hardener("rollback", host.inventory)
        assert back.returncode == 0, back.stderr
    settled(host)
    assert shell(host, STATE) == before
    assert running(shell(host, CONTAINERS)) == containers
