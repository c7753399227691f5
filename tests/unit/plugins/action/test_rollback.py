from __future__ import annotations

from typing import Any

import pytest

from tests.unit.plugins.loading import action

RUN = "20261125T040000Z-1b2c3d4e"
KEPT = "/etc/docker/daemon.json was changed by others meanwhile, and stays as it is"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"outcome": "changed", "runs": [RUN]}, f"back to before run {RUN}"),
        ({"outcome": "changed", "runs": ["later", RUN]}, f"back to before run {RUN} (2 runs)"),
        (
            {"outcome": "partly_rolled_back", "failed": True, "runs": [RUN], "kept": [KEPT], "reason": "x"},
            f"back to before run {RUN}, except what was changed on the host meanwhile ({KEPT})",
        ),
        (
            {"outcome": "rollback_failed", "failed": True, "runs": [RUN], "problems": ["a"], "reason": "why"},
            "why: a",
        ),
        ({"outcome": "refused", "failed": True, "reason": "why"}, "nothing was changed: why"),
        ({"outcome": "unchanged", "runs": []}, "there is no run to roll back"),
    ],
)
def test_the_outcome_is_summarised_in_one_line(result: dict[str, Any], said: str) -> None:
    assert action("rollback")._summary(result, listing=False) == said
