"""The transaction that is interrupted: one of everything that a run changes on a host."""

from __future__ import annotations

from typing import Any

from tests.unit.plugins.module_utils.render.rendering import documents_of
from tests.unit.snapshots import make, only

CONFIG = "/etc/docker/daemon.json"
SETTINGS = "/etc/sysctl.d/90-hardener.conf"
UNIT = "hardener-example.timer"
KEY = "/srv/app/key"
OLD = "/etc/sysctl.d/10-old.conf"
# One is this machine's, and stands in for; one is the network's own.
VALUES = {"kernel.kptr_restrict": "2", "net.ipv4.conf.all.log_martians": "1"}
BEFORE = {"kernel.kptr_restrict": "1", "net.ipv4.conf.all.log_martians": "0"}
_UNIT = """\
[Unit]
Description=An example of hardener
[Timer]
OnCalendar=daily
[Install]
WantedBy=timers.target
"""
KEYS = {"live-restore": True, "no-new-privileges": True}
SECONDS = 60
TOKEN = "feedface"

# What the packages of the distribution and its administrator bring; a bare host has the engine alone.
BROUGHT = {CONFIG: '{\n  "live-restore": true\n}\n', OLD: "kernel.kptr_restrict = 1\n"}
FILES = {
    **BROUGHT,
    KEY: "secret\n",
    "/etc/audit/rules.d/10-site.rules": "-w /etc/passwd -p wa -k site\n",
    "/etc/audit/rules.d/audit.rules": "-D\n-b 8192\n--backlog_wait_time 60000\n-f 1\n",  # Debian's
}


def documents() -> list[dict[str, Any]]:
    """The documents, those of the firewall and of the audit rules as their roles render them."""
    engine = {
        "name": "docker",
        "when": [CONFIG],
        "expect": {"security": ["no-new-privileges"], "info": {"LiveRestoreEnabled": True}},
        "timeout": 30,
    }
    snapshot = make(
        firewall=only({"iptables": {"variant": None, "ipv4": "", "ipv6": ""}, "nft": None, "errors": {}})
    )
    firewall = documents_of("firewall")(
        snapshot.raw,
        inbound=True,
        docker_user=True,
        allow=[],
        ssh_ports=[],
        ssh_sources=[],
        published=[],
        published_others="accept",
        forward=[],
    )
    audit = documents_of("audit_rules")(snapshot.raw, enabled=True, backlog=8192, exclude=[])
    lines = "".join(f"{key} = {value}\n" for key, value in VALUES.items())
    return [
        {
            "name": "docker_daemon_no_new_privileges",
            "impact": "daemon-restart",
            "resources": [{"kind": "json", "path": CONFIG, "keys": KEYS}],
            "activations": [engine],
        },
        *firewall,
        *audit,
        {
            "name": "kernel_settings_enabled",
            "resources": [
                {"kind": "file", "path": SETTINGS, "content": lines},
                {"kind": "absent", "path": OLD},
            ],
            "activations": [{"name": "sysctl", "when": [SETTINGS], "values": VALUES}],
        },
        {
            "name": "example_timer",
            "resources": [{"kind": "file", "path": f"/etc/systemd/system/{UNIT}", "content": _UNIT}],
            "activations": [
                {"name": "systemd-reload", "when": [f"/etc/systemd/system/{UNIT}"]},
                {"name": "units", "units": {UNIT: {"enabled": True, "active": True}}},
            ],
        },
        {
            "name": "files_key",
            "resources": [
                {"kind": "attributes", "path": KEY, "owner": "root", "group": "root", "at_most": "0600"}
            ],
        },
    ]
