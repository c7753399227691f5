"""Transactions that must be confirmed, and looks at what a host is left as when they are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.render.program import FILES

from hardener import lab
from tests.hosts.command import hardener
from tests.hosts.play import Run
from tests.hosts.waiting import until
from tests.hosts.workload import CONTAINERS, DAEMON_JSON, running, shell

Document = dict[str, Any]

TIMEOUT = 40  # seconds to confirm: a guest is slow
SHORT = 20  # where no run is confirmed: the shortest timeout that there is
NOT_HERE = {"metrics-addr": "203.0.113.1:9323"}  # an engine does not start with it, and only then says so
UNIT = "/etc/systemd/system/hardener-guard.service"

# All that a run changes or may break; what the guard itself needs is not to be among it afterwards.
STATE = r"""
find /etc -type f -exec sha256sum {} + | sort -k2
find /etc/docker /etc/systemd/system /usr/local -printf '%p %m %u %g %l\n' | sort
systemctl is-active docker ssh
systemctl list-units --all --plain --no-legend 'hardener-*' | awk '{print $1}'
docker ps --all --format '{{.Names}} {{.State}}' | sort
docker info --format '{{.LiveRestoreEnabled}} {{.LoggingDriver}}'
iptables -S INPUT; iptables-save | grep -c HARDENER
"""


def engine(**keys: Any) -> Document:
    """What costs a restart of the engine."""
    docker = {"name": "docker", "when": [DAEMON_JSON]}
    resource = {"kind": "json", "path": DAEMON_JSON, "keys": {"live-restore": True, **keys}}
    return {
        "name": "engine",
        "impact": "daemon-restart",
        "resources": [resource],
        "activations": [docker],
    }


def packet_filter(*rules: str) -> Document:
    """The rules of the role firewall, as a person would write them who forgets ssh."""
    text = "\n".join(["*filter", ":HARDENER-INPUT - [0:0]", *rules, "COMMIT", ""])
    paths = {
        "/etc/hardener/firewall/inbound.ipv4": (text, "0600"),
        "/usr/local/sbin/hardener-firewall": ((FILES / "hardener-firewall").read_text(), "0755"),
        "/etc/systemd/system/hardener-firewall.service": (
            (FILES / "hardener-firewall.service").read_text(),
            "0644",
        ),
    }
    return {
        "name": "packet_filter",
        "impact": "connectivity",
        "resources": [
            {"kind": "file", "path": path, "content": content, "mode": mode}
            for path, (content, mode) in paths.items()
        ],
        "activations": [
            {"name": "systemd-reload", "when": list(paths)},
            {"name": "firewall", "when": list(paths)},
        ],
    }


LOCKED_OUT = {
    "and open connections stay": [
        "-A HARDENER-INPUT -i lo -j RETURN",
        "-A HARDENER-INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
        "-A HARDENER-INPUT -p tcp -m tcp --dport 22 -j DROP",
    ],
    "and open connections end": [
        "-A HARDENER-INPUT -i lo -j RETURN",
        "-A HARDENER-INPUT -p tcp -m tcp --dport 22 -j DROP",
    ],
}


def play(
    guest: lab.Guest,
    folder: Path,
    *documents: Document,
    timeout: float = TIMEOUT,
    allow: str = "connectivity",
) -> Run:
    """A transaction of these documents that may cost the connection."""
    return Run(
        guest,
        folder,
        documents=documents,
        converge_allow=allow,
        converge_confirm_timeout=timeout,
    )


def record(guest: lab.Guest) -> dict[str, Any]:
    """How the last run on a host ended."""
    text = shell(guest, "cat $(ls -d /var/lib/hardener/backups/* | tail -n 1)/result.json")
    found: dict[str, Any] = json.loads(text)
    return found


# What a transaction has running: its scope, and the units of its guard.
RUNNING = "systemctl list-units --all --plain --no-legend 'hardener-*.scope' 'hardener-guard*'"


def last_run(guest: lab.Guest) -> str:
    """The id of the last run on a host."""
    return shell(guest, "ls /var/lib/hardener/backups | tail -n 1").strip()


def settled(guest: lab.Guest) -> None:
    """Wait until nothing is left to be confirmed or rolled back."""
    until(guest, "test ! -e /var/lib/hardener/journal.json")
    lock = "/var/lib/hardener/lock"
    until(guest, f"test ! -e {lock} || flock --nonblock {lock} true")
    until(guest, f'test -z "$({RUNNING})"')


def background(guest: lab.Guest, script: str) -> None:
    """Have the guest do something by itself, whatever becomes of us."""
    guest.ssh("systemd-run", "--quiet", "--collect", "sh", "-c", script)


def once(condition: str) -> str:
    """Shell that waits for a condition."""
    return f"until {condition}; do sleep 0.05; done 2>/dev/null"


JOURNAL = "test -e /var/lib/hardener/journal.json"
RESTARTING = "grep -q 'stage.*restart' /var/lib/hardener/journal.json"
UNCONFIRMED = "grep -q '\"unconfirmed\"' /var/lib/hardener/journal.json"


def assert_lockout_is_rolled_back(
    host: lab.Guest, folder: Path, rules: list[str], *, workloads: int = 2
) -> None:
    """Load rules that refuse ssh: the run is not confirmed, and the host itself restores what was before."""
    before, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    assert len(containers) == workloads
    done = play(host, folder, packet_filter(*rules), timeout=SHORT).result()
    assert (done["outcome"], done["failed"]) == ("rolled_back", True), done
    assert f"not confirmed within {SHORT} s: " in done["reason"]
    assert "rolled back, everything is as it was before" in done["msg"]
    settled(host)
    assert shell(host, STATE) == before
    assert running(shell(host, CONTAINERS)) == containers
    assert record(host)["outcome"] == "rolled_back"
    audit = hardener("audit", host.inventory, "--exit-zero")
    assert f"rolled back: not confirmed within {SHORT} s" in audit.stdout
