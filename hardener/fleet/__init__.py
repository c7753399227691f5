"""Reach hosts: the only room that knows Ansible and ansible-runner.

    fleet = Fleet(inventory="inventories/prod", limit="web*")
    with fleet.run("audit", variables={"collect_dest": "/tmp/snapshots"}) as run:
        ...                       # Ansible needs half a second to start: use it
        for event in run:
            ...                   # Hosts, TaskStarted, TaskResult, Idle
    run.outcomes                  # host -> how it ended, every host of the inventory

Hosts that cannot be reached or fail are outcomes; only what stops Ansible before any host is an error.
"""

from hardener.fleet.connections import connections
from hardener.fleet.events import Event, Hosts, Idle, Outcome, State, TaskResult, TaskStarted
from hardener.fleet.inventory import identify
from hardener.fleet.run import Run
from hardener.fleet.start import Credentials, Fleet, ansible_version

__all__ = [
    "Credentials",
    "Event",
    "Fleet",
    "Hosts",
    "Idle",
    "Outcome",
    "Run",
    "State",
    "TaskResult",
    "TaskStarted",
    "ansible_version",
    "connections",
    "identify",
]
