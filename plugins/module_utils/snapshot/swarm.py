"""Read the swarm of this node, without its tokens."""

from __future__ import annotations

from json import loads

from ..host.errors import Absent, Failed
from ..host.read import read_bytes
from .docker import LIMIT, complete

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

    from ..docker.engine import Engine
    from ..host.redact import Redactor


def read(engine: Engine, known: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    """Return the source `docker.swarm`.

    Args:
        engine: the engine.
        known: the source `docker.info`.
        redactor: replaces secrets.

    Raises:
        Absent: swarm is inactive.
        Failed: it is active and does not answer, or is locked.
    """
    state = (known.get("Swarm") or {}).get("LocalNodeState") or "inactive"
    if state == "inactive":
        raise Absent("swarm is inactive")
    local = _local_node(str(known.get("DockerRootDir") or ""))
    if state != "active":
        raise Failed(f"swarm is {state}")
    if not known["Swarm"].get("ControlAvailable"):
        return {"worker": True, "local": local}
    connection = engine.connect(LIMIT)
    try:
        cluster, nodes, services, secrets = (
            complete(name, connection.get(f"{engine.api}{name}"))
            for name in ("/swarm", "/nodes", "/services", "/secrets")
        )
    finally:
        connection.close()
    cluster.pop("JoinTokens", None)
    for service in services or ():
        _redact_service(service, redactor)
    return {
        "worker": False,
        "local": local,
        "swarm": redactor.options(cluster, "swarm"),
        "nodes": redactor.options(nodes or [], "node"),
        "services": redactor.options(services or [], "service"),
        "secrets": [
            {
                "ID": secret.get("ID"),
                "Name": (secret.get("Spec") or {}).get("Name"),
                "CreatedAt": secret.get("CreatedAt"),
                "UpdatedAt": secret.get("UpdatedAt"),
            }
            for secret in secrets or ()
        ],
    }


def _redact_service(service: dict[str, Any], redactor: Redactor) -> None:
    for key in ("Spec", "PreviousSpec"):
        spec = service.get(key) or {}
        container = (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}
        where = f"service {spec.get('Name')}"
        if container.get("Env"):
            container["Env"] = redactor.assignments(container["Env"], where)
        if container.get("Args"):
            args = redactor.words(container["Args"], f"{where} command", container.get("Command"))
            container["Args"] = args
        if container.get("Command"):
            container["Command"] = redactor.words(container["Command"], f"{where} command")


def _local_node(root: str) -> dict[str, Any]:
    """Return addresses of this node from the swarm's state file; ``{}`` if it is missing."""
    try:
        state = loads(read_bytes(f"{root}/swarm/docker-state.json", 65536))
    except (OSError, Failed, ValueError):
        return {}
    return {key: state.get(key, "") for key in ("ListenAddr", "AdvertiseAddr", "DataPathAddr")}
