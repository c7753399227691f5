from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardener import catalogue
from hardener.errors import ExitCode, HardenerError
from hardener.model import Control

NEWEST = "cis-docker-1.8.0"
OWN = [
    f"H.{number}"
    for number in range(1, 1 + sum(each.section == "protection" for each in catalogue.load(NEWEST)))
]


def ids(controls: tuple[Control, ...], benchmark: str = NEWEST) -> list[str]:
    return [control.benchmarks[benchmark].id for control in controls]


def test_benchmarks_are_named_oldest_first() -> None:
    assert catalogue.benchmarks() == ("cis-docker-1.6.0", "cis-docker-1.7.0", "cis-docker-1.8.0")
    assert catalogue.DEFAULT_BENCHMARK in catalogue.benchmarks()


def test_ids_are_ordered_as_numbers_and_hardeners_own_come_last() -> None:
    order = ids(catalogue.load(NEWEST))
    assert order[:3] == ["1.1.1", "1.1.2", "1.1.3"]
    assert order.index("1.1.9") + 1 == order.index("1.1.10")
    assert order.index("1.1.18") + 1 == order.index("1.2.1")
    assert order[order.index("7.9") + 1 :] == OWN


def test_an_unknown_benchmark_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(
        HardenerError, match=r"unknown benchmark '1\.8\.0' \(one of: .*cis-docker-1\.8\.0\)"
    ) as caught:
        catalogue.load("1.8.0")
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_benchmark_name_cannot_be_a_path() -> None:
    with pytest.raises(HardenerError, match="unknown benchmark"):
        catalogue.load("../controls/daemon")


@pytest.mark.parametrize("text", ["daemon-tls-verify", "2.8", " 2.8 ", "Daemon-TLS-Verify"])
def test_a_control_is_found_by_its_slug_and_by_its_id(text: str) -> None:
    assert catalogue.find(text, NEWEST).slug == "daemon-tls-verify"


def test_an_id_is_looked_up_in_the_named_benchmark() -> None:
    assert catalogue.find("2.7", "cis-docker-1.7.0").slug == "daemon-tls-verify"
    assert catalogue.find("2.7", "cis-docker-1.8.0").slug == "daemon-storage-devicemapper-absent"
    assert catalogue.find("h.1", "cis-docker-1.6.0").slug == "host-updates-pending"


@pytest.mark.parametrize(
    ("text", "benchmark", "hint"),
    [
        ("daemon-icc-disable", NEWEST, "did you mean daemon-icc-disabled"),
        ("icc", NEWEST, "did you mean daemon-icc-disabled"),
        ("2.55", NEWEST, "did you mean 2.5"),
        ("daemon-storage-devicemapper-absent", "cis-docker-1.7.0", "is 2.7 in cis-docker-1.8.0"),
        ("2.19", "cis-docker-1.7.0", "daemon-experimental-off is .*2.19 in cis-docker-1.8.0"),
        ("", NEWEST, "`hardener controls` lists them all"),
        ("\x1b[31m", NEWEST, "`hardener controls` lists them all"),
    ],
)
def test_an_unknown_control_is_an_error_with_suggestions(text: str, benchmark: str, hint: str) -> None:
    with pytest.raises(HardenerError, match=hint) as caught:
        catalogue.find(text, benchmark)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("text", ["container-no-docker-sock", "5.32", " 5.32 ", "Container-No-Docker-Sock"])
def test_an_id_without_a_benchmark_is_found_if_it_is_unambiguous(text: str) -> None:
    assert catalogue.find_anywhere(text).slug == "container-no-docker-sock"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("2.8", "2.8 means different controls: .*daemon-tls-verify in cis-docker-1.8.0.*give the name"),
        ("daemon-icc-disable", "did you mean daemon-icc-disabled"),
        ("", "there is no control ''"),
    ],
)
def test_an_ambiguous_or_unknown_id_is_an_error_with_suggestions(text: str, hint: str) -> None:
    with pytest.raises(HardenerError, match=hint):
        catalogue.find_anywhere(text)


def test_without_a_selector_every_control_is_selected() -> None:
    controls = catalogue.load(NEWEST)
    assert catalogue.select(controls, benchmark=NEWEST) == controls


def test_level_1_excludes_level_2_and_leaves_no_section_empty() -> None:
    selected = catalogue.select(catalogue.load(NEWEST), benchmark=NEWEST, level=1)
    assert {control.benchmarks[NEWEST].level for control in selected} == {1}
    assert len(selected) == 87 + len(OWN)
    assert {control.section for control in selected} == {each.section for each in catalogue.load(NEWEST)}


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["container-not-privileged"], ["5.5"]),
        (["5.5"], ["5.5"]),
        (["5.1"], ["5.1"]),
        (["6"], ["6.1", "6.2"]),
        (["1.2"], ["1.2.1", "1.2.2"]),
        (["operations"], ["6.1", "6.2"]),
        (["H"], OWN),
        (["protection"], OWN),
        (["6.2", "2.2", "daemon-icc-disabled"], ["2.2", "6.2"]),
    ],
)
def test_selected_controls_are_in_benchmark_order(only: list[str], expected: list[str]) -> None:
    assert ids(catalogue.select(catalogue.load(NEWEST), benchmark=NEWEST, only=only)) == expected


def test_a_section_and_a_level_are_combined() -> None:
    selected = catalogue.select(catalogue.load(NEWEST), benchmark=NEWEST, level=1, only=["3"])
    assert len(selected) == 18
    assert "3.17" not in ids(selected)


@pytest.mark.parametrize(
    ("only", "hint"),
    [
        ("runtme", "did you mean runtime"),
        ("zzz", "`hardener controls` lists them all"),
        ("8", "did you mean 1.1.8"),
        ("5.", "did you mean 5"),
        ("2.99", "did you mean 2.9"),
        ("", "lists them all"),
    ],
)
def test_a_selector_that_matches_nothing_is_an_error(only: str, hint: str) -> None:
    with pytest.raises(HardenerError, match=hint):
        catalogue.select(catalogue.load(NEWEST), benchmark=NEWEST, only=["5.5", only])


def test_a_selection_without_controls_is_an_error() -> None:
    with pytest.raises(HardenerError, match="above level 1"):
        catalogue.select(catalogue.load(NEWEST), benchmark=NEWEST, level=1, only=["daemon-userns-remap"])


@pytest.fixture
def copy_of_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    data = tmp_path / "catalogue"
    shutil.copytree(Path(catalogue.__file__).parent, data)
    monkeypatch.setattr(catalogue, "_DATA", data)
    catalogue.digest.cache_clear()
    yield data
    catalogue.digest.cache_clear()


def test_the_digest_depends_on_every_file_of_the_catalogue_and_on_no_other(copy_of_the_data: Path) -> None:
    def digest() -> str:
        catalogue.digest.cache_clear()
        return catalogue.digest()

    first = digest()
    assert len(first) == 64
    (copy_of_the_data / "notes.txt").write_text("not part of it")
    assert digest() == first
    for path in sorted(copy_of_the_data.rglob("*.yaml")):
        original = path.read_bytes()
        path.write_bytes(original + b"\n")
        assert digest() != first, path.name
        path.write_bytes(original)
    assert digest() == first


def test_the_digest_depends_on_the_boundaries_of_files(copy_of_the_data: Path) -> None:
    first = catalogue.digest()
    (copy_of_the_data / "controls" / "zero.yaml").write_text("")
    catalogue.digest.cache_clear()
    assert catalogue.digest() != first


def test_the_section_of_a_control_depends_on_the_benchmark() -> None:
    first, *_, last = catalogue.load(NEWEST)
    assert first.section_in(NEWEST) == "1 host"
    assert last.section_in(NEWEST) == "H protection"
    assert first.section_in("another") == "host"
