"""The catalogue's data, as strictly as it can be judged: counts, ids, texts, mappings, checks and roles."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import sysctls

from hardener import catalogue
from hardener.catalogue.words import FRAMEWORKS, IMPACTS, SOURCES
from hardener.checks import all_checks
from hardener.content import content_dir
from hardener.model import Control, Impact, Status

DATA = Path(catalogue.__file__).parent
SECTIONS = sorted(path.stem for path in (DATA / "controls").glob("*.yaml"))
CONTROLS = catalogue.every_control()
OWN = {control.slug for control in CONTROLS if control.section == "protection"}

FIELDS = [
    "title",
    "failing",
    "severity",
    "benchmarks",
    "rationale",
    "decision",
    "unseen",
    "fix",
    "remediation",
    "mappings",
]
REQUIREMENT = {
    "cis-controls-v8": r"\d{1,2}(\.\d{1,2})?",
    "nist-800-190": r"4\.[1-5]\.[1-5]|6\.4",
    "nist-800-53r5": r"[A-Z]{2}-\d{1,2}(\(\d{1,2}\))?",
    "pci-dss-4.0": r"\d{1,2}(\.\d{1,2}){2,3}",
}

every_control = pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.slug)
every_benchmark = pytest.mark.parametrize("benchmark", catalogue.benchmarks())


class UniqueKeys(yaml.SafeLoader):
    """Refuses a key given twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        twice = [key for key, count in Counter(keys).items() if count > 1]
        if twice:
            raise ValueError(f"given twice: {twice}")
        return super().construct_mapping(node, deep)


def read(path: Path) -> dict[str, Any]:
    data = yaml.load(path.read_text(), UniqueKeys)
    assert isinstance(data, dict)
    return data


@pytest.mark.parametrize("path", sorted(DATA.rglob("*.yaml")), ids=lambda path: path.stem)
def test_no_key_is_given_twice(path: Path) -> None:
    assert read(path)


@pytest.mark.parametrize(
    ("benchmark", "recommendations", "level_1", "automated"),
    [
        ("cis-docker-1.6.0", 117, 86, 21),
        ("cis-docker-1.7.0", 117, 86, 23),
        ("cis-docker-1.8.0", 118, 87, 23),
    ],
)
def test_every_recommendation_has_a_control(
    benchmark: str, recommendations: int, level_1: int, automated: int
) -> None:
    places = [
        control.benchmarks[benchmark] for control in catalogue.load(benchmark) if control.slug not in OWN
    ]
    assert len(places) == recommendations
    assert Counter(place.level for place in places) == {1: level_1, 2: recommendations - level_1}
    assert Counter(place.assessment for place in places) == {
        "automated": automated,
        "manual": recommendations - automated,
    }


@every_control
def test_a_failing_control_is_named_by_what_is_wrong(control: Control) -> None:
    assert control.failing
    assert control.failing != control.title
    assert len(control.failing) <= 80
    assert not control.failing.endswith(".")
    assert [each.slug for each in CONTROLS if each.failing == control.failing] == [control.slug]
    for status in Status:
        is_wrong = status in (Status.FAIL, Status.WAIVED)
        assert control.title_if(status) == (control.failing if is_wrong else control.title)


@every_benchmark
def test_ids_are_unique_and_without_gaps(benchmark: str) -> None:
    ids = [control.benchmarks[benchmark].id for control in catalogue.load(benchmark)]
    assert len(set(ids)) == len(ids)
    last: dict[str, int] = {}
    for identifier in ids:
        above, _, number = identifier.rpartition(".")
        assert int(number) == last.get(above, 0) + 1, identifier
        last[above] = int(number)
    titles = catalogue.sections(benchmark)
    assert set(last) <= set(titles)
    assert all(titles.values())


@pytest.mark.parametrize("section", SECTIONS)
def test_the_benchmarks_of_a_control_exist(section: str) -> None:
    for slug, entry in read(DATA / "controls" / f"{section}.yaml").items():
        names = list(entry["benchmarks"])
        if names != [catalogue.EVERY]:
            assert names == sorted(set(names) & set(catalogue.benchmarks())), slug
        for place in entry["benchmarks"].values():
            assert list(place) == ["id", "level", "assessment"], slug
            assert isinstance(place["id"], str), "an id without quotes is a number in YAML"
            assert place["level"] in (1, 2)
            assert place["assessment"] in ("automated", "manual")


def test_hardeners_own_controls_belong_to_every_benchmark() -> None:
    for control in CONTROLS:
        assert (control.slug in OWN) == (next(iter(control.benchmarks.values())).id.startswith("H."))
        if control.slug in OWN:
            assert set(control.benchmarks) == set(catalogue.benchmarks())
            assert len({(place.id, place.level) for place in control.benchmarks.values()}) == 1


def test_controls_are_unique_and_each_belongs_to_a_benchmark() -> None:
    slugs = [control.slug for control in CONTROLS]
    titles = [control.title for control in CONTROLS]
    assert len(set(slugs)) == len(slugs)
    assert len(set(titles)) == len(titles)
    assert all(control.benchmarks for control in CONTROLS)


def test_each_section_has_a_control() -> None:
    assert {control.section for control in CONTROLS} == set(SECTIONS)


@pytest.mark.parametrize("section", SECTIONS)
def test_controls_are_in_the_order_of_the_newest_benchmark(section: str) -> None:
    newest = [
        control.slug for control in catalogue.load(catalogue.benchmarks()[-1]) if control.section == section
    ]
    assert list(read(DATA / "controls" / f"{section}.yaml")) == newest


@pytest.mark.parametrize("section", SECTIONS)
def test_each_control_has_all_fields_in_order(section: str) -> None:
    for slug, entry in read(DATA / "controls" / f"{section}.yaml").items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", slug)
        assert list(entry) == FIELDS, slug


@every_control
def test_texts_of_a_control_are_long_enough_and_contain_no_placeholder(control: Control) -> None:
    assert 20 <= len(control.title) <= 90
    assert not control.title.endswith(".")
    assert "|" not in control.title  # titles stand in tables
    for text, least in (
        (control.rationale, 50),
        (control.decision, 70),
        (control.unseen, 50),
        (control.fix, 40),
    ):
        assert len(text) >= least
        assert text == text.strip()
        assert text.replace("…", "").isascii()
        assert not re.search(r"\b(TODO|FIXME|XXX|TBD)\b", text)


@every_control
def test_prose_is_markdown_without_hidden_content(control: Control) -> None:
    for text in (control.rationale, control.decision, control.unseen, control.fix):
        prose = "\n\n".join(part for part in text.split("\n\n") if not part.startswith(" "))
        assert prose.count("`") % 2 == 0
        outside = re.sub(r"`[^`]*`", "", prose)
        assert not re.search(r"[<>*]|\b_|_\b", outside), "would be taken for HTML or emphasis"
        assert "\n" not in prose.replace("\n\n", ""), "a paragraph that did not fold"


@every_control
def test_controls_named_in_texts_exist(control: Control) -> None:
    slugs = {other.slug for other in CONTROLS}
    named = re.findall(
        r"`((?:audit|daemon|file|image|container|exec|ops|swarm|host)(?:-[a-z0-9]+)+|docker-group[a-z-]*)`",
        f"{control.rationale} {control.decision} {control.unseen} {control.fix}",
    )
    assert set(named) <= slugs


@every_control
def test_framework_mappings_are_ordered_and_have_a_known_source(control: Control) -> None:
    frameworks = [mapping.framework for mapping in control.mappings]
    assert frameworks == [name for name in FRAMEWORKS if name in frameworks]
    assert {"cis-controls-v8", "nist-800-190", "nist-800-53r5"} <= set(frameworks)
    for mapping in control.mappings:
        assert mapping.source in SOURCES
        assert mapping.requirements
        assert len(set(mapping.requirements)) == len(mapping.requirements)
        for requirement in mapping.requirements:
            assert isinstance(requirement, str), "an id without quotes is a number in YAML"
            assert re.fullmatch(REQUIREMENT[mapping.framework], requirement), requirement
        by_benchmark = mapping.framework == "cis-controls-v8" and control.slug not in OWN
        assert mapping.source == ("benchmark" if by_benchmark else "judgement")


def test_every_impact_and_framework_has_a_label() -> None:
    assert set(IMPACTS) == set(Impact)
    assert set(FRAMEWORKS) == set(REQUIREMENT)


def test_every_control_has_a_check_and_every_check_a_control() -> None:
    checks = all_checks()
    slugs = {control.slug for control in CONTROLS}
    assert sorted(slugs - set(checks)) == []
    assert sorted(set(checks) - slugs) == []


def test_the_kernel_baseline_is_described_from_its_table() -> None:
    told = catalogue.find("host-kernel-settings", catalogue.DEFAULT_BENCHMARK).decision
    assert "{" not in told
    assert "`kernel.kptr_restrict` 1 or 2, `kernel.dmesg_restrict` 1, " in told
    assert re.findall(r"`([a-z0-9_.-]+\.[a-z0-9_.-]+)`", told) == [each.key for each in sysctls.judged()]


@pytest.mark.parametrize(
    ("role", "variable"),
    sorted({(fix.role, fix.variable) for fix in (control.remediation for control in CONTROLS) if fix}),
)
def test_a_remediation_names_a_role_and_its_variable(role: str, variable: str) -> None:
    path = content_dir() / "roles" / role / "meta" / "argument_specs.yml"
    specification = yaml.safe_load(path.read_text())
    assert variable in specification["argument_specs"]["main"]["options"]


def test_every_role_except_the_listed_ones_remediates_a_control() -> None:
    rendered = {path.stem for path in content_dir().glob("plugins/module_utils/render/*.py")}
    protections = rendered & {path.name for path in content_dir().glob("roles/*")}
    remediating = {control.remediation.role for control in CONTROLS if control.remediation}
    # No control applies without an engine; what images are trusted, and who listens, only the site
    # knows; what a scan finds only a rebuild repairs.
    others = {"docker_engine", "content_trust", "activity", "vulnerability_scan", "workload_profiles"}
    assert protections - others == remediating
