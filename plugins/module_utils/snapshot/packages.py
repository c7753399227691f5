"""Read installed versions, pending security updates, and the settings of automatic updates."""

from __future__ import annotations

import os

from ..host.errors import Absent, Failed, describe
from ..host.kernels import newest_kernel
from ..host.read import read_bytes
from ..host.run import find_program, run

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

# Packages with a fact of their own: engines, and programs that the roles use for protection.
_NAMES = """
    apparmor apparmor-utils apt-listchanges audit auditd buildah container-selinux containerd containerd.io
    docker docker-buildx docker-buildx-plugin docker-ce docker-ce-cli docker-ce-rootless-extras docker-cli
    docker-compose docker-compose-plugin docker-engine docker.io dnf-automatic firewalld iptables
    iptables-persistent libseccomp2 moby-engine needrestart netfilter-persistent nftables podman runc
    rootlesskit slirp4netns tini ufw uidmap unattended-upgrades
"""
NAMES = tuple(_NAMES.split())
LIMIT = 20


def read() -> dict[str, Any]:
    """Return the source `packages`.

    Raises:
        Absent: the package manager of this host is none that can be asked.
    """
    if os.path.exists("/var/lib/dpkg/status"):
        from . import apt

        return {**apt.read(NAMES), "newest_kernel": newest_kernel("/boot", os.uname().release)}
    if find_program("rpm") and find_program("dnf"):
        return {**_dnf(), "newest_kernel": newest_kernel("/boot", os.uname().release)}
    for name in ("zypper", "apk", "pacman", "rpm"):
        if find_program(name):
            raise Absent(f"hardener does not read packages of {name}")
    raise Absent("no package manager was found")


def _dnf() -> dict[str, Any]:
    installed = {}
    for line in run("rpm", "--query", "--all", "--queryformat", r"%{NAME} %{EVR}\n").splitlines():
        name, _separator, version = line.partition(" ")
        if name in NAMES:
            installed[name] = version
    data: dict[str, Any] = {
        "manager": "dnf",
        "installed": installed,
        "pending_security": None,
        "pending_error": None,
        "holds": [],
        "index_age_s": None,
        "automatic": _settings("/etc/dnf/automatic.conf"),
        "unattended": {"installed": "dnf-automatic" in installed, "origins": []},
        "reboot_required": None,
        "reboot_packages": [],
    }
    try:
        # From the cache only: the package manager's timer updates it from the network.
        listed = run("dnf", "--cacheonly", "--quiet", "updateinfo", "list", "--security", timeout=LIMIT)
        data["pending_security"] = parse_updateinfo(listed)
    except Failed as error:
        data["pending_error"] = describe(error)
    return data


def parse_updateinfo(text: str) -> list[dict[str, Any]]:
    """Parse ``dnf updateinfo list``: advisory, kind and package of pending updates, one per line."""
    pending = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 3 and fields[2].count("-") >= 2:
            name, version, release = fields[2].rpartition(".")[0].rsplit("-", 2)
            pending.append(
                {
                    "name": name,
                    "installed": None,
                    "candidate": f"{version}-{release}",
                    "origin": fields[0],
                    "held": False,
                }
            )
    return pending


def _settings(path: str) -> dict[str, str]:
    """Return the ``name = value`` lines of a configuration file."""
    try:
        text = read_bytes(path).decode("utf-8", "backslashreplace")
    except (OSError, Failed):
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if not line.lstrip().startswith(("#", "[")))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}
