"""Find the folders of an engine's extensions: NRI plugins, and descriptions of devices (CDI)."""

from __future__ import annotations

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Mapping
    from typing import Any

# Default folders of the engine.
CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi")
NRI_FOLDERS = {
    "plugin-path": "/usr/libexec/docker/nri-plugins",
    "plugin-config-path": "/etc/docker/nri/conf.d",
}
NRI_SOCKET = "socket-path"


def nri_options(value: Any) -> Mapping[str, Any] | None:
    """Parse the declared ``nri-opts``: an object, or the words of a flag (``enable=true,socket-path=/x``).

    Returns:
        The options; empty where nothing is declared, None where it is neither.
    """
    if isinstance(value, list):
        return dict(word.partition("=")[::2] for text in value for word in str(text).split(","))
    if value is None or isinstance(value, dict):
        return value or {}
    return None
