"""The swarm state of a host: its role in the cluster and the cluster's services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hardener.checks.lib import fields
from hardener.snapshot import FactUnavailable, JSONObject, Snapshot

SOURCE = "docker.swarm"
INACTIVE = "swarm mode is inactive"


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the cluster, as a manager reports it."""

    kind: ClassVar[str] = "service"
    basis: ClassVar[str] = ""

    facts: JSONObject

    @property
    def id(self) -> str:
        """Return the id of the service."""
        return fields.text(self.facts, "ID", SOURCE)

    @property
    def spec(self) -> JSONObject:
        """Return the specification of the service."""
        return fields.required(self.facts, "Spec", SOURCE)

    @property
    def name(self) -> str:
        """Return the name of the service."""
        return fields.text(self.spec, "Name", SOURCE) or self.id

    @property
    def task(self) -> JSONObject:
        """Return the specification of the service's tasks."""
        return fields.table(self.spec, "TaskTemplate", SOURCE)


def node_state(snapshot: Snapshot) -> str:
    """Return ``inactive``, ``pending``, ``active``, ``locked`` or ``error``.

    Raises:
        FactUnavailable: the engine does not say.
    """
    state = fields.table(snapshot.info, "Swarm", "docker.info").get("LocalNodeState")
    if not isinstance(state, str) or not state:
        raise FactUnavailable("docker.info", "Swarm.LocalNodeState is missing")
    return state


def services(snapshot: Snapshot) -> tuple[Service, ...]:
    """Return services of the cluster; none if swarm is inactive or this node is a worker."""
    swarm: Any = snapshot.fact_or(SOURCE, {})
    if not isinstance(swarm, Mapping):
        raise FactUnavailable(SOURCE, f"{SOURCE} is not an object")
    return tuple(Service(facts) for facts in fields.rows(swarm, "services", SOURCE))
