"""Render the document of the TLS settings: an engine on TCP accepts only clients with a site certificate."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from ..contract import CONNECTIVITY, DAEMON_RESTART
from .hostview import HostView

FOLDER = "/etc/docker/tls"

_NAME = "docker_daemon_tls"
_FILES = {"ca": "tlscacert", "cert": "tlscert", "key": "tlskey"}
_KEYS = ("tls", "tlsverify", *_FILES.values())
_OURS = {key: f"{FOLDER}/{name}.pem" for name, key in _FILES.items()}
_PORT = 2376
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - they are compared with


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the document, if the API is on TCP.

    Args:
        snapshot: of the host.
        variables: the role's, and the inventory's name of the host (``host``).
    """
    host = HostView(snapshot)
    api = _api(host)
    files = variables["tls_files"]
    if not variables["tls"] or not api.addresses or api.protected_by_others:
        return []
    flags = [flag for flag in map(host.flag, _KEYS) if flag]
    if flags:
        reason = (
            f"the engine's command line sets {', '.join(flags)}, and the engine accepts clients without a"
            " certificate of the site: remove these flags from the unit, so that TLS can be set in"
            f" {host.config_path}"
        )
        return [{"name": _NAME, "refused": reason}]
    if files and set(files) != set(_FILES):
        return [{"name": _NAME, "refused": "docker_daemon_tls_files needs ca, cert and key"}]
    return [_document(host, api, files, generated_files(variables["tls_directory"], variables["host"]))]


def names(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[str]:
    """Return the names for a new certificate of this host; none if no certificate is needed.

    Args:
        snapshot: of the host.
        variables: the role's, and the inventory's name of the host (``host``) and its ``address`` there.
    """
    host = HostView(snapshot)
    api = _api(host)
    if not variables["tls"] or variables["tls_files"] or not api.addresses or api.protected_by_others:
        return []
    bound = [address.name for address in api.addresses if address.name not in _EVERYWHERE]
    # Names that a host reports itself are not certified by a shared authority: a host could claim another
    # one's name.
    alone = variables["host"] in variables["tls_directory"].split("/")
    said = [*bound, str(host.system.get("hostname") or "")] if alone else []
    known_as = (variables["host"], variables["address"], *variables["tls_names"])
    return list(dict.fromkeys(name for name in (*known_as, *said, "localhost", "127.0.0.1", "::1") if name))


def generated_files(directory: str, host: str) -> dict[str, str]:
    """Return the paths of the files that the action ``daemon_certificates`` creates for a host.

    Args:
        directory: on the controller; ``~`` and environment variables are expanded there.
        host: its inventory name.
    """
    folder = Path(os.path.expandvars(directory)).expanduser()
    server = folder / "servers" / quote(host, safe="")
    return {
        "ca": str(folder / "ca.pem"),
        "cert": f"{server}.pem",
        "key": f"{server}-key.pem",
        "client": str(folder / "client"),
    }


class _Address(NamedTuple):
    """A TCP socket of the API."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


class _Api(NamedTuple):
    """The declared addresses and TLS settings of the API on a host."""

    addresses: tuple[_Address, ...]
    files: Mapping[str, str]  # declared certificate files
    verified: bool  # clients need a certificate of a named authority

    @property
    def protected_by_others(self) -> bool:
        """Return whether certificates that hardener did not issue protect the API."""
        return self.verified and self.files != _OURS


def _api(host: HostView) -> _Api:
    files = {key: str(host.setting(key)) for key in _FILES.values() if host.setting(key)}
    by_flag = bool(host.flag("tlsverify"))  # then the engine uses default paths for the files
    return _Api(
        addresses=() if host.rootless else tuple(_addresses(host)),
        files=files,
        verified=host.setting("tlsverify") is True and (by_flag or len(files) == len(_FILES)),
    )


def _addresses(host: HostView) -> Iterator[_Address]:
    declared = host.hosts
    if any(each.startswith("fd://") for each in declared):
        declared = [*declared, *map(str, (host.data("units").get("docker.socket") or {}).get("Listen") or ())]
    for each in declared:
        address = _tcp(each)
        if address is not None:
            yield address


def _tcp(host: str) -> _Address | None:
    """Return the TCP address of a declared or systemd socket; None for other sockets."""
    text = host.removesuffix("(Stream)").strip()
    if text.isdigit():
        return _Address("", int(text))
    if text.startswith("/") or ("://" in text and not text.startswith("tcp://")):
        return None
    try:
        parts = urlsplit(text if "://" in text else f"tcp://{text}")
        return _Address(parts.hostname or "", parts.port or _PORT)
    except ValueError:
        return None


def _document(
    host: HostView, api: _Api, files: Mapping[str, str], certificates: Mapping[str, str]
) -> dict[str, Any]:
    paths = {key: files[name] if files else _OURS[key] for name, key in _FILES.items()}
    resources: list[dict[str, Any]] = [
        {"kind": "json", "path": host.config_path, "keys": {"tlsverify": True, **paths}}
    ]
    addresses = ", ".join(f"tcp://{address}" for address in api.addresses)
    notes = []
    if not files:
        made = {"kind": "file", "owner": "root", "group": "root"}
        resources += [
            {**made, "path": _OURS["tlscacert"], "content_from": certificates["ca"], "mode": "0444"},
            {**made, "path": _OURS["tlscert"], "content_from": certificates["cert"], "mode": "0444"},
            {
                **made,
                "path": _OURS["tlskey"],
                "content_from": certificates["key"],
                "mode": "0400",
                "secret": True,
            },
        ]
        notes.append(
            f"clients of {addresses} need --tlsverify and the files in {certificates['client']} on the"
            " control node (DOCKER_CERT_PATH); a client that has them is root on the host"
        )
    docker = {
        "name": "docker",
        "when": [host.config_path, *paths.values()],
        "expect": {"guarded": [str(address) for address in api.addresses]},
    }
    new = not api.verified
    return {
        "name": _NAME,
        "impact": CONNECTIVITY if new else DAEMON_RESTART,
        "costs": f"connections to {addresses} without a certificate are refused" if new else "",
        "resources": resources,
        "activations": [docker],
        "notes": notes,
    }
