from __future__ import annotations

import pytest

from hardener import catalogue
from hardener.cli.controls import controls
from hardener.errors import HardenerError
from tests.unit.cli.fake_fleet import runner


def run(*arguments: str) -> list[str]:
    result = runner().invoke(controls, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stderr == ""
    return result.stdout.splitlines()


@pytest.mark.parametrize("benchmark", catalogue.benchmarks())
def test_every_control_is_listed_in_order(benchmark: str) -> None:
    header, *lines = run("--benchmark", benchmark)
    assert header.split() == ["ID", "LEVEL", "SEVERITY", "SLUG", "REMEDIATED", "BY", "TITLE"]
    wanted = catalogue.load(benchmark)
    assert len(lines) == len(wanted)
    for line, control in zip(lines, wanted, strict=True):
        place = control.benchmarks[benchmark]
        role = control.remediation.role if control.remediation else "-"
        cells = line.split(maxsplit=5)
        assert cells == [place.id, str(place.level), control.severity, control.slug, role, control.title]


def test_columns_are_aligned() -> None:
    header, *lines = run()
    start = header.index("TITLE")
    assert all(line[start - 1] == " " and line[start] != " " for line in lines)


def test_the_newest_benchmark_is_the_default() -> None:
    assert run() == run("--benchmark", "cis-docker-1.8.0")


def test_an_unknown_benchmark_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(HardenerError, match=r"unknown benchmark 'nope' \(one of: cis-docker-1\.6\.0"):
        run("--benchmark", "nope")
