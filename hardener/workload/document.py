"""Write an audit of workloads as JSON; its schema is ``workload-audit.schema.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from hardener.model import Severity
from hardener.text import scalar
from hardener.workload.audit import ContainerAudit, HostAudit

if TYPE_CHECKING:
    from hardener.workload.use import Use

SCHEMA = "hardener/workload-audit/1"


def document(audits: Sequence[HostAudit]) -> dict[str, Any]:
    """Return the document with all data of the containers, host by host."""
    return {"schema": SCHEMA, "hosts": [_host(each) for each in audits]}


def _host(found: HostAudit) -> dict[str, Any]:
    levels = found.levels()
    return {
        "host": scalar(found.host),
        "collected_at": scalar(found.collected_at) or None,
        "engine": scalar(found.engine) or None,
        "error": scalar(found.error) or None,
        "levels": {level.value: levels[level] for level in Severity},
        "containers": [_container(each) for each in found.containers],
    }


def _container(found: ContainerAudit) -> dict[str, Any]:
    return {
        "id": scalar(found.id),
        "name": scalar(found.name),
        "image": scalar(found.image),
        "level": found.level.value,
        "points": found.points,
        "first": [scalar(each) for each in found.first],
        "excess": [{**_plain(each), "level": each.level.value} for each in found.excess],
        "has": _plain(found.has),
        "profile": _use(found.use) if found.use else None,
    }


def _use(found: Use) -> dict[str, Any]:
    return {
        "folder": scalar(found.profile),
        "moved": [
            {"axis": axis.name, "before": scalar(axis.texts[0]), "after": scalar(axis.texts[1])}
            for axis in found.moved
        ],
        "unknown": list(found.unknown),
    }


def _plain(value: Any) -> Any:
    """Convert a value to JSON: sets are sorted, text is valid for all readers."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return scalar(value)
    if isinstance(value, Mapping):
        return {scalar(str(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value
