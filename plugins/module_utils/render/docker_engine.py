"""From a snapshot and the role's variables to packages, and to the documents that `converge` makes true.

An engine that starts before it is configured has run unprotected, and has made a data root, a bridge and
firewall rules by its own taste. So its units are held by a condition before its package comes, and are let go
in the transaction that brings its configuration. The condition is a file that says "not while I am here": it
needs nobody to take it back in time, and survives a reboot in the middle.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from .openpgp import fingerprints

_UNITS = ("docker.service", "docker.socket")
_HOLDS = [f"/etc/systemd/system/{unit}.d/hardener-hold.conf" for unit in _UNITS]
_HOLD = (
    "# Written by hardener: Docker is installed and has yet to be configured. It does not start while this\n"
    "# file is here; `hardener provision` removes it in the step that brings the configuration.\n"
    "[Unit]\n"
    f"ConditionPathExists=!{_HOLDS[0]}\n"
)
_KEY_FILES = {"apt": "/etc/apt/keyrings/hardener-docker.asc", "dnf": "/etc/pki/rpm-gpg/hardener-docker.asc"}
_SOURCES = {
    "apt": "/etc/apt/sources.list.d/hardener-docker.sources",
    "dnf": "/etc/yum.repos.d/hardener-docker.repo",
}
_PREFERENCES = "/etc/apt/preferences.d/hardener-docker"
# What Docker signs its own repositories with; another is for whoever has another repository.
_FINGERPRINTS = {
    "apt": "9DC858229FC7DD38854AE2D88D81803C0EBFCD88",
    "dnf": "060A61C51B558A7F742B77AAC52FEB6B621E9F35",
}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf", "ppc64le": "ppc64el"}
_CLIENT_APART = 13  # the Debian from which the client is a package of its own
_FOR_ALL = {"apt": ["apparmor", "ca-certificates"], "dnf": []}
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+/_-]*")
_VERSION = re.compile(r"[A-Za-z0-9*][A-Za-z0-9.+:~*_-]*")
_ADDRESS = re.compile(r"https://[A-Za-z0-9.-]+(?::\d+)?/[A-Za-z0-9._~$/%+-]*")


def state(snapshot: Mapping[str, Any]) -> str:
    """How far a host is: ``missing`` (no engine), ``held`` (installed, to be configured) or ``there``."""
    sources = snapshot["sources"]
    if sources.get("engine", {}).get("state") == "absent":
        return "missing"
    units = sources.get("units", {}).get("data") or {}
    return "held" if _HOLDS[0] in (units.get(_UNITS[0]) or {}).get("DropInPaths", ()) else "there"


def details(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the host's ``state`` and its ``packages`` for the tasks of the role."""
    found = state(snapshot)
    return {"state": found, "packages": packages(snapshot, variables) if found != "there" else {}}


def packages(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """What to install (``install``) by what (``manager``), and what is to stay at its version (``hold``)."""
    host = _Host(snapshot)
    engine = host.engine(variables["source"], client=variables["client"])
    version = variables["version"]
    suffix = f"-{version}" if version and host.manager == "dnf" else ""
    named = [name + suffix if name in _versioned(engine) else name for name in engine]
    return {
        "manager": host.manager,
        "install": [*named, *_FOR_ALL.get(host.manager, ()), *variables["extra_packages"]],
        "hold": engine if variables["hold"] and host.manager == "apt" else [],
    }


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the documents by the role's variables."""
    found = state(snapshot)
    if found == "there":
        return []
    if found == "held":
        return [_start(snapshot)]
    host = _Host(snapshot)
    source, version = variables["source"], variables["version"]
    reason = host.unfit(source, hold=variables["hold"])
    if reason:
        return [{"name": "docker_engine", "refused": reason}]
    engine = host.engine(source, client=variables["client"])
    wanted = [_hold()]
    if source == "docker-ce":
        fingerprint = "".join(variables["repository_fingerprint"].split()).upper()
        repository = {
            "url": variables["repository_url"],
            "suite": variables["repository_suite"] or host.codename,
            "channel": variables["repository_channel"],
            "key": variables["repository_key"],
            "fingerprints": fingerprints(variables["repository_key"]),
            "fingerprint": fingerprint or _FINGERPRINTS[host.manager],
        }
        wanted.append(_repository(host, repository, engine))
    if version:
        wanted.append(_version(host, version, engine))
    return wanted


class _Host:
    """What the packages depend on."""

    def __init__(self, snapshot: Mapping[str, Any]) -> None:
        self._system: Mapping[str, Any] = snapshot["sources"]["system"].get("data") or {}
        release: Mapping[str, Any] = self._system.get("os") or {}
        self.id = str(release.get("ID", ""))
        self.name = str(release.get("PRETTY_NAME") or self.id or "this system")
        self.codename = str(release.get("VERSION_CODENAME", ""))
        self._version = str(release.get("VERSION_ID", ""))
        family = {self.id, *str(release.get("ID_LIKE", "")).split()}
        self.manager = (
            "apt" if family & {"debian", "ubuntu"} else "dnf" if family & {"fedora", "rhel"} else ""
        )

    @property
    def architecture(self) -> str:
        """What Debian calls it."""
        arch = str(self._system.get("arch", ""))
        return _ARCHITECTURES.get(arch, arch)

    def unfit(self, source: str, *, hold: bool) -> str:
        """Why nothing can be installed here; empty where it can."""
        if self._system.get("init") != "systemd":
            return (
                "Docker is not installed: the host is not run by systemd, which has to keep it from starting"
            )
        if not self.manager:
            return f"Docker is not installed: {self.name} is neither of Debian's family nor of Red Hat's"
        if self.manager == "dnf" and source == "distribution" and self.id != "fedora":
            return f"{self.name} has no package of Docker: set docker_engine_source to docker-ce"
        if self.manager == "dnf" and hold:
            return "docker_engine_hold is for apt: dnf has its plugin versionlock for that"
        return ""

    def engine(self, source: str, *, client: bool) -> list[str]:
        """Packages of the engine itself and of its client."""
        if source == "docker-ce":
            return ["docker-ce", *(["docker-ce-cli"] if client else []), "containerd.io"]
        if self.manager == "dnf":
            return ["moby-engine"]
        apart = self.id == "debian" and not (self._version.isdigit() and int(self._version) < _CLIENT_APART)
        return ["docker.io", *(["docker-cli"] if client and apart else [])]


def _versioned(engine: Sequence[str]) -> list[str]:
    """The packages that have the engine's version."""
    return [package for package in engine if package != "containerd.io"]


def _hold() -> dict[str, Any]:
    """Keep the engine from starting while it is installed."""
    return {
        "name": "docker_engine",
        "resources": [{"kind": "file", "path": path, "content": _HOLD} for path in _HOLDS],
        "activations": [{"name": "systemd-reload", "when": _HOLDS}],
    }


def _start(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """Let it start on the configuration that the same transaction brings; if that fails, hold it again."""
    sources = snapshot["sources"]
    engine = sources["engine"].get("data") or {}
    config = sources.get("daemon.config", {}).get("data") or {}
    docker = {
        "name": "docker",
        "config": str(config.get("path") or "/etc/docker/daemon.json"),
        "socket": engine.get("socket") or "/run/docker.sock",
        "unit": _UNITS[0],
        "start": True,
    }
    return {
        "name": "docker_engine",
        "impact": "daemon-restart",
        "resources": [{"kind": "absent", "path": path} for path in _HOLDS],
        "activations": [{"name": "systemd-reload", "when": _HOLDS}, docker],
    }


def _repository(host: _Host, wanted: Mapping[str, Any], engine: Sequence[str]) -> dict[str, Any]:
    """A repository that may bring the engine and nothing else, and its key."""
    name = "docker_engine_source"
    if wanted["fingerprints"] != [wanted["fingerprint"]]:
        held = ", ".join(wanted["fingerprints"]) or "none that can be read"
        reason = (
            f"docker_engine_repository_key has to hold exactly the key {wanted['fingerprint']}, and holds"
        )
        return {"name": name, "refused": f"{reason} {held}"}
    if not _ADDRESS.fullmatch(wanted["url"]):
        reason = "docker_engine_repository_url has to be a plain https address, without a password in it"
        return {"name": name, "refused": reason}
    for field in ("suite", "channel"):
        if not _WORD.fullmatch(wanted[field]) and (host.manager == "apt" or field == "channel"):
            reason = f"docker_engine_repository_{field} is {wanted[field]!r}; a plain word is needed"
            return {"name": name, "refused": reason}
    key = {"kind": "file", "path": _KEY_FILES[host.manager], "content": wanted["key"].strip() + "\n"}
    resources = _apt(host, wanted, engine) if host.manager == "apt" else _dnf(wanted, engine)
    return {"name": name, "resources": [key, *resources]}


def _apt(host: _Host, wanted: Mapping[str, Any], engine: Sequence[str]) -> list[dict[str, Any]]:
    sources = (
        "# Written by hardener.\n"
        "Types: deb\n"
        f"URIs: {wanted['url']}\n"
        f"Suites: {wanted['suite']}\n"
        f"Components: {wanted['channel']}\n"
        f"Architectures: {host.architecture}\n"
        f"Signed-By: {_KEY_FILES['apt']}\n"
    )
    # The specific form wins over the general one: of this origin, these packages and no others.
    origin = urlsplit(wanted["url"]).hostname
    preferences = (
        "# Written by hardener: this repository brings these packages and no others.\n"
        f"Package: {' '.join(engine)}\nPin: origin {origin}\nPin-Priority: 500\n"
        "\n"
        f"Package: *\nPin: origin {origin}\nPin-Priority: -1\n"
    )
    return [
        {"kind": "file", "path": _SOURCES["apt"], "content": sources},
        {"kind": "file", "path": f"{_PREFERENCES}-source", "content": preferences},
    ]


def _dnf(wanted: Mapping[str, Any], engine: Sequence[str]) -> list[dict[str, Any]]:
    repository = (
        "# Written by hardener: this repository brings these packages and no others.\n"
        "[hardener-docker]\n"
        "name=Docker\n"
        f"baseurl={wanted['url'].rstrip('/')}/$releasever/$basearch/{wanted['channel']}\n"
        "enabled=1\n"
        "gpgcheck=1\n"
        f"gpgkey=file://{_KEY_FILES['dnf']}\n"
        f"includepkgs={' '.join(engine)}\n"
    )
    return [{"kind": "file", "path": _SOURCES["dnf"], "content": repository}]


def _version(host: _Host, version: str, engine: Sequence[str]) -> dict[str, Any]:
    """This version and no other, where apt is asked; dnf is given it with the name."""
    name = "docker_engine_version"
    if not _VERSION.fullmatch(version):
        reason = f"docker_engine_version is {version!r}; a version is needed, which may end in *"
        return {"name": name, "refused": reason}
    if host.manager != "apt":
        return {"name": name}
    pinned = " ".join(_versioned(engine))
    preferences = (
        "# Written by hardener: this version and no other.\n"
        f"Package: {pinned}\nPin: version {version}\nPin-Priority: 990\n"
        "\n"
        f"Package: {pinned}\nPin: release *\nPin-Priority: -1\n"
    )
    return {
        "name": name,
        "resources": [{"kind": "file", "path": f"{_PREFERENCES}-version", "content": preferences}],
    }
