"""Limits of on-host programs where root has every right, and a program of the host that runs without them."""

from __future__ import annotations

import json

from hardener import lab
from tests.hosts.library import FOLDER, ship

KINDS = ("Max cpu time", "Max data size", "Max address space")
OSCAP = """\
#!/bin/sh
cat /proc/self/limits >/root/limits
echo '<x/>' >"$8"
"""
ON_GUEST = f"""
import json, sys, tempfile
sys.path.insert(0, "{FOLDER}")
from ansible_collections.hardener.docker.plugins.module_utils.host import limits
from ansible_collections.hardener.docker.plugins.module_utils.scan import openscap

def soft_and_hard(path):
    lines = open(path).read().splitlines()
    return {{line[:26].strip(): line[26:].split()[:2] for line in lines}}

found = [soft_and_hard("/proc/self/limits")]
limits.hold(120, 300 << 20)
found.append(soft_and_hard("/proc/self/limits"))
openscap._run("/root/oscap", "/dev/null", "profile", tempfile.mkdtemp())
found += [soft_and_hard("/root/limits"), soft_and_hard("/proc/self/limits")]
print(json.dumps(found))
"""


def test_openscap_runs_without_the_resource_limits_of_hardener(guest: lab.Guest) -> None:
    ship(guest)
    guest.ssh("sh", "-c", "cat >/root/oscap; chmod +x /root/oscap", stdin=OSCAP)
    found = json.loads(guest.ssh("python3", "-IBS", "-c", ON_GUEST).stdout)
    before, held, oscap, after = [{kind: each[kind] for kind in KINDS} for each in found]
    assert set(map(tuple, before.values())) == {("unlimited", "unlimited")}
    for soft, hard in held.values():
        assert soft == hard
        assert soft.isdigit()
    assert held["Max cpu time"] == ["120", "120"]
    assert held["Max data size"] == [str(300 << 20)] * 2
    assert oscap == before
    assert after == held
