"""One container that could not be read: no control passes by it, and none loses what the others show."""

from __future__ import annotations

import pytest

from hardener.checks import all_checks
from hardener.comparison import container_changes
from hardener.model import Status, Verdict
from hardener.snapshot import FactUnavailable, Snapshot
from hardener.workload.audit import audit
from tests.unit.snapshots import container, failed, hardened, make, unread, with_containers

UNREAD = unread()
# What they need of a container, the engine's list tells too: which image it was made from.
_BY_ITS_IMAGE = {"ops-image-sprawl"}
CHECKS = all_checks()


def decide(slug: str, snapshot: Snapshot) -> Verdict | FactUnavailable:
    try:
        return CHECKS[slug](snapshot)
    except FactUnavailable as missing:
        return missing


def reads_containers(slug: str) -> bool:
    found = decide(slug, make(**{"docker.containers": failed()}))
    return isinstance(found, FactUnavailable) and found.source == "docker.containers"


@pytest.mark.parametrize("slug", sorted(CHECKS))
def test_no_control_passes_with_an_unreadable_container(slug: str) -> None:
    for others in ([hardened()], [container()], []):
        found = decide(slug, with_containers(*others, UNREAD))
        if isinstance(found, FactUnavailable) or slug in _BY_ITS_IMAGE or not reads_containers(slug):
            continue
        assert found.status in {Status.FAIL, Status.MANUAL, Status.NOT_APPLICABLE}, found
        if found.status is Status.NOT_APPLICABLE:  # whatever containers there are
            assert decide(slug, with_containers(*others)) == found


@pytest.mark.parametrize("slug", sorted(CHECKS))
def test_failures_of_other_containers_are_kept(slug: str) -> None:
    alone = decide(slug, with_containers(container("bad", HostConfig={"Privileged": True})))
    if not isinstance(alone, Verdict) or alone.status is not Status.FAIL:
        return
    if not any(offender.kind == "container" for offender in alone.offenders):
        return
    beside = decide(slug, with_containers(container("bad", HostConfig={"Privileged": True}), UNREAD))
    assert isinstance(beside, Verdict), beside
    assert beside.status is Status.FAIL
    assert beside.offenders == alone.offenders
    assert beside.undecided is not None
    assert beside.undecided.status is Status.ERROR
    assert "dark" in f"{beside.undecided.actual} {beside.evidence}"


def test_the_image_of_an_unreadable_container_is_not_reported_as_unused() -> None:
    image = make().images[0]["inspect"]["Id"]
    used = {**UNREAD, "inspect": {**UNREAD["inspect"], "Image": image}}
    found = decide("ops-image-sprawl", make(**{"docker.containers": [used]}))
    assert isinstance(found, Verdict)
    assert all(image not in offender.name for offender in found.offenders)


def test_the_workload_audit_names_an_unreadable_container_and_is_incomplete() -> None:
    found = audit(with_containers(hardened(), UNREAD))
    assert {each.name for each in found.containers} == {"twin", "dark"}
    assert not found.complete
    dark = next(each for each in found.containers if each.name == "dark")
    assert dark.has.unknown == ("all facts: timed out",)


def test_an_unreadable_container_is_not_compared() -> None:
    read = container("dark", Id="f" * 64)
    before, after = with_containers(read, hardened()), with_containers(UNREAD, hardened())
    assert container_changes(before, after) == ()
    assert container_changes(after, before) == ()
