from __future__ import annotations

from datetime import date
from typing import Any, ClassVar

import pytest

from hardener.catalogue import load
from hardener.decisions.apply import Place, decider
from hardener.model import Decisions, Scope, Standing, Status, Waiver
from hardener.snapshot import FactUnavailable, Snapshot
from tests.unit.checks.judging import Judge
from tests.unit.scans import IMAGE, NOW, OPENSSL, finding, no_database, record, report, result
from tests.unit.snapshots import absent, failed, image, make

SLUG = "image-vulnerability-scan"
OTHER = "sha256:" + "cd" * 32


def scanned(*images: dict[str, Any], of: dict[str, Any] | None = None, **others: Any) -> Snapshot:
    """A host with these images, and the record ``of`` a scan."""
    source = {"hardener.scan": {"record": of or record(), "packages_changed": False}}
    snapshot = make(**{"docker.images": list(images), "docker.containers": [], **source}, **others)
    return Snapshot({**snapshot.raw, "collected_at": NOW})


def one(found: dict[str, Any], **others: Any) -> Snapshot:
    """A host with one image, in which this was found."""
    return scanned(image(Id=IMAGE), of=record({IMAGE: found}), **others)


@pytest.mark.parametrize("snapshot", [make(), make(**{"hardener.scan": absent("no scan has left a record")})])
def test_without_a_scan_the_verdict_is_manual(judge: Judge, snapshot: Snapshot) -> None:
    verdict = judge(SLUG, snapshot)
    assert verdict.status is Status.MANUAL
    assert "built 2026-11-25, sha256:67df816ec" in verdict.offenders[0].detail


def test_a_record_that_cannot_be_read_is_an_error(judge: Judge) -> None:
    with pytest.raises(FactUnavailable, match="not JSON"):
        judge(SLUG, make(**{"hardener.scan": failed("record.json is not JSON")}))


def test_a_current_image_passes(judge: Judge) -> None:
    assert judge(SLUG, one(result())).status is Status.PASS


def test_a_pending_update_fails_and_is_named(judge: Judge) -> None:
    verdict = judge(SLUG, one(result({**OPENSSL, "cves": ["CVE-2026-7"], "cves_more": 0})))
    assert verdict.status is Status.FAIL
    assert "openssl 3.0.1-1 → 3.0.22-1~deb12u2 (CVE-2026-7)" in verdict.offenders[0].detail


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        ({"image_max_updates": 1}, Status.PASS),
        ({"image_max_updates": 0}, Status.FAIL),
        ({"image_ignored_packages": ["open*"]}, Status.PASS),
        ({"image_ignored_packages": ["bash"]}, Status.FAIL),
    ],
)
def test_the_policy_sets_the_number_of_allowed_updates_and_ignored_packages(
    judge: Judge, policy: dict[str, Any], status: Status
) -> None:
    assert judge(SLUG, one(result(OPENSSL), policy=policy)).status is status


def test_packages_beyond_the_listed_ones_are_counted(judge: Judge) -> None:
    verdict = judge(SLUG, one(result(OPENSSL, more=40), policy={"image_max_updates": 40}))
    assert "41 packages" in verdict.actual


def test_a_mistake_in_the_policy_is_an_error(judge: Judge) -> None:
    with pytest.raises(FactUnavailable, match="image_max_updates"):
        judge(SLUG, one(result(), policy={"image_max_updates": "few"}))


class TestNeverAPass:
    def test_an_image_that_was_not_scanned_is_manual(self, judge: Judge) -> None:
        verdict = judge(SLUG, scanned(image(Id=OTHER), of=record({IMAGE: result()})))
        assert verdict.status is Status.MANUAL
        assert "not scanned yet" in verdict.offenders[0].detail

    @pytest.mark.parametrize("found", [result(), result(OPENSSL)])
    def test_an_old_scan_fails(self, judge: Judge, found: dict[str, Any]) -> None:
        verdict = judge(SLUG, one({**found, "scanned_at": "2026-11-10T11:00:00Z"}))
        assert verdict.status is Status.FAIL
        assert "was scanned 15 days ago, at most 7 are allowed" in verdict.offenders[0].detail

    def test_the_policy_sets_the_maximum_age(self, judge: Judge) -> None:
        found = result(scanned_at="2026-11-22T11:00:00Z")
        assert judge(SLUG, one(found)).status is Status.PASS
        assert judge(SLUG, one(found, policy={"scan_max_age_days": 2})).status is Status.FAIL

    def test_an_index_that_became_too_old_fails(self, judge: Judge) -> None:
        found = result()
        found["index"] = {**found["index"], "date": "2026-11-10T00:00:00Z"}
        assert judge(SLUG, one(found)).status is Status.FAIL

    def test_a_stale_index_is_an_error(self, judge: Judge) -> None:
        index = {"suite": "x", "date": None, "valid_until": None, "state": "stale", "reason": "it is old"}
        with pytest.raises(FactUnavailable) as caught:
            judge(SLUG, one(result(state="unknown", reason="it is old", index=index)))
        assert caught.value.unread == (
            "the last scan does not know the state of the image: it is old (1 of 1 image)"
        )

    def test_an_unreadable_image_is_an_error(self, judge: Judge) -> None:
        found = no_database(release=None, reason="the layer is gone")
        with pytest.raises(FactUnavailable, match="the layer is gone"):
            judge(SLUG, one(found))

    @pytest.mark.parametrize("found", [no_database(), no_database(state="not-scanned", kind="apk")])
    def test_an_image_whose_packages_were_not_compared_is_manual(
        self, judge: Judge, found: dict[str, Any]
    ) -> None:
        assert judge(SLUG, one(found)).status is Status.MANUAL

    @pytest.mark.parametrize("moment", ["soon", "2026-12-25T11:00:00Z", "2026-11-25T11:00:00"])
    def test_an_invalid_or_future_scan_time_is_an_error(self, judge: Judge, moment: str) -> None:
        with pytest.raises(FactUnavailable, match=r"hardener\.scan"):
            judge(SLUG, one(result(scanned_at=moment)))

    @pytest.mark.parametrize("document", [None, {}, {"format": "x"}, {**record(), "images": []}])
    def test_a_record_of_the_wrong_type_is_an_error(self, judge: Judge, document: Any) -> None:
        source = {"hardener.scan": {"record": document, "packages_changed": False}}
        snapshot = make(**{"docker.images": [image(Id=IMAGE)], "docker.containers": [], **source})
        with pytest.raises(FactUnavailable, match=r"hardener\.scan"):
            judge(SLUG, snapshot)


def test_an_image_of_an_unsupported_release_fails_whatever_its_packages(judge: Judge) -> None:
    buster = {"distribution": "debian", "version": "10", "codename": "buster", "title": "Debian 10"}
    for found in (result(release=buster), no_database(release=buster)):
        verdict = judge(SLUG, one(found))
        assert verdict.status is Status.FAIL
        assert "Debian 10, without security updates since 2024-06-30" in verdict.offenders[0].detail


class TestTwoKindsOfPackages:
    BESIDE: ClassVar[dict[str, str]] = {"reason": "Alpine's packages are not compared"}

    def test_a_partly_compared_image_without_updates_is_manual(self, judge: Judge) -> None:
        verdict = judge(SLUG, one(result(state="not-scanned", **self.BESIDE)))
        assert verdict.status is Status.MANUAL

    def test_a_partly_compared_image_with_allowed_updates_is_manual(self, judge: Judge) -> None:
        found, policy = result(OPENSSL, **self.BESIDE), {"image_max_updates": 1}
        assert judge(SLUG, one(found)).status is Status.FAIL
        assert judge(SLUG, one(found, policy=policy)).status is Status.MANUAL
        both = record({IMAGE: found}, imported={IMAGE: [report()]})
        assert judge(SLUG, scanned(image(Id=IMAGE), of=both, policy=policy)).status is Status.PASS


class TestOtherScanners:
    def reported(self, *findings: dict[str, str], **changes: Any) -> Snapshot:
        found = record({IMAGE: no_database(state="not-scanned")})
        return scanned(image(Id=IMAGE), of={**found, "imported": {IMAGE: [report(*findings, **changes)]}})

    def test_an_image_that_was_not_compared_fails_by_findings_of_an_imported_report(
        self, judge: Judge
    ) -> None:
        assert judge(SLUG, self.reported()).status is Status.PASS
        assert judge(SLUG, self.reported(finding(fixed=""))).status is Status.PASS
        assert judge(SLUG, self.reported(finding())).status is Status.FAIL

    def test_an_old_report_is_ignored(self, judge: Judge) -> None:
        verdict = judge(SLUG, self.reported(created="2026-11-01T00:00:00Z"))
        assert verdict.status is Status.MANUAL
        assert any("trivy is 24 days old" in fact for fact in verdict.evidence)

    def test_a_report_on_language_packages_does_not_cover_system_packages(self, judge: Judge) -> None:
        verdict = judge(SLUG, self.reported(system=False))
        assert verdict.status is Status.MANUAL
        assert any("does not cover packages of the operating system" in fact for fact in verdict.evidence)
        assert judge(SLUG, self.reported(finding("npm"), system=False)).status is Status.FAIL

    def test_an_image_without_a_distribution_passes_with_a_clean_imported_report(self, judge: Judge) -> None:
        nothing = no_database(release={"distribution": "", "version": "", "codename": "", "title": ""})
        found = record({IMAGE: nothing}, imported={IMAGE: [report(system=False)]})
        assert judge(SLUG, scanned(image(Id=IMAGE), of=found)).status is Status.PASS

    def test_an_image_whose_imported_report_names_an_end_of_life_release_fails(self, judge: Judge) -> None:
        verdict = judge(SLUG, self.reported(ended="alpine 3.12.1"))
        assert verdict.status is Status.FAIL
        assert "alpine 3.12.1, which no longer gets security updates" in verdict.offenders[0].detail

    def test_findings_beyond_the_listed_ones_are_counted(self, judge: Judge) -> None:
        found = record({IMAGE: no_database()}, imported={IMAGE: [report(finding("linux"), more_fixed=40)]})
        policy = {"image_ignored_packages": ["linux"]}
        verdict = judge(SLUG, scanned(image(Id=IMAGE), of=found, policy=policy))
        assert verdict.status is Status.FAIL
        assert (
            "has 40 vulnerabilities with an available fix, as trivy found on 2026-11-25: 40 more"
            in verdict.offenders[0].detail
        )

    def test_findings_of_imported_reports_are_added_to_those_of_the_scan(self, judge: Judge) -> None:
        found = record({IMAGE: result()}, imported={IMAGE: [report(finding("npm"))]})
        assert judge(SLUG, scanned(image(Id=IMAGE), of=found)).status is Status.FAIL


def test_a_waiver_covers_the_image_that_it_names(judge: Judge) -> None:
    both = record({IMAGE: result(OPENSSL), OTHER: result(OPENSSL)})
    snapshot = scanned(image("old:1", Id=IMAGE), image("other:1", Id=OTHER), of=both)
    verdict = judge(SLUG, snapshot)
    (control,) = (each for each in load("cis-docker-1.8.0") if each.slug == SLUG)
    waiver = _waiver(("image", "old:*"))
    finding = decider(Decisions(waiver.expires, waivers=(waiver,)), Place("h"))(control, verdict)
    assert [each.name for each in finding.verdict.offenders] == ["other:1"]
    assert finding.waivers[0].standing is Standing.IN_FORCE


def _waiver(*objects: tuple[str, str]) -> Waiver:
    return Waiver(
        id="w",
        control=SLUG,
        scope=Scope(hosts=("h",), groups=(), objects=objects),
        reason="rebuilt next week",
        owner="me",
        approved_by="you",
        ticket="",
        created=date(2026, 11, 1),
        expires=date(2026, 12, 1),
    )
