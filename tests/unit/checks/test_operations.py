from __future__ import annotations

from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import FactUnavailable, Snapshot
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import container, image, make

IMAGES = "ops-image-sprawl"
CONTAINERS = "ops-container-sprawl"


def with_unused(number: int, **policy: Any) -> Snapshot:
    """One image in use, some that are not."""
    unused = [image(f"old:{n}", Id=f"sha256:{n}") for n in range(number)]
    return make(**{"docker.images": [image(), *unused]}, policy=policy)


def with_stopped(number: int, **policy: Any) -> Snapshot:
    """One running container, some that do not run."""
    stopped = [container(f"job-{n}", running=False) for n in range(number)]
    return make(**{"docker.containers": [container(), *stopped]}, policy=policy)


@pytest.mark.parametrize(
    ("unused", "limit", "status"),
    [
        (0, None, Status.PASS),
        (2, None, Status.MANUAL),
        (2, 2, Status.PASS),
        (3, 2, Status.FAIL),
        (1, 0, Status.FAIL),
    ],
)
def test_unused_objects_above_the_limit_fail(
    judge: Judge, unused: int, limit: int | None, status: Status
) -> None:
    verdict = judge(IMAGES, with_unused(unused, max_unused_images=limit))
    assert verdict.status is status
    assert verdict.actual.startswith(f"{unused} of {unused + 1} image")
    assert len(verdict.offenders) == (0 if status is Status.PASS else unused)
    verdict = judge(CONTAINERS, with_stopped(unused, max_stopped_containers=limit))
    assert verdict.status is status
    assert verdict.actual.startswith(f"{unused} of {unused + 1} container")
    assert len(verdict.offenders) == (0 if status is Status.PASS else unused)


def test_unused_objects_are_described(judge: Judge) -> None:
    verdict = judge(IMAGES, with_unused(1))
    assert verdict.offenders[0].detail == "is used by no container: 2 MB, built 2026-11-25"
    stopped = container("job", running=False, State={"FinishedAt": "2026-11-24T10:00:00Z"})
    created = container("new", running=False)
    created["inspect"]["State"]["Status"] = "created"
    verdict = judge(CONTAINERS, make(**{"docker.containers": [stopped, created]}))
    assert [each.detail for each in verdict.offenders] == ["is exited since 2026-11-24", "is created"]


@pytest.mark.parametrize("slug", [IMAGES, CONTAINERS])
def test_a_host_without_images_and_containers_passes(judge: Judge, slug: str) -> None:
    verdict = judge(slug, make(**{"docker.images": [], "docker.containers": []}))
    assert (verdict.status, verdict.actual[:6]) == (Status.PASS, "0 of 0")


@pytest.mark.parametrize("limit", ["5", -1, True, 2.5, [5]])
def test_an_invalid_limit_is_an_error(judge: Judge, limit: Any) -> None:
    with pytest.raises(FactUnavailable, match="max_unused_images must be a number from 0 up"):
        judge(IMAGES, with_unused(1, max_unused_images=limit))
    with pytest.raises(FactUnavailable, match="max_stopped_containers must be a number from 0 up"):
        judge(CONTAINERS, with_stopped(1, max_stopped_containers=limit))
