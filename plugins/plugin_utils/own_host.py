"""Refuse data of another host: what an action uses carries the name of its host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail


def host_of(task_vars: Mapping[str, Any] | None) -> str:
    """Return the inventory name of the host at work."""
    return str((task_vars or {}).get("inventory_hostname", ""))


def require_own(task_vars: Mapping[str, Any] | None, data: Mapping[str, Any], name: str) -> None:
    """Require that data belongs to the host at work.

    Args:
        task_vars: the variables of the task.
        data: with the name of its host in ``host``.
        name: names the data in the error.

    Raises:
        AnsibleActionFail: the data belongs to another host, or to none.
    """
    if data.get("host") != host_of(task_vars):
        raise AnsibleActionFail(
            f"{name} belongs to the host {str(data.get('host'))[:300]!r}, not to {host_of(task_vars)!r}:"
            " run_once, delegate_to or hostvars may have mixed the results of hosts"
        )
