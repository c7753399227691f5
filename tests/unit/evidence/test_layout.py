from __future__ import annotations

import dataclasses

import pytest

from hardener.evidence import Refused
from hardener.evidence.layout import REPORTS, require_names, snapshot_name
from hardener.evidence.manifest import File, Manifest
from hardener.reports.formats import FORMATS
from tests.unit.evidence.bundles import EARLIER, contents

EARLIER_MANIFEST = Manifest.parse(contents(EARLIER / "bundle.tar.gz")["manifest.json"])
NAMES = [file.name for file in EARLIER_MANIFEST.files]


def listing(*names: str) -> Manifest:
    """The manifest of two runs, with other files."""
    return dataclasses.replace(EARLIER_MANIFEST, files=tuple(File(name, 0, "0" * 64) for name in names))


def test_a_bundle_has_every_report_format() -> None:
    missing = set(FORMATS.values()) ^ set(REPORTS)
    assert not missing, "a format more or less makes a new kind of bundle: manifest.PREDICATE"


def test_names_of_an_earlier_version_are_accepted() -> None:
    require_names(EARLIER_MANIFEST)
    assert len(NAMES) == 24


def test_a_bundle_of_today_has_no_report_for_defectdojo() -> None:
    with pytest.raises(Refused, match=r"^runs/run-a/reports/report\.defectdojo\.json: extra: "):
        require_names(dataclasses.replace(EARLIER_MANIFEST, earlier=False))


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_without_a_required_file_is_refused(name: str) -> None:
    with pytest.raises(Refused, match=f"^{name}: missing: "):
        require_names(listing(*(each for each in NAMES if each != name)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "variant",
    ["{0}x", "x{0}", "{0}.", "{0}/x", "{0} ", ".{0}", "{upper}", "{title}", "{cyrillic}", "{wide}", "./{0}"],
)
def test_a_bundle_with_an_additional_file_is_refused(name: str, variant: str) -> None:
    folder, slash, file = name.rpartition("/")
    added = f"{folder}{slash}" + variant.format(
        file,
        upper=file.swapcase(),
        title=file.title() if file.title() != file else file.capitalize(),
        cyrillic=file.translate(str.maketrans("eaAE0", "\u0435\u0430\u0410\u0415\u041e")),
        wide=file.replace(".", "\uff0e"),
    )
    assert added != name
    with pytest.raises(Refused, match="extra: no export writes a file of this name"):
        require_names(listing(*sorted([*NAMES, added])))


@pytest.mark.parametrize(
    "names",
    [[*NAMES, NAMES[-1]], NAMES[::-1], [NAMES[1], NAMES[0], *NAMES[2:]]],
    ids=["twice", "back", "swap"],
)
def test_duplicate_and_unordered_names_are_refused(names: list[str]) -> None:
    with pytest.raises(Refused, match=r"manifest\.json: lists a file twice, or files out of order"):
        require_names(listing(*names))


@pytest.mark.parametrize(
    "identifier",
    [
        *("../run-a", "run-a/reports", "", ".run", "run a", "run-\u0430", "r" * 81),
        *("RUN-A", "run-a.", "con", "CON", "nul.x", "com1", "lpt9.tar.gz"),
    ],
)
def test_a_run_needs_a_valid_identifier(identifier: str) -> None:
    run = EARLIER_MANIFEST.runs[0]
    odd = dataclasses.replace(run, info=dataclasses.replace(run.info, run_id=identifier))
    with pytest.raises(
        Refused, match=r"manifest\.json: the runs are missing, out of order, or have invalid ids"
    ):
        require_names(dataclasses.replace(EARLIER_MANIFEST, runs=(odd,)))


def test_duplicate_and_unordered_runs_are_refused() -> None:
    first, second = EARLIER_MANIFEST.runs
    for runs in ((), (first, first), (second, first)):
        with pytest.raises(Refused, match="the runs are missing, out of order, or have invalid ids"):
            require_names(dataclasses.replace(EARLIER_MANIFEST, runs=runs))


@pytest.mark.parametrize(
    "what", ["board-summary", "Waivers", "waivers.yml", "", "../reports/report", "waivers "]
)
def test_only_waivers_and_attestations_can_be_decision_files(what: str) -> None:
    run = EARLIER_MANIFEST.runs[1]
    odd = dataclasses.replace(run, declared={**run.declared, what: "0" * 64})
    with pytest.raises(Refused, match=r"manifest\.json: run run-b: .* is not a file of decisions"):
        require_names(dataclasses.replace(EARLIER_MANIFEST, runs=(odd,)))


def test_a_snapshot_that_is_not_named_after_its_host_is_refused() -> None:
    run = EARLIER_MANIFEST.runs[1]
    host = dataclasses.replace(run.hosts[0], snapshot=snapshot_name(run.folder, 1, "all hosts pass"))
    with pytest.raises(Refused, match=r"000001-all_hosts_pass\.json: wrong name: an export calls it "):
        require_names(dataclasses.replace(EARLIER_MANIFEST, runs=(dataclasses.replace(run, hosts=(host,)),)))
