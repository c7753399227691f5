"""A sample fleet for measurements and pictures: one recorded host, varied like hosts of a real fleet.

Hosts play roles, with containers of their own. A roll-out of hardening reaches them day by day: a protection
comes to each host on a day of its own, and on the last day a host here and there has lost one. The same
number and day give the same host every time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from hardener import catalogue
from hardener.assess import assess, unreachable
from hardener.model import Assessment
from hardener.snapshot import Snapshot
from tests.unit.snapshots import container, hardened, make, merge

BENCHMARK = catalogue.DEFAULT_BENCHMARK
DAYS = 30  # of the roll-out

_ROLES = {
    "web": ("web-frontend", "web-api", "node-exporter"),
    "app": ("orders", "payments", "sessions-redis", "node-exporter"),
    "db": ("postgres-main", "pgbouncer", "node-exporter"),
    "ci": ("gitlab-runner", "registry-mirror", "node-exporter"),
    "edge": ("traefik", "certbot", "node-exporter"),
}
_SOCKET = "/run/docker.sock"
_RUNNER: dict[str, Any] = {  # what a CI runner is given by those who want to build images in it
    "HostConfig": {"Privileged": True, "Binds": [f"{_SOCKET}:{_SOCKET}"]},
    "Mounts": [
        {"Type": "bind", "Source": _SOCKET, "Destination": _SOCKET, "RW": True, "Propagation": "rprivate"}
    ],
    "proc": {"cap_eff": "000001ffffffffff", "cap_bnd": "000001ffffffffff", "seccomp": 0},
}
_RULES = [
    f"-w {path} -p rwxa -k docker"
    for path in (
        *("/usr/sbin/dockerd", "/usr/bin/containerd", "/usr/bin/containerd-shim", "/usr/sbin/runc"),
        *("/usr/bin/containerd-shim-runc-v1", "/usr/bin/containerd-shim-runc-v2", "/run/containerd"),
        *("/var/lib/docker", "/etc/docker", "/etc/default/docker", _SOCKET, "/etc/containerd/config.toml"),
        *("/usr/lib/systemd/system/docker.service", "/usr/lib/systemd/system/docker.socket"),
    )
]
_FILTER = (
    "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n"
    "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\n"
    "-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -i eth0 -j DROP\nCOMMIT\n"
)
_OPTIONS = ("name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns")
# A protection, and the facts of a host that has it.
_PROTECTIONS: dict[str, dict[str, Any]] = {
    "daemon": {
        "daemon.config": {
            "exists": True,
            "parsed": {
                "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 4096}},
                "no-new-privileges": True,
                "userland-proxy": False,
            },
        },
        "engine": {"proxies": 0},
        "docker.info": {"SecurityOptions": [*_OPTIONS, "name=no-new-privileges"]},
    },
    "userns": {
        "docker.info": {"SecurityOptions": [*_OPTIONS, "name=no-new-privileges", "name=userns"]},
    },
    "live-restore": {"docker.info": {"LiveRestoreEnabled": True}},
    "audit": {
        "audit.loaded": {"rules": _RULES},
        "audit.persistent": [{"file": "/etc/audit/audit.rules", "lines": ["-D", *_RULES]}],
    },
    "kernel": {
        "sysctl": {
            "kernel.kptr_restrict": "2",
            "kernel.yama.ptrace_scope": "1",
            "kernel.kexec_load_disabled": "1",
            "net.core.bpf_jit_harden": "2",
            "dev.tty.ldisc_autoload": "0",
        }
    },
    "updates": {
        "packages": {
            "automatic": {
                "APT::Periodic::Update-Package-Lists": "1",
                "APT::Periodic::Unattended-Upgrade": "1",
            },
            "unattended": {"installed": True, "origins": ["origin=Debian,label=Debian-Security"]},
        }
    },
    "firewall": {"firewall": {"iptables": {"ipv4": _FILTER, "ipv6": _FILTER}, "nft": []}},
}


def assessments(hosts: int, *, day: int = DAYS, lost: int = 0, containers: int = 0) -> Iterator[Assessment]:
    """Yield the assessments of the fleet on a day; the last ``lost`` hosts are unreachable.

    Each host runs the containers of its role, and so many in all where that is more.
    """
    for number in range(hosts - lost):
        yield assessment(number, day, containers)
    for number in range(hosts - lost, hosts):
        reason = "ssh: connect to host port 22: Connection timed out"
        yield unreachable(name(number), reason, catalogue.load(BENCHMARK), benchmark=BENCHMARK)


def assessment(number: int, day: int, containers: int = 0) -> Assessment:
    """Return the assessment of one host of the fleet."""
    return assess(snapshot(number, day, containers), catalogue.load(BENCHMARK), benchmark=BENCHMARK)


def name(number: int) -> str:
    """Return the name of a host."""
    return f"{_role(number)}{number // len(_ROLES) + 1:02}.example.com"


def snapshot(number: int, day: int, containers: int = 0) -> Snapshot:
    """Return the snapshot of a host on a day."""
    sources: dict[str, Any] = {}
    for protection, facts in _PROTECTIONS.items():
        if _has(number, protection, day):
            sources = merge(sources, facts)
    running = list(_containers(number, day))
    running += (container(f"batch-{place}-{number:04x}") for place in range(len(running), containers))
    sources["docker.containers"] = running
    if day == DAYS and _lot(number, "somebody in a hurry") % 9 == 0:
        sources["files"] = {"/etc/docker": {"mode": "0777"}}
    made = make(host=name(number), **sources)
    return Snapshot({**made.raw, "collected_at": f"2026-11-{min(day, DAYS) or 1:02}T00:30:00Z"})


def _containers(number: int, day: int) -> Iterator[dict[str, Any]]:
    for title in _ROLES[_role(number)]:
        called = f"{title}-{_lot(number, title) % 0x10000:04x}"  # a deployment names each anew
        if title == "gitlab-runner":
            yield container(called, **_RUNNER)
        elif title == "node-exporter":
            yield hardened(called, HostConfig={"NetworkMode": "host", "PidMode": "host"})
        else:
            yield hardened(called) if _has(number, title, day) else container(called)


def _has(number: int, protection: str, day: int) -> bool:
    lot = _lot(number, protection)
    return lot % (DAYS + DAYS // 3) < day and not (day == DAYS and lot % 29 == 0)


def _lot(number: int, what: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{number} {what}".encode(), digest_size=4).digest())


def _role(number: int) -> str:
    return tuple(_ROLES)[number % len(_ROLES)]
