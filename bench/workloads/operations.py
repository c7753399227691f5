"""Operations of ordinary use that the exercise of a workload does not contain.

Each is tried in the container under the engine's defaults, and in a copy of it under its profile. It works if
its command, and then the workload's exercise, end with 0.
"""

from __future__ import annotations

import os
import subprocess

from bench.workloads.catalogue import CLIENTS, Workload
from tests.integration.dockerd import Engine

_SECONDS = 120


def worked(engine: Engine, workload: Workload, name: str) -> frozenset[str]:
    """Return the operations of a workload that work in a container that serves, by name."""
    return frozenset(
        operation
        for operation, command in workload.operations.items()
        if succeeds(engine, name, command) and succeeds(engine, name, workload.exercise)
    )


def succeeds(engine: Engine, name: str, command: str) -> bool:
    """Return whether a command on this machine ends with 0; its environment has the container's addresses."""
    found = engine.api("GET", f"/containers/{name}/json")
    address = next(each["IPAddress"] for each in found["NetworkSettings"]["Networks"].values())
    environment = {**os.environ, "DOCKER_HOST": engine.host, "NAME": name, "CLIENTS": str(CLIENTS)}
    for port in found["Config"].get("ExposedPorts") or ():
        number, _, protocol = port.partition("/")
        environment[f"HARDENER_ADDR_{number}{'_udp' if protocol == 'udp' else ''}"] = f"{address}:{number}"
    try:
        done = subprocess.run(
            ["sh", "-c", command], env=environment, capture_output=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
