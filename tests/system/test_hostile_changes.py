"""Hosts that behave while they are audited and not while they are changed cost no other host anything."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hardener.history.home import Home
from hardener.history.journal import unfinished_runs
from tests.integration.hostile_sshd import HostileSshd
from tests.integration.overlays import Overlaid
from tests.integration.sshd import Sshd, free_port, own_environment
from tests.unit.fleet.forging import GONE, STATS

CONFIRM = 20  # seconds that a host waits for its confirmation
SECONDS = 30  # the deadline, by Ansible's own setting, which a good host keeps on a busy machine too
ONLY = ("--only", "file-etc-docker-mode")
FULL = """
mkdir -p /var/lib/hardener
mount -t tmpfs -o size=64k tmpfs /var/lib/hardener
dd if=/dev/zero of=/var/lib/hardener/rest bs=1k 2>/dev/null || true
"""
# Each session of a host runs this: its audit and its facts are those of a machine, and then it is hostile.
BEHAVES = """
import fcntl
with open({count!r}, "a") as counted:
    fcntl.flock(counted, fcntl.LOCK_EX)
    counted.write("x")
    counted.flush()
    session = counted.tell()
if session <= {behaved}:
    given = os.environ["SSH_ORIGINAL_COMMAND"]
    os.execvp("nsenter", ["nsenter", "--mount=/proc/{pid}/ns/mnt", "sh", "-c", given])
"""
ALWAYS = 1_000_000
AUDITED = 2  # sessions: the audit, and the facts for the roles
# What a host does instead of its transaction.
HOSTILE = {
    "hangs": "time.sleep(100000)",
    "hangs_with_the_script": "ready(); time.sleep(100000)",
    "says_garbage": "ready(); say_all(os.urandom(100000))",
    "answers_no_result": 'answer(b\'{"result":{"outcome":["changed"],"documents":7,"changes":[[[]]]}}\')',
    "claims_success": 'answer(b\'{"result":{"outcome":"changed","changed":true,"run":"../../x"}}\')',
    "answers_for_another": f"ready(); os.write(2, {(STATS + GONE).encode()!r}); sys.exit(255)",
    "sends_too_much": "while True: say_all(b'x' * 65536)",
}


class Machines:
    """Hosts with a folder of the engine that everyone may write; each has a configuration of its own."""

    def __init__(self, sshd: Sshd, folder: Path, stack: ExitStack) -> None:
        self._hostile = HostileSshd(sshd)
        self._folder = folder
        self._stack = stack
        self._made: dict[str, Overlaid] = {}

    def make(self, name: str, code: str = "", *, prepared: str = "") -> dict[str, Any]:
        """Inventory variables of a host that is hostile by this code once it was audited; never without."""
        machine = self._made[name] = self._stack.enter_context(Overlaid())
        done = machine.run("sh", "-c", f"set -e; mkdir -p /etc/docker; chmod 777 /etc/docker\n{prepared}")
        assert done.returncode == 0, done.stderr
        behaves = BEHAVES.format(
            count=str(self._folder / f"{name}.sessions"), pid=machine.pid, behaved=AUDITED if code else ALWAYS
        )
        return self._hostile.host(name, f"{behaves}\n{code}")

    def modes(self) -> dict[str, str]:
        """The mode of that folder on each host."""
        return {
            name: machine.run("stat", "-c", "%a", "/etc/docker").stdout.strip()
            for name, machine in self._made.items()
        }


@pytest.fixture
def machines(sshd: Sshd, tmp_path: Path) -> Iterator[Machines]:
    with ExitStack() as stack:
        yield Machines(sshd, tmp_path, stack)


def test_hosts_that_are_hostile_during_a_change_do_not_affect_others(
    sshd: Sshd, machines: Machines, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    good, failing = ["good1", "good2"], ["full", *HOSTILE]
    hosts = {
        "good1": machines.make("good1"),
        "dead": sshd.variables(ansible_port=free_port()),
        "another_key": sshd.variables(known_hosts=sshd.trust(sshd.another_key())),
        "full": machines.make("full", prepared=FULL),
        **{name: machines.make(name, code) for name, code in HOSTILE.items()},
        "good2": machines.make("good2"),
    }
    inventory, report, home = tmp_path / "inventory.json", tmp_path / "report.json", tmp_path / "home"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    command = [sys.executable, "-m", "hardener", "harden", "-i", str(inventory), "--json", str(report)]
    ended = subprocess.run(
        [*command, *ONLY, "--canary", "1", "--max-fail", "90%", "--confirm-timeout", str(CONFIRM)],
        cwd=tmp_path,
        env=own_environment(
            tmp_path_factory.mktemp("tmp"),
            ANSIBLE_FORKS=str(len(hosts)),
            ANSIBLE_TASK_TIMEOUT=str(SECONDS),
            HARDENER_HOME=str(home),
        ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    said = ended.stderr + ended.stdout
    assert "Traceback" not in said
    assert all(character.isprintable() or character == "\n" for character in said)
    assert ended.returncode == 5, said  # hosts that were lost will roll back, as far as is known here
    assert "canaries (1 of 2): good1\n" in ended.stderr
    assert "not begun" not in said
    for name in failing:
        assert f"\n{name}: failed: " in ended.stderr, said
    assert machines.modes() == {"full": "777", **dict.fromkeys(HOSTILE, "777"), **dict.fromkeys(good, "755")}

    found = {host["host"]: host for host in json.loads(report.read_text())["hosts"]}
    assert list(found) == list(hosts)
    statuses = {name: each["status"] for name, host in found.items() for each in host["findings"]}
    lost = dict.fromkeys(("dead", "another_key", *HOSTILE), "error")
    assert statuses == {**dict.fromkeys(good, "pass"), "full": "fail", **lost}
    assert {len(host["findings"]) for host in found.values()} == {1}
    assert [name for name, host in found.items() if not host["unreachable"]] == ["good1", "full", "good2"]
    (left,) = unfinished_runs(Home(home))
    assert (sorted(left.confirmed), sorted(left.unconfirmed)) == (good, sorted(failing))
