from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import containers
from ansible_collections.hardener.docker.plugins.module_utils.converge.engine import Engine
from ansible_collections.hardener.docker.plugins.module_utils.docker.http import NoAnswer

TASK = {"Config": {"Labels": {"com.docker.swarm.task.id": "x"}}, "HostConfig": {}}


class Manager(Engine):
    """An engine that answers with services, or not at all."""

    def __init__(self, services: dict[str, int] | None) -> None:
        super().__init__("/nowhere")
        self.services = services

    def get(self, path: str, query: Any = None, *, seconds: float = 0) -> Any:
        assert path == "/services?status=true"
        if self.services is None:
            raise NoAnswer("this node is not a swarm manager")
        return [
            {"Spec": {"Name": name}, "ServiceStatus": {"RunningTasks": count}}
            for name, count in self.services.items()
        ]


def test_a_swarm_task_is_not_expected_to_stay_down_after_a_restart() -> None:
    assert containers.is_task(TASK)
    assert not containers.stays_down(TASK)
    other = {"Config": {"Labels": None}, "HostConfig": {}}
    assert not containers.is_task(other)
    assert containers.stays_down(other)


def test_running_tasks_are_known_only_on_a_manager() -> None:
    assert containers.running_tasks(Manager({"shop": 2})) == {"shop": 2}
    assert containers.running_tasks(Manager(None)) is None
    never_started = Manager({})
    never_started.get = lambda *_: [{"Spec": {"Name": "shop"}}]  # type: ignore[method-assign]
    assert containers.running_tasks(never_started) == {"shop": 0}


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        ({"shop": 2, "job": 0}, {"shop": 2, "job": 0}, []),
        ({"shop": 2}, {"shop": 3}, []),
        ({"shop": 2}, {"shop": 1}, ["the service shop runs only 1 of 2 tasks"]),
        ({"shop": 2, "old": 1}, {"shop": 2}, []),
        ({"shop": 2}, None, ["the manager of the swarm does not answer any more"]),
        ({}, None, []),
    ],
)
def test_services_with_fewer_tasks_are_reported(
    before: dict[str, int], after: dict[str, int] | None, lost: list[str]
) -> None:
    assert [loss.said for loss in containers.lost(before, Manager(after))] == lost
