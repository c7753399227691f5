"""Six things broken by hand on a hardened host: drift names exactly these, and repairs what a role owns."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from hardener import lab
from hardener.evidence.signature import NAMESPACE
from tests.e2e.conftest import Boot
from tests.e2e.test_converge import CONTAINER, shell
from tests.integration.auditor import typed
from tests.unit.evidence.bundles import new_key, public

WEB = "docker rm --force web >/dev/null 2>&1; docker run --detach --name web {} busybox:test sleep 1000000"

# What somebody does at night, by the control that it moves.
BROKEN = {
    "file-daemon-json-mode": "chmod 0666 /etc/docker/daemon.json",
    "daemon-log-level-info": """
        sed -i '1s/{/{ "debug": true,/' /etc/docker/daemon.json
        systemctl restart docker""",
    "host-firewall-input-ipv4": "iptables --delete INPUT --jump HARDENER-INPUT",
    "audit-bin-runc": "auditctl -l | sed -n 's/^-a \\(.*path=.usr.sbin.runc .*\\)/-d \\1/p' | xargs auditctl",
    "container-seccomp-enabled": WEB.format("--security-opt seccomp=unconfined"),
    "host-updates-automatic": "dpkg --remove unattended-upgrades",
}
NOBODYS = {"container-seccomp-enabled"}  # how a container is started is its owner's


@dataclass(frozen=True)
class Moved:
    """What a drift run said."""

    code: int
    found: set[str]
    left: set[str]
    said: str


class Watched:
    """A guest whose drift is looked for, and the folder where all is kept."""

    def __init__(self, guest: lab.Guest, folder: Path) -> None:
        self.guest = guest
        self._folder = folder

    def run(self, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hardener", verb, *words]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=1800, cwd=self._folder
        )

    def drift(self, *options: str) -> Moved:
        told = self._folder / "told.json"
        told.unlink(missing_ok=True)
        notify = ("--notify-command", f"tee {told}")
        done = self.run("drift", "-i", str(self.guest.inventory), *notify, *options)
        message = json.loads(told.read_text()) if told.exists() else {}
        sides = [message.get(side) or {"moved": ()} for side in ("found", "left")]
        found, left = ({move["control"] for move in side["moved"] if move["drift"]} for side in sides)
        return Moved(done.returncode, found, left, done.stdout + done.stderr)


@pytest.fixture
def host(boot: Boot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setenv("HARDENER_HOME", str(tmp_path / "home"))
    return Watched(boot("13"), tmp_path)


def test_what_was_broken_by_hand_is_named_repaired_and_proven(host: Watched, tmp_path: Path) -> None:
    shell(host.guest, CONTAINER)
    hardened = host.run("harden", "-i", str(host.guest.inventory), "--allow", "connectivity")
    assert hardened.returncode in (3, 4), hardened.stderr

    for script in BROKEN.values():
        shell(host.guest, f"set -eu\n{script}")
    moved = host.drift()
    assert (moved.code, moved.found) == (6, set(BROKEN)), moved.said

    repaired = host.drift("--remediate", "--allow", "connectivity")
    assert (repaired.code, repaired.found, repaired.left) == (6, set(BROKEN), NOBODYS), repaired.said
    shell(host.guest, WEB.format(""))
    clean = host.drift("--remediate", "--allow", "connectivity")
    assert (clean.code, clean.found) == (0, set()), clean.said

    key = new_key(tmp_path / "key")
    (tmp_path / "allowed_signers").write_text(f'auditor@example.com namespaces="{NAMESPACE}" {public(key)}\n')
    runs = re.findall(r"^([0-9a-f]{8,}) ", host.run("runs").stdout, re.MULTILINE)
    exported = host.run("evidence", "export", *runs, "--out", "bundle.tar.gz", "--sign", str(key))
    assert exported.returncode == 0, exported.stderr
    audit = typed(tmp_path)
    assert audit.returncode == 0, audit.stderr
    assert 'Good "evidence@hardener" signature for auditor@example.com' in audit.stdout
