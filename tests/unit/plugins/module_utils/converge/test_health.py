from __future__ import annotations

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import health

from tests.unit.sleeping import replace_monotonic, replace_sleep

PICTURE = {"engine": "/run/docker.sock"}


@pytest.mark.parametrize(
    ("baseline", "stopped", "lost"),
    [(PICTURE, False, True), (PICTURE, True, False), ({**PICTURE, "took": 8.0}, False, False)],
    ids=["by default", "containers have to start", "a slow host"],
)
def test_containers_get_more_time_to_recover_after_a_restart_or_on_a_slow_host(
    monkeypatch: pytest.MonkeyPatch, baseline: health.Baseline, *, stopped: bool, lost: bool
) -> None:
    clock = [0.0]

    def wait(seconds: float) -> None:
        clock[0] += seconds

    def differences(*_: object, **__: object) -> tuple[list[str], list[str]]:
        return ([] if clock[0] > 30 else ["no longer running: web"]), []

    replace_monotonic(monkeypatch, lambda: clock[0])
    replace_sleep(monkeypatch, wait)
    monkeypatch.setattr(health, "_differences", differences)
    assert bool(health.compare(baseline, stopped=stopped)[0]) is lost
