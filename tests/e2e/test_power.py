"""Cut the power of a host off while it is hardened, rolled back and released."""

from __future__ import annotations

import os
import random
from pathlib import Path

from tests.hosts.fixtures import Boot
from tests.hosts.guard import STATE, settled
from tests.hosts.interrupting import Loop
from tests.hosts.waiting import until
from tests.hosts.workload import shell, with_containers

CUTS = int(os.environ.get("HARDENER_TEST_CUTS", "4"))
SEED = int(os.environ.get("HARDENER_TEST_SEED") or random.randrange(1 << 32))
SPANS = (("harden", "change"), ("harden", "confirmation"), ("rollback", "change"), ("release", "change"))


def test_a_host_that_loses_power_is_as_before_or_as_planned(boot: Boot, tmp_path: Path) -> None:
    print(f"HARDENER_TEST_SEED={SEED} HARDENER_TEST_CUTS={CUTS}")
    chance = random.Random(SEED)
    host = with_containers(boot("13"), surviving=True)
    shell(host, "docker update --restart always web job; sync")
    loop = Loop(host, tmp_path)
    settled(host)
    loop.states["before"] = shell(host, STATE)
    loop.finish("harden")
    loop.states["planned"] = shell(host, STATE)
    assert loop.states["planned"] != loop.states["before"]
    state = "planned"
    for number in range(CUTS):
        verb, span = SPANS[number % len(SPANS)]
        share = chance.random()
        if state == "before" and verb != "harden":
            loop.finish("harden")
        elif state == "planned" and verb == "harden":
            loop.finish("rollback")
        loop.cut(verb, span, share)
        until(host, "test $(docker ps --quiet | wc -l) = 2")
        state = loop.state(recorded=verb != "release")
        print(f"{verb}, cut off at {share:.0%} of the {span}: {state}")
    loop.finish("release" if state == "planned" else "harden")
