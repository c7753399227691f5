"""Find the engine that the local docker client uses, or why its containers cannot be reached.

The commands for workloads inspect processes, so they need root on the machine that runs the containers. They
choose the engine in docker's own order: DOCKER_HOST, DOCKER_CONTEXT, the context in its configuration.
"""

from __future__ import annotations

import hashlib
import posixpath
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hardener import bounded
from hardener.errors import HardenerError
from hardener.text import line

_SYSTEM = frozenset({"/run/docker.sock", "/var/run/docker.sock"})
_LARGEST = 1 << 20  # bytes of a configuration file of docker
_MOST_VALUES = 10_000
_OVER_SSH = "give the host of the engine as an inventory for ssh, such as -i 'db01,'"


def engine_socket(environment: Mapping[str, str], *, platform: str = sys.platform) -> str:
    """Return the API socket of the engine that docker on this machine uses; empty for the system's default.

    Args:
        environment: the variables of this process.
        platform: of the machine, as ``sys.platform`` has it.

    Raises:
        HardenerError: its containers do not run on this machine, or it is rootless; says what to do.
    """
    if platform != "linux":
        raise _desktop("this machine does not run Linux")
    address, origin = _address(environment)
    scheme, _, rest = address.partition("://")
    if not address:
        return ""
    if scheme == "unix":
        return _local(posixpath.normpath(rest), origin, environment)
    shown = line(address.rpartition("@")[2] if "@" in address else rest, 100)
    raise HardenerError(f"{origin} names a remote engine: {line(scheme, 20)}://{shown}", hint=_OVER_SSH)


def _local(path: str, origin: str, environment: Mapping[str, str]) -> str:
    if path in _SYSTEM:
        return ""
    if "/.docker/desktop/" in path or path.endswith("/.docker/run/docker.sock"):
        raise _desktop(f"{origin} names {line(path, 100)}")
    runtime = environment.get("XDG_RUNTIME_DIR", "").rstrip("/")
    if path.startswith("/run/user/") or (runtime and path.startswith(f"{runtime}/")):
        raise HardenerError(
            f"{origin} names a rootless engine: {line(path, 100)}",
            hint="these commands use the system's engine: unset DOCKER_HOST, or use the context default",
        )
    return path


def _desktop(why: str) -> HardenerError:
    return HardenerError(
        f"{why}: Docker Desktop keeps its containers in a virtual machine that hides their processes",
        hint=_OVER_SSH,
    )


def _address(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the engine's address and where it is configured; empty where it is not.

    Raises:
        HardenerError: the chosen context does not exist, or cannot be read.
    """
    if address := environment.get("DOCKER_HOST", ""):
        return address, "DOCKER_HOST"
    folder = Path(environment.get("DOCKER_CONFIG") or Path(environment.get("HOME") or "/root") / ".docker")
    context = environment.get("DOCKER_CONTEXT", "")
    if not context:
        context = str(_read(folder / "config.json").get("currentContext") or "")
    if context in {"", "default"}:
        return "", ""
    name = hashlib.sha256(context.encode("utf-8", "surrogateescape")).hexdigest()
    meta = _read(folder / "contexts" / "meta" / name / "meta.json")
    endpoints = meta.get("Endpoints")
    docker = endpoints.get("docker") if isinstance(endpoints, Mapping) else None
    address = str(docker.get("Host") or "") if isinstance(docker, Mapping) else ""
    if not address:
        raise HardenerError(
            f"docker's context {line(repr(context), 100)} names no engine",
            hint="docker context ls shows them",
        )
    return address, f"docker's context {line(context, 100)}"


def _read(path: Path) -> dict[str, Any]:
    """Read an object from a JSON file of docker; empty where the file does not exist.

    Raises:
        HardenerError: it cannot be read.
    """
    try:
        found = bounded.parse(bounded.read(path, most=_LARGEST), most_values=_MOST_VALUES)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise HardenerError(f"cannot read {line(str(path))}: {error.strerror}") from error
    except ValueError as error:
        raise HardenerError(f"cannot read {line(str(path))}: {error}") from error
    if isinstance(found, dict):
        return found
    raise HardenerError(f"cannot read {line(str(path))}: it is not a JSON object")
