"""Compare one container that breaks a rule with its hardened twin."""

from __future__ import annotations

from typing import Any

from hardener.model import Status, Verdict
from hardener.snapshot import Snapshot
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import hardened, with_containers


def details(verdict: Verdict) -> dict[str, str]:
    """What is said of each offender, by name."""
    return {offender.name: offender.detail for offender in verdict.offenders}


def broken(judge: Judge, slug: str, bad: dict[str, Any], **others: Any) -> str:
    """The detail about ``bad``, which must be the only offender beside the twin, running and stopped."""
    snapshot = with_containers(hardened("twin"), bad, hardened("resting", running=False), **others)
    verdict = judge(slug, snapshot)
    assert verdict.status is Status.FAIL, verdict
    assert verdict.checked in {2, 3}, verdict  # two where only running ones count
    assert list(details(verdict)) == ["bad"], verdict
    assert f"1 of {verdict.checked} containers: bad " in verdict.actual
    return details(verdict)["bad"]


def held(judge: Judge, slug: str, good: dict[str, Any], **others: Any) -> Verdict:
    """The verdict on a container that holds the rule."""
    verdict = judge(slug, with_containers(good, **others))
    assert verdict.status is Status.PASS, verdict
    return verdict


def snapshot_of(*containers: dict[str, Any], **others: Any) -> Snapshot:
    """Containers on an engine that does not remap users."""
    info = {"SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"]}
    return with_containers(*containers, info={**info, **others.pop("info", {})}, **others)
