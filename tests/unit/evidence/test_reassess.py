from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from hardener import __version__, catalogue
from hardener.assess import assess, unreachable
from hardener.catalogue.known_releases import PATH
from hardener.decisions.files import stored_decisions
from hardener.errors import HardenerError
from hardener.evidence import Refused, RunEvidence, Selection, reassess
from hardener.evidence.reassess import Reassessed, Reassessment
from hardener.evidence.staging import stage
from hardener.model import Assessment, Decisions, Status
from tests.unit.evidence.bundles import AUDITED, BENCHMARK, DAY, WAIVERS, document, info, run, waived
from tests.unit.snapshots import make


def judged(evidence: RunEvidence, folder: Path, **changes: Any) -> Reassessed:
    """Stage a run and judge it again, as the verification of a bundle does it."""
    told, files = stage(evidence, folder)
    told = dataclasses.replace(told, **changes)
    again = Reassessment(told, {file.name: file.sha256 for file in files})
    for file in sorted(files, key=lambda file: file.name):
        content = (folder / file.name).read_bytes()
        if again.is_declared(file.name):
            again.declared(file.name, content)
        elif take := again.watch(file.name):
            for start in range(0, len(content), 100):
                take(content[start : start + 100])
        elif "/snapshots/" in file.name:
            again.snapshot(file.name, content)
    return again.finish()


def differently(**changed: Any) -> RunEvidence:
    """A run whose snapshot of db01 is another one than was judged."""
    snapshots = [("db01", document(make(host="db01", **changed))), ("web 1", document(make(host="web 1")))]
    return run(snapshots=lambda: snapshots)


ICC = {"docker.networks": [], "docker.info": {"SecurityOptions": []}}


def test_the_same_version_gives_the_same_findings(tmp_path: Path) -> None:
    assert judged(run(), tmp_path) == Reassessed("run-a", "", "", 0)


@pytest.mark.parametrize("field", ["not_begun", "change_failed"])
def test_a_host_that_was_not_changed_as_asked_keeps_the_reason_in_its_reports(
    tmp_path: Path, field: str
) -> None:
    reason: dict[str, Any] = {field: "outside its <windows>\x1b"}
    hosts = [
        dataclasses.replace(each, **reason) if each.host != "db01" else each for each in run().assessments()
    ]
    evidence = run(assessments=lambda: hosts, verb="harden")
    assert judged(evidence, tmp_path) == Reassessed("run-a", "", "", 0)


def test_findings_of_every_control_are_recomputed(tmp_path: Path) -> None:
    hosts = ["a", "b\ud800", "<script>", "\x1b[31m", "ä" * 300, "a"]
    assert judged(run(hosts=hosts, gone=["x", "x\udfff"], only=()), tmp_path).differences == 0


def test_an_unreachable_host_without_a_reason_is_judged_equally_again(tmp_path: Path) -> None:
    controls = catalogue.load(BENCHMARK)
    silent = unreachable("silent", "", controls, benchmark=BENCHMARK)
    evidence = run(assessments=lambda: [silent], snapshots=list, only=())
    assert judged(evidence, tmp_path).differences == 0


def test_a_host_with_an_unreadable_snapshot_is_reassessed_as_unreachable(tmp_path: Path) -> None:
    controls = catalogue.load(BENCHMARK)
    bad = unreachable("bad", "x.json is not JSON", controls, benchmark=BENCHMARK)
    evidence = run(assessments=lambda: [bad], snapshots=lambda: [("bad", b"not JSON")], only=())
    assert judged(evidence, tmp_path).differences == 0


def test_a_finding_that_does_not_follow_from_the_facts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"report\.ndjson: db01: daemon-icc-disabled is reported as fail, the"):
        judged(differently(**ICC), tmp_path)


def test_a_finding_with_a_changed_text_is_refused(tmp_path: Path) -> None:
    evidence = differently(system={"kernel": "6.6.6"})
    with pytest.raises(
        Refused, match=r"report\.\w+\S*: the report does not follow from the snapshots in the bundle"
    ):
        judged(evidence, tmp_path)


def another(evidence: RunEvidence, **changed: Any) -> RunEvidence:
    """The same run, judged by somebody else."""
    return dataclasses.replace(evidence, info=dataclasses.replace(info(), **changed))


def test_differences_by_another_catalogue_are_reported(tmp_path: Path) -> None:
    result = judged(another(differently(**ICC), catalogue_digest="0123456789abcdef" * 4), tmp_path)
    assert result.judge == f"hardener {__version__} with catalogue 0123456789ab"
    assert result.differences > 0


def test_differences_by_another_version_are_reported(tmp_path: Path) -> None:
    result = judged(another(differently(**ICC), tool_version="0.0.9"), tmp_path)
    assert result.judge == "hardener 0.0.9"
    assert result.differences > 0


def test_reports_of_another_version_are_not_compared(tmp_path: Path) -> None:
    result = judged(differently(system={"kernel": "6.6.6"}), tmp_path, exporter="0.0.9")
    assert (result.judge, result.writer, result.differences) == ("", "0.0.9", 0)


def test_a_control_that_no_longer_exists_is_a_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = another(run(), catalogue_digest="c" * 64)
    known = catalogue.load(BENCHMARK)
    fewer = tuple(each for each in known if each.slug != "daemon-icc-disabled")
    monkeypatch.setattr(catalogue, "load", lambda _: fewer)
    assert judged(evidence, tmp_path).differences == 3


def test_an_unknown_benchmark_is_an_error_and_not_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(HardenerError, match="unknown benchmark 'cis-docker-9'") as error:
        judged(run(), tmp_path, info=dataclasses.replace(info(), benchmark="cis-docker-9"))
    assert not isinstance(error.value, Refused)


def test_controls_missing_from_the_manifest_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="gone has other controls than the manifest"):
        judged(
            run(selection=Selection(only=("daemon-icc-disabled",))),
            tmp_path,
            controls=("daemon-icc-disabled",),
        )


def test_a_host_has_its_name_in_the_inventory_and_not_in_its_snapshot(tmp_path: Path) -> None:
    controls = catalogue.load(BENCHMARK)
    lying = make(host="somebody else")
    found: Assessment = dataclasses.replace(assess(lying, controls, benchmark=BENCHMARK), host="db01")
    evidence = run(
        assessments=lambda: [found],
        snapshots=lambda: [("db01", document(lying))],
        selection=Selection(),
    )
    assert judged(evidence, tmp_path).differences == 0


def test_a_report_with_a_line_that_is_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reassess, "_MAX_LINE", 50)
    with pytest.raises(Refused, match=r"report\.ndjson: a line of the report has more than 50 bytes"):
        judged(run(), tmp_path)


def test_waivers_in_the_bundle_are_applied_again(tmp_path: Path) -> None:
    statuses = [each.status for host in waived().assessments() for each in host.findings]
    assert Status.WAIVED in statuses
    assert judged(waived(), tmp_path) == Reassessed("run-a", "", "", 0)


def test_a_changed_decision_file_is_refused(tmp_path: Path) -> None:
    another = waived(declared=WAIVERS.replace(b"2026-11-25", b"2026-11-24"))
    with pytest.raises(Refused, match="is reported as waived, the snapshot gives fail"):
        judged(another, tmp_path)


def test_a_changed_waiver_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="the report does not follow from the snapshots in the bundle"):
        judged(waived(declared=WAIVERS.replace(b"J. Doe", b"J. Roe")), tmp_path)


@pytest.mark.parametrize("content", [b"waivers: [", b"\xff", b"x: 1", b"a: &a [*a]"])
def test_an_invalid_decision_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Refused, match=r"declared/waivers\.yml"):
        judged(waived(declared=content), tmp_path)


def test_a_decision_file_with_another_digest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        Refused,
        match=r"declared/waivers\.yml: differs from the decision file that the manifest records for the run",
    ):
        judged(waived(), tmp_path, declared={"waivers": "0" * 64})


@pytest.mark.parametrize("changed", [{"pass": 3, "fail": 0}, {"waived": 3}, {"pass": 2, "error": 4}])
def test_counts_that_do_not_match_the_reports_are_refused(tmp_path: Path, changed: dict[str, int]) -> None:
    told, _ = stage(run(), tmp_path / "told")
    with pytest.raises(Refused, match=r"manifest\.json: the counts of run run-a differ from its reports"):
        judged(run(), tmp_path / "again", counts={**told.counts, **changed})


RELEASES = {"releases": PATH.read_bytes().replace(b"2026-12-01", b"2026-11-24")}


@pytest.mark.parametrize("declared", [{}, {"waivers": b"waivers: []\n"}, RELEASES])
def test_a_decision_file_without_entries_is_not_a_difference(
    tmp_path: Path, declared: dict[str, bytes]
) -> None:
    decisions = stored_decisions(declared, name="test", today=DAY) or Decisions(DAY)
    evidence = run(info=dataclasses.replace(info(), decisions=decisions), declared=declared)
    assert judged(evidence, tmp_path).differences == 0


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(level=1),
        Selection(level=3, only=AUDITED),
        Selection(level=0, only=AUDITED),
        Selection(only=AUDITED[:2]),
        Selection(only=(*AUDITED, "daemon-live-restore")),
        Selection(only=("runtime",)),
        Selection(only=("5",)),
        Selection(only=("nonsense",)),
        Selection(only=("",)),
    ],
)
def test_a_selection_that_does_not_match_the_controls_is_refused(
    tmp_path: Path, selection: Selection
) -> None:
    with pytest.raises(Refused, match=r"^manifest\.json: .*run run-a"):
        judged(run(selection=selection), tmp_path)


@pytest.mark.parametrize("controls", [AUDITED[:2], AUDITED[1:], AUDITED[::-1]])
def test_controls_that_differ_from_the_selection_are_refused(
    tmp_path: Path, controls: tuple[str, ...]
) -> None:
    known = {control.slug: control for control in catalogue.load(BENCHMARK)}
    found = [assess(make(host="db01"), [known[slug] for slug in controls], benchmark=BENCHMARK)]
    evidence = run(hosts=("db01",), gone=(), assessments=lambda: found)
    with pytest.raises(Refused, match="the controls of run run-a do not match its selection"):
        judged(evidence, tmp_path)


def test_controls_that_another_catalogue_selected_are_not_refused(tmp_path: Path) -> None:
    told = dataclasses.replace(info(), catalogue_digest="f" * 64)
    assert judged(run(info=told, selection=Selection()), tmp_path).judge


def test_a_selection_in_another_order_gives_the_same_result(tmp_path: Path) -> None:
    assert judged(run(selection=Selection(only=(*AUDITED[::-1], "5.5"))), tmp_path).judge == ""


def test_a_false_date_at_the_end_of_the_calendar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"report\.(?:html|csv|ndjson)"):
        judged(waived(), tmp_path, decided=date.max)
