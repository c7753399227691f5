from __future__ import annotations

import time

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import health

PICTURE = {"engine": "/run/docker.sock"}


@pytest.mark.parametrize(("stopped", "lost"), [(False, True), (True, False)])
def test_stopped_containers_get_time_to_start(
    monkeypatch: pytest.MonkeyPatch, *, stopped: bool, lost: bool
) -> None:
    clock = [0.0]

    def wait(seconds: float) -> None:
        clock[0] += seconds

    def differences(*_: object, **__: object) -> tuple[list[str], list[str]]:
        return ([] if clock[0] > 30 else ["no longer running: web"]), []

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", wait)
    monkeypatch.setattr(health, "_differences", differences)
    assert bool(health.compare(PICTURE, stopped=stopped)[0]) is lost
