"""What renders a role's document, loaded as Ansible does it, by its path."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from hardener import catalogue
from hardener.assess import assess
from hardener.model import Status
from hardener.snapshot import Snapshot
from tests.unit.roles.plugins import ROLES, role_plugin

RECORDED = Path(__file__).parents[2] / "fixtures" / "snapshots"

# Beginnings of variables that the role's own second filter decides upon.
_OF_OTHER_FILTERS = {"docker_daemon": ("tls",)}


def documents_filter(role: str) -> Callable[..., list[dict[str, Any]]]:
    """The filter ``<role>_documents``, which may be given all of the role's variables."""
    decide = role_filter(role, f"{role}_documents")
    others = tuple(_OF_OTHER_FILTERS.get(role, ()))

    def documents(snapshot: Any, **variables: Any) -> list[dict[str, Any]]:
        own = {name: value for name, value in variables.items() if not name.startswith(others)}
        found: list[dict[str, Any]] = decide(snapshot, **own)
        return found

    return documents


@cache
def role_filter(role: str, name: str) -> Callable[..., Any]:
    """A filter of a role."""
    filters: dict[str, Callable[..., Any]] = (
        role_plugin(role, "filter_plugins", role).FilterModule().filters()
    )
    return filters[name]


def verdicts(snapshot: Snapshot, prefix: str) -> dict[str, Status]:
    """How the controls whose slug begins so stand."""
    controls = catalogue.load(catalogue.DEFAULT_BENCHMARK)
    found = assess(snapshot, controls, benchmark=catalogue.DEFAULT_BENCHMARK).findings
    return {
        finding.control.slug: finding.status for finding in found if finding.control.slug.startswith(prefix)
    }


def rendered(role: str, snapshot: Snapshot) -> list[dict[str, Any]]:
    """A role's documents with the variables that it has by default."""
    defaults = yaml.safe_load((ROLES / role / "defaults/main.yml").read_text())
    arguments = {name[len(role) + 1 :]: value for name, value in defaults.items()}
    return documents_filter(role)(snapshot.raw, **arguments)


def recorded(name: str) -> Snapshot:
    """A snapshot that was recorded."""
    return Snapshot.load(RECORDED / f"{name}.json")
