from __future__ import annotations

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import health
from ansible_collections.hardener.docker.plugins.module_utils.docker import losses
from ansible_collections.hardener.docker.plugins.module_utils.docker.losses import Loss

from tests.unit.sleeping import replace_monotonic, replace_sleep

PICTURE = {"engine": "/run/docker.sock"}
ENDED = Loss(losses.CONTAINERS, "web", "web", said="no longer running")
CLOSED = Loss(losses.PORTS, "web", "[::]:80 (web)", said="web: the published port [::]:80 no longer answers")
CUT = Loss(losses.NETWORKS, "shop", "shop", said="containers of the network shop can no longer resolve names")


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

    def differences(*_: object, **__: object) -> tuple[list[str], list[Loss], list[str]]:
        return [], ([] if clock[0] > 30 else [ENDED]), []

    replace_monotonic(monkeypatch, lambda: clock[0])
    replace_sleep(monkeypatch, wait)
    monkeypatch.setattr(health, "_differences", differences)
    assert bool(health.compare(baseline, stopped=stopped)[0]) is lost


def compared(
    monkeypatch: pytest.MonkeyPatch, *found: Loss, terms: health.Terms | None
) -> tuple[list[str], list[str]]:
    monkeypatch.setattr(health, "_differences", lambda *_, **__: ([], list(found), []))
    told = {"terms": terms._asdict()} if terms else {}
    return health.compare({**PICTURE, **told}, seconds=0)


@pytest.mark.parametrize(
    ("terms", "counted"),
    [
        (health.Terms(), [ENDED, CLOSED, CUT]),
        (health.Terms(touched=[]), []),
        (health.Terms(touched=[losses.PORTS]), [CLOSED]),
        (health.Terms(touched=[losses.NETWORKS, losses.CONTAINERS]), [ENDED, CUT]),
        (health.Terms(accepted=["web"]), [CUT]),
        (health.Terms(accepted=["shop"]), [ENDED, CLOSED]),
        (health.Terms(foreseen=["[::]:80 (web)"]), [ENDED, CUT]),
        (health.Terms(foreseen=["[::]:81 (web)"]), [ENDED, CLOSED, CUT]),
    ],
)
def test_a_loss_counts_if_the_run_touches_its_part_and_nobody_has_accepted_or_named_it(
    monkeypatch: pytest.MonkeyPatch, terms: health.Terms, counted: list[Loss]
) -> None:
    problems, notes = compared(monkeypatch, ENDED, CLOSED, CUT, terms=terms)
    ways = "to give that up: " if counted else ""
    ways += " ".join(f"--accept-loss {name}" for name in dict.fromkeys(each.name for each in counted))
    assert [each.partition(":")[0] for each in problems] == [
        each.said.partition(":")[0] for each in counted
    ] + ["to give that up"] * bool(counted)
    assert problems[-1:] == [ways] * bool(counted)
    assert len(notes) == 3 - len(counted)
    assert all("does not count" in note for note in notes)


def test_all_losses_count_in_the_health_check_of_a_rollback(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = health.Terms(touched=[], accepted=["web"])
    monkeypatch.setattr(health, "revive", lambda *_, **__: frozenset())
    monkeypatch.setattr(health, "_differences", lambda *_, **__: ([], [ENDED], []))
    problems, notes = health.recover({**PICTURE, "terms": terms._asdict()}, seconds=0)
    assert (problems, notes) == (["no longer running: 1 containers (web)"], [])
