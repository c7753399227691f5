"""Define which docker clients verify signatures of Docker Content Trust, and what turns that off."""

from __future__ import annotations

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Mapping
    from typing import Any

VARIABLE = "DOCKER_CONTENT_TRUST"
ENDS = 29  # the client ignores the variable since 29.0
# Packages that contain the docker client, the most certain ones first.
_PACKAGES = ("docker-ce-cli", "docker-cli", "moby-cli", "docker.io", "docker-ce", "docker", "moby-engine")
_OFF = ("", "0", "f", "F", "false", "FALSE", "False")


def is_on(value: Any) -> bool:
    """Parse DOCKER_CONTENT_TRUST as the docker client does: on for every value except forms of false."""
    return value not in _OFF


def client(installed: Mapping[str, Any]) -> tuple[str, str]:
    """Return the docker client's package with its version, and the version; two empty texts without a client.

    Args:
        installed: version by name of the installed packages.
    """
    for name in _PACKAGES:
        if installed.get(name):
            version = str(installed[name])
            return f"{name} {version}", version.rpartition(":")[2]  # Debian adds an epoch: 5:28.5.2-1
    return "", ""
