"""Read the daemon's declared configuration without secrets: command line, daemon.json, CA files."""

from __future__ import annotations

import os

from ..docker import keys
from ..host.errors import Absent, Failed
from ..host.read import read_text

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

    from ..docker.engine import Engine
    from ..host.redact import Redactor

# Variables that configure a daemon. All others stay on the host.
_VARIABLES = (
    "ALL_PROXY",
    "DOCKER_API_VERSION",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_HOST",
    "DOCKER_MIN_API_VERSION",
    "DOCKER_RAMDISK",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
    "DOCKER_TMPDIR",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LISTEN_FDS",
    "NO_PROXY",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)


def declared(engine: Engine, redactor: Redactor) -> dict[str, Any]:
    """Return the source `daemon.config`, without secrets.

    Raises:
        Absent: no engine is installed.
    """
    if not engine.installed:
        raise Absent("no Docker engine is installed")
    config, where = engine.config, "daemon"
    steering = {name: value for name, value in engine.environment.items() if name in _VARIABLES}
    file = redactor.options(config["parsed"], f"{where} {config['path']}") or {}
    flags = {
        name: [redactor.text(value, f"{where} --{name}") for value in values]
        for name, values in engine.flags.items()
    }
    return {
        "path": config["path"],
        "exists": config["exists"],
        "error": redactor.text(config["error"], where) if config["error"] else None,
        "duplicate_keys": config["duplicate_keys"],
        "declared": keys.declared(file, flags),
        "conflicts": keys.conflicts(file, flags),
        "argv": redactor.words(engine.argv, f"{where} command line"),
        "argv_from": engine.argv_from,
        "unknown_flags": redactor.words(engine.unknown, f"{where} command line"),
        "environment": redactor.options(steering, f"{where} environment"),
    }


# The system's trusted authorities, and folders of a site's additional ones.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_OWN = ("/usr/local/share/ca-certificates", "/etc/pki/ca-trust/source/anchors", "/etc/pki/trust/anchors")
_MAX_OWN = 256
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def authorities(paths: list[str]) -> dict[str, dict[str, Any]]:
    """Return each readable CA file's number of certificates, and of public ones among them."""
    found = {}
    for path in paths:
        try:
            held = _certificates(read_text(path))
        except (OSError, Failed):
            continue
        found[path] = {"certificates": len(held), "public": len(held & _public()) if held else 0}
    return found


def _public() -> set[str]:
    known: set[str] = set()
    for path in _BUNDLES:
        try:
            known |= _certificates(read_text(path))
        except (OSError, Failed):
            continue
    return known - _sites_own()


def _sites_own() -> set[str]:
    known: set[str] = set()
    for folder in _OWN:
        files = [f"{at}/{name}" for at, _folders, names in os.walk(folder) for name in names]
        for path in files[:_MAX_OWN]:
            try:
                known |= _certificates(read_text(path))
            except (OSError, Failed):
                continue
    return known


def _certificates(text: str) -> set[str]:
    """Return the certificates of a PEM file, each as its base64 text without line breaks."""
    blocks = text.split(_BEGIN)[1:]
    return {"".join(block.partition(_END)[0].split()) for block in blocks}
