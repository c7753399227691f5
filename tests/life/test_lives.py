"""Generated lives of a small fleet: in whatever order its site acts, each command keeps its promises.

`make lives` generates lives for some minutes. The error of a life contains the steps that repeat it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

from tests.life.world import BY_HAND, NAMES, PORTS, VALUES, WAIVABLE, World

Step = tuple[str, dict[str, Any]]

HOST = st.sampled_from(NAMES)
NODE = st.sampled_from(["a", "b"])  # the control node: each has a history of its own
ALLOW = st.sampled_from(["daemon-restart", "connectivity", "containers-stop"])
# The arguments of each method of the world; the number is how often it is chosen.
STEPS: dict[str, tuple[int, dict[str, st.SearchStrategy[Any]]]] = {
    "deploy": (3, {"name": HOST, "container": st.sampled_from(list(PORTS)), "restarted": st.booleans()}),
    "set": (4, {"name": HOST, "variable": st.sampled_from(VALUES)}),
    "unset": (2, {"name": HOST, "variable": st.sampled_from([name for name, _ in VALUES])}),
    "by_hand": (3, {"name": HOST, "what": st.sampled_from(list(BY_HAND))}),
    "waive": (1, {"control": st.sampled_from([None, *WAIVABLE])}),
    "harden": (5, {"allow": ALLOW, "node": NODE}),
    "drift": (2, {"node": NODE, "remediate": st.booleans()}),
    "killed": (1, {"allow": ALLOW, "after": st.integers(1, 12)}),
    "worker_killed": (2, {"name": HOST, "allow": ALLOW, "after": st.integers(0, 9)}),
    "together": (1, {"allow": ALLOW}),
    "reboot": (1, {"name": HOST}),
    "restart": (1, {"name": HOST}),
    "upgrade": (1, {"name": HOST}),
    "rollback": (2, {"node": NODE}),
    "release": (1, {"node": NODE}),
}
STEP = st.sampled_from([name for name, (times, _) in STEPS.items() for _ in range(times)]).flatmap(
    lambda name: st.tuples(st.just(name), st.fixed_dictionaries(STEPS[name][1]))
)


def live(number: int, length: int) -> None:
    """Live the life of a number."""
    found: list[list[Step]] = []
    _generate(number, length, found.append, Phase.generate)
    lived(found[-1])


def lived(steps: list[Step]) -> None:
    """Begin with two hosts of the first day, and take the steps.

    Raises:
        AssertionError: something does not hold after a step; its notes have the steps.
    """
    with tempfile.TemporaryDirectory(prefix="life-") as folder:
        world = World(Path(folder))
        try:
            for number, (name, arguments) in enumerate(steps, 1):
                print(time.strftime("%T"), name, arguments, flush=True)
                act: Callable[..., None] = getattr(world, name)
                try:
                    act(**arguments)
                except BaseException as error:
                    error.add_note(f"after the steps {steps[:number]}")
                    raise
        finally:
            world.end()


def _generate(number: int, length: int, use: Callable[[list[Step]], None], *phases: Phase) -> None:
    """Generate a life; with the phase ``shrink``, find the shortest one with which ``use`` fails."""
    shrinks = Phase.shrink in phases
    options = settings(
        max_examples=1,
        phases=phases,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )

    @seed(number)
    @options
    @given(st.lists(STEP, min_size=1 if shrinks else length, max_size=length))
    def generated(steps: list[Step]) -> None:
        # The first list that hypothesis makes repeats one step.
        assume(shrinks or len({name for name, _ in steps}) > 4)
        use(steps)

    generated()


def test_a_short_life() -> None:
    live(1, length=8)


def test_generated_lives(request: pytest.FixtureRequest) -> None:
    minutes, number, shrink = (
        request.config.getoption(f"--{name}") for name in ("minutes", "life", "shrink")
    )
    if not minutes:
        pytest.skip("`make lives` runs it")
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        print(f"life {number}", flush=True)
        if shrink:
            _generate(number, 15, lived, Phase.generate, Phase.shrink)
        else:
            live(number, length=15)
        number += 1
