"""Distinguish the site's settings from a role's defaults.

Ansible merges all variables before a task gets them, so their values do not show their origin. So the
variables are merged once more without the role's defaults: those that remain were set in an inventory, by
``-e``, in ``vars`` or ``vars_files`` of a play, as a parameter of the role, by ``set_fact``, or by a
surrounding role. This uses internals of Ansible; if they have changed, everything counts as set by the site.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible.errors import AnsibleError


def is_asked(
    document: Mapping[str, Any],
    role: str,
    named: Collection[str],
    *,
    variables: Collection[str],
    decided_by: Mapping[str, Collection[str]],
) -> bool:
    """Return whether a site has requested a document; true if unknown.

    Args:
        document: with ``asked`` if the renderer itself knows.
        role: its role.
        named: variables of the role that the site has set.
        variables: all variables of the role.
        decided_by: variables that a document depends on beside the one that it is named after, both without
            the role's name.
    """
    if "asked" in document:
        return bool(document["asked"])
    name = str(document["name"])
    if name == role:  # it serves or refuses all documents of the role
        return bool(named)
    others = [f"{role}_{other}" for other in decided_by.get(name.removeprefix(f"{role}_"), ())]
    deciding = {name, *others} & set(variables)
    return not deciding or bool(deciding & set(named))


def named_variables(
    task: Any, task_vars: Mapping[str, Any], variables: Collection[str], policy: Any
) -> frozenset[str]:
    """Return the variables of a role that the site has set; all variables if that is unknown.

    Args:
        task: a task of the role.
        task_vars: the task's variables.
        variables: of the role.
        policy: the site's; it decides instead of a variable with the same name.
    """
    try:
        manager, play = task.get_variable_manager(), task.get_play()
        host = manager._inventory.get_host(task_vars["inventory_hostname"])
        with _without_defaults(task, play):
            known = manager.get_vars(play=play, host=host, task=task, include_hostvars=False)
    except (AnsibleError, AttributeError, LookupError, TypeError):
        return frozenset(variables)
    more = policy.keys() if isinstance(policy, Mapping) else ()
    return frozenset(name for name in variables if name in known or name in more)


@contextmanager
def _without_defaults(task: Any, play: Any) -> Iterator[None]:
    """Remove a role's defaults temporarily, from each of its occurrences in the play."""
    path = task._role._role_path
    chain = task.get_dep_chain() or ()
    roles = [role for role in (task._role, *chain, *play.roles) if role._role_path == path]
    defaults = [(role, role._default_vars) for role in roles]
    try:
        for role in roles:
            role._default_vars = {}
        yield
    finally:
        for role, before in defaults:
            role._default_vars = before
