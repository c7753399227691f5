"""What renders a role's document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from hardener import catalogue
from hardener.assess import assess
from hardener.model import Status
from hardener.snapshot import Snapshot
from tests.unit.plugins.loading import ROLES, render

# What the tasks of a role give its renderer beside the role's variables.
_BESIDE: dict[str, dict[str, Any]] = {
    "docker_daemon": {"host": "web1", "address": "192.0.2.10"},
    "firewall": {"connection_port": 0},
    "kernel": {"module_baseline": []},
}


def documents_of(role: str) -> Callable[..., list[dict[str, Any]]]:
    """What renders the documents of a role from a snapshot and the role's variables."""

    def documents(snapshot: Any, **variables: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = render(role).documents(snapshot, {**_BESIDE.get(role, {}), **variables})
        # What the action keeps for itself.
        return [{key: value for key, value in each.items() if key != "asked"} for each in found]

    return documents


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
    return documents_of(role)(snapshot.raw, **arguments)
