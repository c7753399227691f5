"""Read the daemon's declared configuration without secrets: command line, daemon.json, environment."""

from __future__ import annotations

from ..docker import keys
from ..host.errors import Absent

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
