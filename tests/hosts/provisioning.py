"""What a provisioned host tells of its engine's starts."""

from __future__ import annotations

import json

from hardener import lab
from tests.hosts.workload import shell

HOLD = "/etc/systemd/system/docker.service.d/hardener-hold.conf"
# What others use to keep a daemon from starting, and have to remove in time.
LEFT_BEHIND = """
ls /usr/sbin/policy-rc.d /etc/systemd/system/docker.service /run/systemd/system/docker.service 2>/dev/null
systemctl list-unit-files --state=masked,masked-runtime --no-legend | grep -e docker -e containerd
true
"""


def starts(guest: lab.Guest) -> list[str]:
    """Moments of every start of the engine, in microseconds since the epoch."""
    journal = shell(
        guest, "journalctl --unit=docker.service --output=json --output-fields=MESSAGE,_PID --quiet"
    )
    entries = [json.loads(line) for line in journal.splitlines()]
    said = [entry for entry in entries if 'msg="Starting up"' in str(entry["MESSAGE"])]
    return [entry["__REALTIME_TIMESTAMP"] for entry in said]


def settled(guest: lab.Guest) -> dict[str, object]:
    """What the engine itself says of its configuration."""
    info = json.loads(shell(guest, "docker info --format '{{json .}}'"))
    return {
        "live-restore": info["LiveRestoreEnabled"],
        "userns": "name=userns" in info["SecurityOptions"],
        "no-new-privileges": "name=no-new-privileges" in info["SecurityOptions"],
        "driver": info["LoggingDriver"],
    }
