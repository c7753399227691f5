"""Reach hosts: the only package that knows Ansible, ansible-runner, playbooks and their variables.

    fleet = Fleet(inventory="inventories/prod", limit="web*")
    with requests.collect(fleet, folder) as answers:
        ...                                   # Ansible needs half a second to start: use it
        for collected in answers.each(watcher):
            ...                               # typed answers; the watcher is told of everything else
    answers.outcomes                          # host -> how it ended, every host of the inventory

Hosts that cannot be reached or fail are outcomes; only what stops Ansible before any host is an error.
"""

from hardener.fleet.events import (
    Event,
    Hosts,
    Idle,
    Outcome,
    SliceLost,
    State,
    StepStarted,
    TaskResult,
    TaskStarted,
)
from hardener.fleet.executor import Credentials, Execution, Executor, Job
from hardener.fleet.fleet import Fleet, ansible_version, executor_of
from hardener.fleet.inventory import identify, inventory_name
from hardener.fleet.inventory_cli import connections

__all__ = [
    "Credentials",
    "Event",
    "Execution",
    "Executor",
    "Fleet",
    "Hosts",
    "Idle",
    "Job",
    "Outcome",
    "SliceLost",
    "State",
    "StepStarted",
    "TaskResult",
    "TaskStarted",
    "ansible_version",
    "connections",
    "executor_of",
    "identify",
    "inventory_name",
]
