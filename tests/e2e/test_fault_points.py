"""Some points of tests/faults on a guest, where nothing stands in for systemd, auditd and kernel settings."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hardener import lab
from tests.faults import transaction
from tests.hosts.fixtures import Boot
from tests.hosts.library import FOLDER, ship
from tests.hosts.workload import CONTAINER

# A point takes half a minute to three there; 50 take one to two hours.
POINTS, SEED = int(os.environ.get("HARDENER_TEST_POINTS", "4")), 20261127
MODULES = [
    "tests/__init__.py",
    *(f"tests/faults/{name}.py" for name in ("__init__", "on_guest", "operation", "syscalls", "tree")),
]
AUDITD = "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends auditd >/dev/null"
PREPARED = f"""
set -e
printf '[Service]\\nType=oneshot\\nExecStart=/bin/true\\n' >/etc/systemd/system/hardener-example.service
chown 1:1 {transaction.KEY}; chmod 0644 {transaction.KEY}
sysctl -qw {" ".join(f"{key}={value}" for key, value in transaction.BEFORE.items())}
augenrules --load >/dev/null
systemctl daemon-reload
systemctl restart docker
{CONTAINER}
docker rm --force job >/dev/null
"""


def prepare(guest: lab.Guest) -> None:
    """Make it what the transaction finds, with what runs it."""
    ship(guest, MODULES)
    guest.ssh("sh", "-c", AUDITD, timeout=900)  # before its files are others
    for path, content in transaction.FILES.items():
        guest.ssh("sh", "-c", f"mkdir -p {Path(path).parent}; cat >{path}", stdin=content)
    guest.ssh("sh", "-c", PREPARED, timeout=900)


@pytest.fixture
def host(boot: Boot) -> lab.Guest:
    """A guest that is what the transaction finds."""
    guest = boot("13")
    prepare(guest)
    return guest


def test_a_guest_is_as_before_or_as_planned_after_a_fault(
    host: lab.Guest, record_property: Callable[[str, object], None]
) -> None:
    command = f"cd {FOLDER} && exec python3 -m tests.faults.on_guest {SEED} {POINTS}"
    done = host.ssh("sh", "-c", command, stdin=json.dumps(transaction.documents()), check=False, timeout=7200)
    *records, summary = map(json.loads, done.stdout.splitlines() or ["{}"])
    for each in records:
        print(each)
    record_property("fault points on a guest", len(records))
    assert done.returncode == 0, done.stderr
    assert not [each for each in records if each["problems"]], f"seed {SEED}"
    assert (summary["seed"], summary["points"]) == (SEED, POINTS)
