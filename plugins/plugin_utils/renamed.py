"""Warn about names of roles and actions of 0.1.0, which work until 1.0."""

from __future__ import annotations

from typing import Any

from ansible.utils.display import Display


def role(called: Any) -> None:
    """Warn if a play uses a role by its name of 0.1.0.

    Args:
        called: the role around a task, or None.
    """
    if called is not None and not called._role_collection:
        warn("role", called.get_name(include_role_fqcn=False))


def warn(kind: str, name: str) -> None:
    """Warn that a play uses a role or an action by its name of 0.1.0."""
    Display().warning(
        f"the {kind} {name} is called hardener.docker.{name} now: hardener 1.0 removes its old name"
    )
