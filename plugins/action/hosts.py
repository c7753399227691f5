"""List the hosts of a play and their groups, for the program that started it."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

_EVERY_HOST = "all"  # Ansible leaves it out of a host's group_names too


class ActionModule(ActionBase):
    """The action; plugins/modules/hosts.py documents it."""

    TRANSFERS_FILES = False
    _VALID_ARGS: frozenset[str] = frozenset()

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the hosts of the play in inventory order, each with its groups."""
        super().run(tmp, task_vars)
        self.validate_argument_spec(argument_spec={})
        known = task_vars or {}
        found: dict[str, list[str]] = {str(host): [] for host in known["ansible_play_hosts_all"]}
        for group in sorted(set(known["groups"]) - {_EVERY_HOST}):
            for host in found.keys() & set(known["groups"][group]):
                found[host].append(str(group))
        return {"changed": False, "hosts": found}
