"""Render packages and documents of the role docker_engine.

An engine that starts before it is configured has run unprotected, and has created a data root, a bridge and
firewall rules with default settings. So a condition holds its units before its package is installed, and the
transaction that brings its configuration removes the condition. The condition is a file that must not exist
for the units to start: it needs no timely removal, and survives a reboot in between.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ..contract import DAEMON_RESTART
from .hostview import HostView

_UNITS = ("docker.service", "docker.socket")
_HOLDS = [f"/etc/systemd/system/{unit}.d/hardener-hold.conf" for unit in _UNITS]
_HOLD = (
    "# Written by hardener: Docker is installed, but not configured yet. It does not start while this\n"
    "# file exists; `hardener provision` removes it when it writes the configuration.\n"
    "[Unit]\n"
    f"ConditionPathExists=!{_HOLDS[0]}\n"
)
_KEY_FILES = {"apt": "/etc/apt/keyrings/hardener-docker.asc", "dnf": "/etc/pki/rpm-gpg/hardener-docker.asc"}
_SOURCES = {
    "apt": "/etc/apt/sources.list.d/hardener-docker.sources",
    "dnf": "/etc/yum.repos.d/hardener-docker.repo",
}
# apt takes the first record that names a package: the version has to be before the source, by file name.
_VERSION_PIN = "/etc/apt/preferences.d/hardener-docker-1-version"
_SOURCE_PIN = "/etc/apt/preferences.d/hardener-docker-source"
# The key of Docker's own repositories; other repositories have other keys.
_FINGERPRINTS = {
    "apt": "9DC858229FC7DD38854AE2D88D81803C0EBFCD88",
    "dnf": "060A61C51B558A7F742B77AAC52FEB6B621E9F35",
}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf", "ppc64le": "ppc64el"}
_AMAZON = "amzn"
_DNF_PACKAGES = {"fedora": "moby-engine", _AMAZON: "docker"}  # of other distributions with dnf, there is none
_CLIENT_APART = 13  # the Debian version from which the client has its own package
_FOR_ALL = {"apt": ["apparmor", "ca-certificates"], "dnf": []}
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+/_-]*")
_VERSION = re.compile(r"[A-Za-z0-9*][A-Za-z0-9.+:~*_-]*")
_ADDRESS = re.compile(r"https://[A-Za-z0-9.-]+(?::\d+)?/[A-Za-z0-9._~$/%+-]*")
# Variables that a document depends on, beside the one that it is named after.
DECIDED_BY = {
    "source": (
        "repository_channel",
        "repository_fingerprint",
        "repository_key",
        "repository_suite",
        "repository_url",
    )
}


def state(host: HostView) -> str:
    """Return the host's state: ``missing`` (no engine), ``held`` (installed, not configured) or ``there``."""
    if host.state("engine") == "absent":
        return "missing"
    unit = host.data("units").get(_UNITS[0]) or {}
    return "held" if _HOLDS[0] in unit.get("DropInPaths", ()) else "there"


def details(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the host's ``state`` and its ``packages`` for the tasks of the role."""
    found = state(HostView(snapshot))
    return {"state": found, "packages": packages(snapshot, variables) if found != "there" else {}}


def packages(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to install (``install``, ``manager``), and what to keep at its version (``hold``)."""
    host = HostView(snapshot)
    engine = _engine(host, variables["source"], client=variables["client"])
    version = variables["version"]
    suffix = f"-{version}" if version and _manager(host) == "dnf" else ""
    named = [name + suffix if name in _versioned(engine) else name for name in engine]
    return {
        "manager": _manager(host),
        "install": [*named, *_FOR_ALL.get(_manager(host), ()), *variables["extra_packages"]],
        "hold": engine if variables["hold"] and _manager(host) == "apt" else [],
    }


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the documents from the role's variables."""
    host = HostView(snapshot)
    found = state(host)
    if found == "there":
        return []
    if found == "held":
        return [_start()]
    source, version = variables["source"], variables["version"]
    reason = _unfit(host, source, hold=variables["hold"])
    if reason:
        return [{"name": "docker_engine", "refused": reason}]
    engine = _engine(host, source, client=variables["client"])
    wanted = [_hold()]
    if source == "docker-ce":
        fingerprint = "".join(variables["repository_fingerprint"].split()).upper()
        repository = {
            "url": variables["repository_url"],
            "suite": variables["repository_suite"] or str(host.os.get("VERSION_CODENAME", "")),
            "channel": variables["repository_channel"],
            "key": variables["repository_key"],
            "fingerprints": fingerprints(variables["repository_key"]),
            "fingerprint": fingerprint or _FINGERPRINTS[_manager(host)],
        }
        wanted.append(_repository(host, repository, engine))
    if version:
        wanted.append(_version(host, version, engine))
    return wanted


def _manager(host: HostView) -> str:
    """Return the package manager; empty if it is neither apt nor dnf."""
    family = {str(host.os.get("ID", "")), *str(host.os.get("ID_LIKE", "")).split()}
    return "apt" if family & {"debian", "ubuntu"} else "dnf" if family & {"fedora", "rhel"} else ""


def _unfit(host: HostView, source: str, *, hold: bool) -> str:
    """Return why Docker cannot be installed on this host; empty if it can."""
    if host.system.get("init") != "systemd":
        return "Docker is not installed: systemd, which must delay its start, does not run on this host"
    name = host.os.get("PRETTY_NAME") or host.os.get("ID") or "this system"
    if not _manager(host):
        return f"Docker is not installed: {name} is neither of Debian's family nor of Red Hat's"
    if host.os.get("ID") == _AMAZON and source == "docker-ce":
        return f"Docker has no repository for {name}: set docker_engine_source to distribution"
    if _manager(host) == "dnf" and source == "distribution" and host.os.get("ID") not in _DNF_PACKAGES:
        return f"{name} has no package of Docker: set docker_engine_source to docker-ce"
    if _manager(host) == "dnf" and hold:
        return "docker_engine_hold is for apt only; with dnf, use the plugin versionlock"
    return ""


def _engine(host: HostView, source: str, *, client: bool) -> list[str]:
    """Return the packages of the engine and of its client."""
    if source == "docker-ce":
        return ["docker-ce", *(["docker-ce-cli"] if client else []), "containerd.io"]
    if _manager(host) == "dnf":
        return [_DNF_PACKAGES[host.os["ID"]]]
    version = str(host.os.get("VERSION_ID", ""))
    apart = host.os.get("ID") == "debian" and not (version.isdigit() and int(version) < _CLIENT_APART)
    return ["docker.io", *(["docker-cli"] if client and apart else [])]


def _versioned(engine: Sequence[str]) -> list[str]:
    """Return the packages that have the engine's version."""
    return [package for package in engine if package != "containerd.io"]


def _hold() -> dict[str, Any]:
    """Return the document that keeps the engine from starting while it is installed."""
    return {
        "name": "docker_engine",
        "resources": [{"kind": "file", "path": path, "content": _HOLD} for path in _HOLDS],
        "activations": [{"name": "systemd-reload", "when": _HOLDS}],
    }


def _start() -> dict[str, Any]:
    """Return the document that starts the engine in the same transaction that configures it."""
    return {
        "name": "docker_engine",
        "impact": DAEMON_RESTART,
        "resources": [{"kind": "absent", "path": path} for path in _HOLDS],
        "activations": [{"name": "systemd-reload", "when": _HOLDS}, {"name": "docker", "start": True}],
    }


def _repository(host: HostView, wanted: Mapping[str, Any], engine: Sequence[str]) -> dict[str, Any]:
    """Return the document of a repository and its key; only the engine's packages may come from it."""
    name = "docker_engine_source"
    if wanted["fingerprints"] != [wanted["fingerprint"]]:
        held = ", ".join(wanted["fingerprints"]) or "none that can be read"
        reason = (
            f"docker_engine_repository_key must contain exactly the key {wanted['fingerprint']}, and holds"
        )
        return {"name": name, "refused": f"{reason} {held}"}
    if not _ADDRESS.fullmatch(wanted["url"]):
        reason = "docker_engine_repository_url has to be a plain https address, without a password in it"
        return {"name": name, "refused": reason}
    for field in ("suite", "channel"):
        if not _WORD.fullmatch(wanted[field]) and (_manager(host) == "apt" or field == "channel"):
            reason = f"docker_engine_repository_{field} is {wanted[field]!r}; a plain word is needed"
            return {"name": name, "refused": reason}
    key = {"kind": "file", "path": _KEY_FILES[_manager(host)], "content": wanted["key"].strip() + "\n"}
    resources = _apt(host, wanted, engine) if _manager(host) == "apt" else _dnf(wanted, engine)
    return {"name": name, "resources": [key, *resources]}


def _apt(host: HostView, wanted: Mapping[str, Any], engine: Sequence[str]) -> list[dict[str, Any]]:
    architecture = str(host.system.get("arch", ""))
    architecture = _ARCHITECTURES.get(architecture, architecture)
    sources = (
        "# Written by hardener.\n"
        "Types: deb\n"
        f"URIs: {wanted['url']}\n"
        f"Suites: {wanted['suite']}\n"
        f"Components: {wanted['channel']}\n"
        f"Architectures: {architecture}\n"
        f"Signed-By: {_KEY_FILES['apt']}\n"
    )
    # apt prefers the specific form over the general one: these packages of this origin, and no others.
    origin = urlsplit(wanted["url"]).hostname
    preferences = (
        "# Written by hardener: only these packages are installed from this repository.\n"
        f"Package: {' '.join(engine)}\nPin: origin {origin}\nPin-Priority: 500\n"
        "\n"
        f"Package: *\nPin: origin {origin}\nPin-Priority: -1\n"
    )
    return [
        {"kind": "file", "path": _SOURCES["apt"], "content": sources},
        {"kind": "file", "path": _SOURCE_PIN, "content": preferences},
    ]


def _dnf(wanted: Mapping[str, Any], engine: Sequence[str]) -> list[dict[str, Any]]:
    repository = (
        "# Written by hardener: only these packages are installed from this repository.\n"
        "[hardener-docker]\n"
        "name=Docker\n"
        f"baseurl={wanted['url'].rstrip('/')}/$releasever/$basearch/{wanted['channel']}\n"
        "enabled=1\n"
        "gpgcheck=1\n"
        f"gpgkey=file://{_KEY_FILES['dnf']}\n"
        f"includepkgs={' '.join(engine)}\n"
    )
    return [{"kind": "file", "path": _SOURCES["dnf"], "content": repository}]


def _version(host: HostView, version: str, engine: Sequence[str]) -> dict[str, Any]:
    """Return the document that pins the version for apt; dnf gets it with the package name."""
    name = "docker_engine_version"
    if not _VERSION.fullmatch(version):
        reason = f"docker_engine_version is {version!r}; a version is needed, which may end in *"
        return {"name": name, "refused": reason}
    if _manager(host) != "apt":
        return {"name": name}
    pinned = " ".join(_versioned(engine))
    preferences = (
        "# Written by hardener: apt keeps this version.\n"
        f"Package: {pinned}\nPin: version {version}\nPin-Priority: 990\n"
        "\n"
        f"Package: {pinned}\nPin: release *\nPin-Priority: -1\n"
    )
    return {
        "name": name,
        "resources": [{"kind": "file", "path": _VERSION_PIN, "content": preferences}],
    }


_BLOCK = re.compile(
    r"\s*-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n"
    r"(?:[A-Za-z]+: [^\n]*\n)*\s*"
    r"(?P<data>[A-Za-z0-9+/]+(?:[\r\n]+[A-Za-z0-9+/]+)*=*)\s*"
    r"(?:=[A-Za-z0-9+/]{4}\s*)?"
    r"-----END PGP PUBLIC KEY BLOCK-----\s*"
)
_SIGNATURE, _KEY, _TRUST, _USER, _SUBKEY, _ATTRIBUTE = 2, 6, 12, 13, 14, 17
_OF_A_PUBLIC_KEY = (_SIGNATURE, _KEY, _TRUST, _USER, _SUBKEY, _ATTRIBUTE)
_TWO_OCTETS, _FIVE_OCTETS, _PARTIAL = 192, 255, 224


def fingerprints(armored: str) -> list[str]:
    """Return the fingerprints of the primary keys in uppercase hexadecimal; none if the block is invalid.

    Package managers trust every key in a file: so a block that is not understood completely has no result.
    """
    block = _BLOCK.fullmatch(armored)
    if block is None:
        return []
    try:
        packets = list(_packets(base64.b64decode("".join(block["data"].split()), validate=True)))
    except (binascii.Error, ValueError, IndexError):
        return []
    if any(tag not in _OF_A_PUBLIC_KEY for tag, _body in packets):
        return []
    keys = [body for tag, body in packets if tag == _KEY]
    if any(body[:1] != b"\x04" for body in keys):  # other key versions have other fingerprints
        return []
    return [
        hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest().upper()  # noqa: S324 - RFC 9580
        for body in keys
    ]


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and body of each packet.

    Raises:
        ValueError, IndexError: it is no sequence of whole packets.
    """
    at = 0
    while at < len(data):
        head = data[at]
        at += 1
        if not head & 0x80:
            raise ValueError("no packet begins at this position")
        if head & 0x40:
            tag, first = head & 0x3F, data[at]
            if first < _TWO_OCTETS:
                size, at = first, at + 1
            elif first == _FIVE_OCTETS:
                size, at = int.from_bytes(data[at + 1 : at + 5], "big"), at + 5
            elif first < _PARTIAL:
                size, at = ((first - _TWO_OCTETS) << 8) + data[at + 1] + _TWO_OCTETS, at + 2
            else:
                raise ValueError("a key packet has a partial length")
        else:
            tag, octets = (head & 0x3C) >> 2, 1 << (head & 3)
            if octets > 4:  # the length type without a length
                raise ValueError("a packet has no length")
            size, at = int.from_bytes(data[at : at + octets], "big"), at + octets
        if at + size > len(data):
            raise ValueError("the last packet is incomplete")
        yield tag, data[at : at + size]
        at += size
