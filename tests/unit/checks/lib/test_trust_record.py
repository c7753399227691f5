from __future__ import annotations

from typing import Any

import pytest

from hardener.checks.lib.trust_record import last_verification
from hardener.model import Status
from hardener.snapshot import FactUnavailable, Snapshot
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import absent, failed, image, make, only

BASE, SIGNED, CONTENT = "image-trusted-base", "image-signed-artifacts-validated", "image-content-trust"
NOW = "2026-11-25T04:00:00Z"
NEW_CLIENT = {"packages": {"installed": only({"docker-ce-cli": "5:29.1.0-1"})}}


def verified(*statuses: str, at: str = NOW, until: str = "", policy: Any = None, **others: Any) -> Snapshot:
    """A host with an image for each status, verified at that moment."""
    ids = [f"sha256:{number:064d}" for number in range(len(statuses))]
    entries = [
        {"id": identity, "status": status, "detail": "why", "rule": "", "until": until, "containers": []}
        for identity, status in zip(ids, statuses, strict=True)
    ]
    found = make(
        policy=policy,
        **{
            "docker.images": [
                image(f"r.example.org/{status}:1", Id=identity)
                for identity, status in zip(ids, statuses, strict=True)
            ],
            "docker.containers": [],
            "hardener.trust": {"verified_at": at, "policy": "", "images": entries},
        },
        **others,
    )
    return Snapshot({**found.raw, "collected_at": NOW})


@pytest.mark.parametrize(
    ("status", "base", "signed"),
    [
        ("verified", Status.PASS, Status.PASS),
        ("pinned", Status.PASS, Status.PASS),
        ("exempt", Status.PASS, Status.PASS),
        ("allowed", Status.PASS, Status.MANUAL),
        ("unsigned", Status.PASS, Status.FAIL),
        ("wrong-key", Status.PASS, Status.FAIL),
        ("unverifiable", Status.PASS, Status.FAIL),
        ("moved-tag", Status.PASS, Status.FAIL),
        ("swapped-image", Status.FAIL, Status.FAIL),
        ("no-registry-digest", Status.FAIL, Status.FAIL),
        ("not-allowed", Status.FAIL, Status.FAIL),
    ],
)
def test_each_verification_result_gives_its_verdict(
    judge: Judge, status: str, base: Status, signed: Status
) -> None:
    snapshot = verified("verified", status)
    assert judge(BASE, snapshot).status is base
    verdict = judge(SIGNED, snapshot)
    assert verdict.status is signed
    assert f"images verified at {NOW}" in verdict.evidence
    if signed is Status.FAIL:
        assert verdict.offenders[0].detail == f"is {status}: why"


@pytest.mark.parametrize("slug", [BASE, SIGNED])
def test_an_unreachable_registry_is_an_error(judge: Judge, slug: str) -> None:
    with pytest.raises(FactUnavailable, match="why") as caught:
        judge(slug, verified("verified", "unreachable"))
    assert caught.value.unread.startswith("the last verification knows nothing of the image: ")


def test_an_unknown_result_does_not_pass(judge: Judge) -> None:
    with pytest.raises(FactUnavailable, match="the image's result is unknown: 'anything else'"):
        judge(BASE, verified("verified", "anything else"))
    assert judge(SIGNED, verified("verified", "anything else")).status is Status.FAIL


@pytest.mark.parametrize("slug", [BASE, SIGNED])
def test_an_expired_exception_does_not_pass(judge: Judge, slug: str) -> None:
    assert judge(slug, verified("exempt", until="2026-11-25")).status is Status.PASS
    with pytest.raises(FactUnavailable, match=r"the exemption of the image \(why\) has ended: verify"):
        judge(slug, verified("exempt", until="2026-11-24", at="2026-11-24T04:00:00Z"))


def test_content_trust_of_a_new_client_is_judged_by_the_verification_record(judge: Judge) -> None:
    setting = {"file": "/etc/environment", "name": "DOCKER_CONTENT_TRUST", "value": "1"}
    others: dict[str, Any] = {**NEW_CLIENT, "environment": [setting]}
    assert judge(CONTENT, verified("verified", "pinned", **others)).status is Status.PASS
    assert judge(CONTENT, verified("verified", "allowed", **others)).status is Status.MANUAL
    assert judge(CONTENT, verified("verified", "unsigned", **others)).status is Status.FAIL
    old = verified("verified", at="2026-11-01T00:00:00Z", **others)
    assert judge(CONTENT, old).status is Status.NOT_APPLICABLE


def test_an_image_missing_from_the_record_is_manual(judge: Judge) -> None:
    snapshot = verified("verified")
    snapshot.raw["sources"]["docker.images"]["data"].append(image("new:1", Id="sha256:new"))
    for slug in (BASE, SIGNED):
        verdict = judge(slug, Snapshot(snapshot.raw))
        assert verdict.status is Status.MANUAL
        assert [offender.name for offender in verdict.offenders] == ["new:1"]


def test_a_verified_image_from_an_unapproved_registry_fails(judge: Judge) -> None:
    other = {"registries": ["ghcr.io"]}
    assert judge(BASE, verified("verified", policy=other)).status is Status.FAIL


def test_an_old_record_is_ignored(judge: Judge) -> None:
    snapshot = verified("unsigned", at="2026-11-17T04:00:00Z")
    verdict = judge(SIGNED, snapshot)
    assert verdict.status is Status.MANUAL
    assert "too old to decide controls" in verdict.evidence[0]
    longer = {"trust_max_age_days": 9}
    assert judge(SIGNED, verified("unsigned", at="2026-11-17T04:00:00Z", policy=longer)).status is Status.FAIL


@pytest.mark.parametrize("slug", [BASE, SIGNED])
def test_a_record_older_than_the_policy_is_ignored(judge: Judge, slug: str) -> None:
    snapshot = verified("verified")
    source = snapshot.raw["sources"]["hardener.trust"]["data"]
    source["policy_written"] = NOW
    assert judge(slug, snapshot).status is Status.PASS
    source["policy_written"] = "2026-11-25T04:00:01Z"
    verdict = judge(slug, Snapshot(snapshot.raw))
    assert verdict.status is Status.MANUAL
    assert "before the current policy was written at 2026-11-25T04:00:01Z" in verdict.evidence[0]
    source["policy_written"] = "lately"
    with pytest.raises(FactUnavailable, match=r"hardener\.trust"):
        judge(slug, Snapshot(snapshot.raw))


@pytest.mark.parametrize("at", ["", "yesterday", "2026-11-28T00:00:00Z"])
def test_a_record_without_a_valid_time_is_an_error(judge: Judge, at: str) -> None:
    with pytest.raises(FactUnavailable, match=r"hardener\.trust"):
        judge(SIGNED, verified("verified", at=at))


def test_without_a_record_there_is_no_last_verification() -> None:
    assert last_verification(make(**{"hardener.trust": absent("nobody")})) is None
    assert last_verification(make()) is None
    with pytest.raises(FactUnavailable, match="is not JSON"):
        last_verification(make(**{"hardener.trust": failed("record.json is not JSON")}))
