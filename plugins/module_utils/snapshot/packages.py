"""Read installed versions, pending security updates, and the settings of automatic updates."""

from __future__ import annotations

import os
import re
import time
from glob import glob

from ..host.debian import newer, sort_key
from ..host.errors import Absent, Failed, describe
from ..host.kernels import newest_kernel
from ..host.read import read_bytes
from ..host.run import find_program, run
from ..host.text import one_line

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Mapping
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
_CACHES = ("/var/cache/dnf", "/var/cache/libdnf5")
_UPDATE = re.compile(r"(\S+)\s.*?\s(\S+)-([^-\s]+)-([^-\s]+)\.\w+(?:\s|$)")
_REBOOT = re.compile(r"^[ \t]{1,8}\* (\S+)", re.MULTILINE)
_HEADINGS = ("Last metadata expiration check", "Name ")
_MOST_LISTS = 8
_MAX_LIST = 32 * 1024 * 1024
_DOCKER_CE = re.compile(
    r'<name>docker-ce</name>\s*(?:<arch>\w+</arch>\s*)?<version epoch="(\d+)" ver="([\w.~]+)" rel="([\w.~]+)"'
)


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
    queried = run("rpm", "--query", "--all", "--queryformat", r"%{NAME} %{EVR}\n").splitlines()
    versions = {name: version for name, _separator, version in (line.partition(" ") for line in queried)}
    installed = {name: versions[name] for name in NAMES if name in versions}
    reboot = _reboot()
    data: dict[str, Any] = {
        "manager": "dnf",
        "installed": installed,
        "pending_security": None,
        "pending_error": None,
        "holds": [],
        "index_age_s": _index_age(),
        "docker_index": docker_index(installed["docker-ce"]) if "docker-ce" in installed else None,
        "automatic": _settings("/etc/dnf/automatic.conf"),
        "unattended": {"installed": "dnf-automatic" in installed, "origins": []},
        "reboot_required": None if reboot is None else bool(reboot),
        "reboot_packages": reboot or [],
    }
    try:
        # From the cache only: the package manager's timer updates it from the network.
        listed = run("dnf", "--cacheonly", "--quiet", "updateinfo", "list", "--security", timeout=LIMIT)
        data["pending_security"] = parse_updateinfo(listed, versions)
    except Failed as error:
        data["pending_error"] = describe(error)
    return data


def _index_age() -> int | None:
    """Return the seconds since dnf last found a repository with advisories current; None without one.

    Without lists, ``dnf --cacheonly`` reports no update, and no error.
    """
    is_dnf5 = os.path.realpath(find_program("dnf") or "").endswith("dnf5")
    lists = glob(f"{_CACHES[is_dnf5]}/*/repodata/*updateinfo.xml*")
    folders = {os.path.dirname(path) for path in lists}
    times = [os.stat(path).st_mtime for folder in folders for path in glob(f"{folder}/*")]
    return max(0, int(time.time() - max(times))) if times else None


def _reboot() -> list[str] | None:
    """Return the updated packages that require a reboot; None if that is unknown."""
    try:
        said = run("dnf", "--cacheonly", "needs-restarting", "--reboothint", timeout=LIMIT, codes=(0, 1))
    except (Absent, Failed):
        return None
    if "Reboot is required" in said:
        return _REBOOT.findall(said) or ["unknown packages"]
    return [] if "Reboot should not be necessary" in said else None


def docker_index(installed: str) -> dict[str, Any] | None:
    """Return the newest docker-ce in dnf's lists of Docker's repositories, its date, and if it is newer."""
    import bz2
    import gzip
    import lzma

    opens: dict[str, Any] = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open, "xml": open}
    found = []
    lists = [path for cache in _CACHES for path in glob(f"{cache}/docker*/repodata/*primary.xml*")]
    for path in sorted(lists)[:_MOST_LISTS]:
        try:
            with opens[path.rpartition(".")[2]](path, "rb") as stream:  # zst has no module yet
                text = stream.read(_MAX_LIST).decode("utf-8", "replace")
            date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(os.stat(path).st_mtime))
        except (KeyError, OSError, EOFError, lzma.LZMAError):
            continue
        for epoch, version, release in _DOCKER_CE.findall(text):
            found.append((f"{epoch}:{version}-{release}", date))
    if not found:
        return None
    newest, date = max(found, key=lambda each: sort_key(each[0]))
    update = pending("docker-ce", installed, newest, "Docker")
    return {"newest": newest, "date": date, "updates": [update] if newer(newest, installed) else []}


def pending(
    name: str, installed: str | None, candidate: str, origin: str, *, held: bool = False
) -> dict[str, Any]:
    """Return a pending update of a package, with the index or the advisory that has it."""
    return {"name": name, "installed": installed, "candidate": candidate, "origin": origin, "held": held}


def parse_updateinfo(text: str, installed: Mapping[str, str]) -> list[dict[str, Any]]:
    """Parse ``dnf updateinfo list``, one pending update per line: the columns of dnf 4 or of dnf 5.

    Raises:
        Failed: a line is of neither form.
    """
    updates = []
    for line in text.splitlines():
        found = _UPDATE.match(line)
        if found:
            advisory, name, version, release = found.groups()
            updates.append(pending(name, installed.get(name), f"{version}-{release}", advisory))
        elif line.strip() and not line.startswith(_HEADINGS):
            raise Failed(f"dnf updateinfo printed {one_line(line)!r}, which is no update")
    return updates


def _settings(path: str) -> dict[str, str]:
    """Return the ``name = value`` lines of a configuration file."""
    try:
        text = read_bytes(path).decode("utf-8", "backslashreplace")
    except (OSError, Failed):
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if not line.lstrip().startswith(("#", "[")))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}
