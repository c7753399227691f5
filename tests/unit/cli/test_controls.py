from __future__ import annotations

import pytest

from hardener import catalogue
from hardener.cli.controls import _describe, controls
from hardener.errors import HardenerError
from hardener.model import Control
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


def explained(*arguments: str, color: bool = False) -> str:
    result = runner().invoke(controls, arguments, color=color, catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stderr == ""
    return result.stdout


def test_every_part_of_a_control_is_shown() -> None:
    control = catalogue.find("daemon-icc-disabled", catalogue.DEFAULT_BENCHMARK)
    output = explained("daemon-icc-disabled")
    flat = " ".join(output.split())
    assert output.startswith(f"{control.title}\ndaemon-icc-disabled\n")
    for text in (control.rationale, control.decision, control.fix):
        assert " ".join(text.split()) in flat
    assert "cis-docker-1.6.0 2.2 level 1 manual" in flat
    assert "role `docker_daemon`, variable `docker_daemon_icc`. Impact daemon-restart: the daemon" in flat
    assert "CIS Controls v8 12.3 (by the benchmark)" in flat
    assert "PCI DSS 4.0 1.3.1, 1.4.1 (by this project's judgement)" in flat


def test_a_control_without_a_remediating_role_is_reported() -> None:
    assert "No role remediates this control" in explained("container-not-privileged")


def test_an_id_is_looked_up_in_the_given_benchmark() -> None:
    assert "Note: 2.7 is daemon-tls-verify in cis-docker-1.6.0, cis-docker-1.7.0\n" in explained("2.7")
    older = explained("2.7", "--benchmark", "cis-docker-1.7.0")
    assert "\ndaemon-tls-verify\n" in older
    assert "Note: 2.7 is daemon-storage-devicemapper-absent in cis-docker-1.8.0\n" in older
    assert "Note:" not in explained("5.5")


def test_hardeners_own_controls_are_explained() -> None:
    assert "\nhost-updates-pending\n" in explained("H.1")


def test_prose_is_wrapped_and_command_lines_are_not() -> None:
    rule = (
        "      -a always,exit -F arch=b64 -F path=/usr/bin/containerd-shim-runc-v2 -F perm=wxa -F key=docker"
    )
    lines = explained("audit-bin-containerd-shim-runc-v2").splitlines()
    assert rule in lines
    assert all(len(line) <= 100 for line in lines if line != rule)


@pytest.mark.parametrize("width", [20, 40, 80])
def test_prose_is_wrapped_to_the_width_of_the_terminal(width: int) -> None:
    control = catalogue.find("daemon-live-restore", catalogue.DEFAULT_BENCHMARK)
    text = "\n".join(_describe(control, catalogue.DEFAULT_BENCHMARK, width))
    prose = text[text.index("Why") : text.index("How it is decided")].splitlines()
    assert max(map(len, prose)) <= width
    assert " ".join(control.rationale.split()) in " ".join(text.split())


def test_no_escape_sequences_without_a_terminal_or_with_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" not in explained("5.5")
    assert "\x1b[1mWhy\x1b[0m" in explained("5.5", color=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in explained("5.5", color=True)


@pytest.mark.parametrize("control", catalogue.every_control(), ids=lambda control: control.slug)
def test_every_control_can_be_explained(control: Control) -> None:
    benchmark = tuple(control.benchmarks)[-1]
    output = explained(control.slug, "--benchmark", benchmark)
    assert " ".join(control.fix.split()) in " ".join(output.split())


def test_an_unknown_control_is_an_error_with_suggestions() -> None:
    with pytest.raises(HardenerError, match="did you mean daemon-icc-disabled"):
        explained("icc-disabled")
