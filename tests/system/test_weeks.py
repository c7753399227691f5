"""50 nightly runs of `drift --remediate` on a real host: another tool, a full disk, an engine that is off."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from hardener import lab
from hardener.history import History
from tests.hosts import later
from tests.hosts.workload import DAEMON_JSON, shell

pytestmark = pytest.mark.independent

NIGHTS = 50
SEED = int(os.environ.get("HARDENER_TEST_SEED") or random.randrange(1 << 32))
LIMITS = {"converge_keep_runs": 3, "converge_keep_size": 1}  # of the backups on the host
STATES = 4  # of two paths, before any run and as the other tool left them last
MOST_FILES = 7 * (LIMITS["converge_keep_runs"] + STATES) + 8  # a backup's, and the host's
KEPT_DAYS = 5  # of the history
FILES_OF_A_RUN = 4
ONLY = ("daemon-no-new-privileges", "file-docker-socket-unit-mode")
UNIT = "/usr/lib/systemd/system/docker.socket"
STATE = "/var/lib/hardener"
# hardener's folder on the host has a small disk of its own, which can be filled.
SMALL_DISK = f"mkdir -p -m 0700 {STATE} && mount -t tmpfs -o size=4m,mode=0700 none {STATE}"
FILL = f"cat /dev/zero >{STATE}/fill 2>/dev/null; true"
OFF = "systemctl stop docker.socket docker.service"
ON = "systemctl start docker.socket docker.service"
# All that runs may leave behind outside that folder, and what they may not leave in it.
LEFT = f"""
find /etc /usr/local /run/systemd/system /run/systemd/transient -name '*hardener*' | sort
systemctl list-units --all --no-legend --plain 'hardener*'
systemctl list-unit-files --no-legend 'hardener*'
systemctl --failed --no-legend --plain
ls -A {STATE} | grep -v -x -E 'backups|found.json|origins|lock|number.json|ownership.json|withdrawn.json'
"""
# Backups, their KiB, older backups, files in all, bytes of the list of hashes.
SIZES = f"""
cd {STATE}
ls backups | wc -l; du -sk backups | cut -f1
ls origins 2>/dev/null | grep -c -v left.json; find . | wc -l
cat origins/left.json 2>/dev/null | wc -c
"""
# Exit code and notifications of a night, by its fault.
EXPECTED: dict[str, tuple[int, list[str]]] = {
    "": (0, []),
    "another tool": (7, ["repaired"]),
    "mode": (7, ["repaired"]),
    "full disk": (9, ["failed"]),
    "engine off": (4, ["incomplete"]),
    "unreachable": (4, ["incomplete"]),
}
ENGINE = "systemctl show docker.service --property=InvocationID --value"


class Nights:
    """A host, and the timer of a control node whose clock is a day further on each time.

    Args:
        host: the host.
        folder: where the inventory, the history and the notifications are.
    """

    def __init__(self, host: lab.Guest, folder: Path) -> None:
        self._host = host
        self._folder = folder
        self.home = folder / "home"
        self.night = 0
        self.written: dict[str, Any] = {}
        self._told = folder / "told"
        self._known: dict[str, Any] = yaml.safe_load(host.inventory.read_text())
        self._known["all"]["vars"] = dict(LIMITS)
        self._inventory = folder / "inventory.yml"
        self._write(self._known)
        self.home.mkdir()
        (self.home / "retention.yml").write_text(f"keep_days: {KEPT_DAYS}\n")

    def run(self, verb: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the night's date."""
        return subprocess.run(
            [
                sys.executable,
                later.__file__,
                str(self.night),
                "hardener",
                verb,
                "-i",
                self._inventory,
                *options,
            ],
            env={**os.environ, "HARDENER_HOME": str(self.home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def drift(self, *, reachable: bool) -> tuple[int, list[dict[str, Any]], str]:
        """Run the timer's command; return its exit code, the notifications, and what it said."""
        self._told.unlink(missing_ok=True)
        with nullcontext() if reachable else self._unreachable():
            done = self.run("drift", "--remediate", "--notify-command", f"tee -a {self._told}")
        told = self._told.read_text().splitlines() if self._told.exists() else []
        assert "Traceback" not in done.stderr
        return done.returncode, [json.loads(each) for each in told], done.stderr

    def begin(self, fault: str) -> None:
        """Have the fault of a night happen before its run."""
        if fault == "another tool":
            self.written = {"labels": [f"night={self.night}"]}
            self._shell(f"echo '{json.dumps(self.written)}' >{DAEMON_JSON}; systemctl restart docker.service")
        elif fault in ("mode", "full disk"):
            self._shell(f"chmod 0666 {UNIT}")
        if fault in ("full disk", "engine off"):
            self._shell(FILL if fault == "full disk" else OFF)

    def end(self, fault: str) -> None:
        """Put right what only a person can after the run of a night."""
        if fault == "full disk":
            self._shell(f"rm {STATE}/fill")
        elif fault == "engine off":
            assert self._shell("systemctl is-active docker.service") == "inactive\n", "stopped on purpose"
            self._shell(ON)

    def backups(self) -> set[str]:
        """Return the runs that have a backup on the host."""
        return set(self._shell(f"ls {STATE}/backups").split())

    def files(self) -> tuple[int, int]:
        """Compare what is kept with its limits; return the number of files on the host and in the history."""
        backups, size, origins, files, hashes = map(int, self._shell(SIZES).split())
        assert backups <= LIMITS["converge_keep_runs"]
        assert size <= LIMITS["converge_keep_size"] * 1024
        assert origins <= STATES
        assert hashes < 2000
        ended = [run.info.ended for run in History(self.home).runs()]  # the last is what drift is told by
        assert len(ended) <= 2 * (KEPT_DAYS + 1) + 1
        assert (ended[0] - ended[-1]).days >= self.night - 1
        assert (ended[0] - ended[-2]).days <= KEPT_DAYS
        return files, sum(1 for path in self.home.rglob("*") if path.is_file())

    def _shell(self, script: str) -> str:
        return shell(self._host, script)

    @contextmanager
    def _unreachable(self) -> Iterator[None]:
        """Have the host listen elsewhere than the inventory says."""
        moved = json.loads(json.dumps(self._known))
        for variables in moved["all"]["hosts"].values():
            variables["ansible_port"] = 1
        self._write(moved)
        try:
            yield
        finally:
            self._write(self._known)

    def _write(self, inventory: dict[str, Any]) -> None:
        self._inventory.write_text(yaml.safe_dump(inventory, sort_keys=False))


def test_weeks_of_nightly_repairs_use_bounded_disk_space_and_restart_the_engine_only_for_drift(
    guest: lab.Guest, tmp_path: Path
) -> None:
    """The control node's clock goes on by a day a night; the faults come on random nights."""
    print(f"HARDENER_TEST_SEED={SEED}")
    faults = _faults(random.Random(SEED))
    guest.ssh("sh", "-c", SMALL_DISK)
    nights = Nights(guest, tmp_path)
    hardened = nights.run("harden", *(word for slug in ONLY for word in ("--only", slug)))
    assert hardened.returncode == 0, hardened.stderr
    assert nights.run("audit").returncode == 3
    left, files = shell(guest, LEFT), []
    for nights.night in range(1, NIGHTS + 1):
        fault = faults.get(nights.night, "")
        nights.begin(fault)
        engine, backups = shell(guest, ENGINE), nights.backups()
        code, told, said = nights.drift(reachable=fault != "unreachable")
        where = f"night {nights.night} ({fault}): {said}"
        overdue = faults.get(nights.night - 1) == "full disk"
        assert (code, [each["event"] for each in told]) == EXPECTED["mode" if overdue else fault], where
        assert (shell(guest, ENGINE) != engine) == (fault == "another tool"), where
        assert (fault == "full disk") == ("No space left on device" in said), where
        assert ("removed the oldest backups" in said) == bool(backups - nights.backups()), where
        nights.end(fault)
        assert shell(guest, LEFT) == left, where
        files.append(nights.files())
    print(f"files on the host and in the history: {files}")
    first, second = ([here for _, here in part] for part in (files[: NIGHTS // 2], files[NIGHTS // 2 :]))
    assert max(on_host for on_host, _ in files) <= MOST_FILES
    assert max(second) <= max(first) + FILES_OF_A_RUN

    released = nights.run("release")
    assert json.loads(shell(guest, f"cat {DAEMON_JSON}")) == nights.written, released.stderr


def _faults(chance: random.Random) -> dict[int, str]:
    """Choose the nights of faults; the one after the full disk has none of its own."""
    found = dict.fromkeys(range(7, NIGHTS, 7), "another tool")
    free = [night for night in range(2, NIGHTS) if night not in found and night + 1 not in found]
    full = chance.choice(free)
    found[full] = "full disk"
    others = chance.sample([night for night in free if night not in (full, full + 1)], 5)
    return found | dict(zip(others, ("engine off", "unreachable", *["mode"] * 3), strict=True))
