"""Render the documents of the role content_trust: image verification, and content trust of clients."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..docker import content_trust
from ..host.layout import POLICY, PROGRAMS
from ..subjects.owners import VERIFY_TIMER
from ..trust.findings import PolicyError
from ..trust.policy import parse
from .hostview import HostView
from .program import program, start

_LIBRARY = f"{PROGRAMS}/content_trust"
_LIBRARY_BEFORE = PROGRAMS  # of 0.1.0
_UNITS = "/etc/systemd/system"
_PROFILE = "/etc/profile.d/hardener-content-trust.sh"
_MANAGERS = tuple(
    f"/etc/systemd/{which}.conf.d/50-hardener-content-trust.conf" for which in ("system", "user")
)
_SERVER = re.compile(r"https://[A-Za-z0-9.:\[\]-]+")
_CALENDAR = re.compile(r"[A-Za-z0-9*:.,/ ~-]+")

_SERVICE = f"""\
# Written by hardener.
[Unit]
Description=Verify the images of this host by {POLICY}
Wants=network-online.target
After=network-online.target docker.service

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/hardener-verify-images
TimeoutStartSec=15min
MemoryMax=1G
Nice=10
IOSchedulingClass=idle
UMask=0077
# Only root can read the record; the service writes nothing else.
StateDirectory=hardener hardener/trust
StateDirectoryMode=0700
ProtectSystem=strict
# The service reads root's own registry credentials.
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
# getaddrinfo reads the addresses of this host by netlink.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
"""
_TIMER = """\
# Written by hardener.
[Unit]
Description=Verify the images of this host on a schedule

[Timer]
OnActiveSec=2min
OnCalendar={calendar}
RandomizedDelaySec=30min
Persistent=true

[Install]
WantedBy=timers.target
"""
# Variables that a document depends on, beside the one that it is named after.
DECIDED_BY = {"verify": ("policy", "schedule"), "client": ("server",)}


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the documents from the role's variables."""
    host = HostView(snapshot)
    reason = host.unread("engine", "packages")
    if reason:
        return [{"name": "content_trust", "refused": reason}]
    return [
        {"name": "content_trust_verify", **_verification(variables)},
        {"name": "content_trust_client", **_client(host, variables["client"], variables["server"])},
    ]


# --- verification on the host -------------------------------------------------------------------------------


def _verification(variables: Mapping[str, Any]) -> dict[str, Any]:
    if not variables["verify"]:
        return {"notes": ["content_trust_verify is false: no image is verified here"]}
    schedule = variables["schedule"]
    plain = json.loads(json.dumps(variables["policy"], default=str))  # YAML has dates, JSON has none
    wrong = _no_policy(plain)
    if wrong:
        return {"refused": f"content_trust_policy: {wrong}"}
    if not _CALENDAR.fullmatch(schedule):
        return {"refused": f"content_trust_schedule is not a calendar expression of systemd: {schedule!r}"}
    files = {
        "/usr/local/sbin/hardener-pull": _started("pull", "pull images that the policy accepts"),
        "/usr/local/sbin/hardener-verify-images": _started("main", "verify the present images"),
    }
    units = {
        f"{_UNITS}/hardener-verify-images.service": _SERVICE,
        f"{_UNITS}/{VERIFY_TIMER}": _TIMER.format(calendar=schedule),
    }
    policy_file = {"kind": "file", "path": POLICY, "content": json.dumps(plain, indent=2) + "\n"}
    return {
        "resources": [
            *program(_LIBRARY, "trust", before=[_LIBRARY_BEFORE]),
            *(
                {"kind": "file", "path": path, "content": text, "mode": "0755"}
                for path, text in files.items()
            ),
            {**policy_file, "mode": "0644"},
            *(
                {"kind": "file", "path": path, "content": text, "mode": "0644"}
                for path, text in units.items()
            ),
        ],
        "activations": [
            {"name": "systemd-reload", "when": list(units)},
            {
                "name": "units",
                "when": [],
                "units": {VERIFY_TIMER: {"enabled": True, "active": True}},
            },
        ],
    }


def _started(module: str, what: str) -> str:
    return start(_LIBRARY, f"trust.{module}", what, interpreter="/usr/bin/python3 -IB")


def _no_policy(policy: Any) -> str:
    """Return the error that the on-host program finds in a policy; empty if the policy is valid."""
    try:
        rules = parse(policy).rules
    except PolicyError as error:
        return str(error)
    return "" if rules else "it names no registries, so no image would be trusted"


# --- clients with DOCKER_CONTENT_TRUST ----------------------------------------------------------------------


def _client(host: HostView, client: bool, server: str) -> dict[str, Any]:
    gone = [{"kind": "absent", "path": path} for path in (_PROFILE, *_MANAGERS)]
    if not client:
        return {"notes": ["content_trust_client is false: no docker client is told to ask for signatures"]}
    if not (host.engine.get("binaries") or {}).get("docker"):
        return {"notes": ["there is no docker client on this host that could verify signatures"]}
    version, package = _version(host.data("packages"))
    if version is None:
        return {"refused": "the version of the docker client is not known: it is not from a package"}
    if version >= content_trust.ENDS:
        note = f"{package} ignores DOCKER_CONTENT_TRUST, as every client from 29 on: use hardener-pull"
        return {"resources": gone, "notes": [note]}
    if server and not _SERVER.fullmatch(server):
        return {"refused": f"content_trust_server must be such as https://notary.example.com, not {server!r}"}
    settings = ["DOCKER_CONTENT_TRUST=1", *([f"DOCKER_CONTENT_TRUST_SERVER={server}"] if server else [])]
    why = "# Written by hardener: the docker command requires signatures.\n"
    quoted = " ".join(f'"{setting}"' for setting in settings)
    return {
        "notes": list(_switched_off(host)),
        "costs": "the docker command refuses images without trust data from now on; running containers go on",
        "resources": [
            {"kind": "lines", "path": "/etc/environment", "lines": settings},
            {
                "kind": "file",
                "path": _PROFILE,
                "content": why + "".join(f"export {setting}\n" for setting in settings),
                "mode": "0644",
            },
            *(
                {
                    "kind": "file",
                    "path": path,
                    "content": f"{why}[Manager]\nDefaultEnvironment={quoted}\n",
                    "mode": "0644",
                }
                for path in _MANAGERS
            ),
        ],
        "activations": [{"name": "systemd-reload", "when": list(_MANAGERS)}],
    }


def _switched_off(host: HostView) -> Iterator[str]:
    """Yield files that set DOCKER_CONTENT_TRUST to a value that the client reads as off."""
    for entry in host.data("environment") or ():
        if entry.get("name") == content_trust.VARIABLE and not content_trust.is_on(entry.get("value")):
            yield f"{entry.get('file')} sets {content_trust.VARIABLE} to off: remove that line"


def _version(packages: Mapping[str, Any]) -> tuple[int | None, str]:
    """Return the major version of the docker client, None if unknown; and its package."""
    package, version = content_trust.client(packages.get("installed") or {})
    found = re.match("[0-9]+", version)
    return (int(found[0]) if found else None), package
