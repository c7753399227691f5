from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent, Failed
from ansible_collections.hardener.docker.plugins.module_utils.scan import openscap
from ansible_collections.hardener.docker.plugins.module_utils.scan.inventory import Release

TRIXIE = Release("debian", "13", "trixie", "Debian 13")
RULE = "xccdf_org.ssgproject.content_rule_"


def results(**outcomes: str) -> str:
    """An XCCDF file with results, as oscap writes it."""
    rules = "".join(
        f'<Group><Rule id="{RULE}{name}"><title>Have <b>{name}</b></title></Rule></Group>'
        for name in outcomes
    )
    found = "".join(
        f'<rule-result idref="{RULE}{name}" severity="high"><result>{result}</result></rule-result>'
        for name, result in outcomes.items()
    )
    head = '<Benchmark xmlns="http://checklists.nist.gov/xccdf/1.2">'
    return f"{head}{rules}<TestResult>{found}</TestResult></Benchmark>"


@pytest.fixture
def oscap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An oscap that writes what ``answer.xml`` holds and ends as ``code`` says; ``asked`` is its command."""
    program = tmp_path / "oscap"
    program.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = --version ] && {{ echo "oscap 1.4"; exit; }}\n'
        f'echo "$@" > {tmp_path}/asked\n'
        f'cat "$4" > {tmp_path}/tailoring.xml\n'
        f'[ -e {tmp_path}/answer.xml ] && cat {tmp_path}/answer.xml > "$8"\n'
        f"echo 'W: a warning' >&2; echo 'E: no such profile' >&2\nexit $(cat {tmp_path}/code)\n"
    )
    program.chmod(0o755)
    (tmp_path / "code").write_text("2")
    (tmp_path / "ds.xml").write_text("")
    monkeypatch.setattr(openscap, "find_program", lambda _: str(program))
    monkeypatch.setattr(openscap, "run", lambda *_, **__: "oscap 1.4\nmore\n")
    return tmp_path


def test_results_of_openscap_are_read(oscap: Path) -> None:
    (oscap / "answer.xml").write_text(results(a="pass", c="fail", b="fail", d="notapplicable", e="error"))
    found = openscap.evaluate(TRIXIE, content=str(oscap / "ds.xml"))
    assert found["counts"] == {"pass": 1, "fail": 2, "notapplicable": 1, "error": 1}
    assert found["failed"][0] == {"id": "b", "severity": "high", "title": "Have b"}
    assert (found["tool"], found["content"], found["profile"]) == ("oscap 1.4", "ds.xml", "cis_level1_server")
    assert (oscap / "asked").read_text().split()[4:6] == ["--profile", openscap.PROFILE]
    tailored = (oscap / "tailoring.xml").read_text()
    assert 'extends="xccdf_org.ssgproject.content_profile_cis_level1_server"' in tailored
    assert f'idref="{RULE}kernel_module_overlayfs_disabled" selected="false"' in tailored


@pytest.mark.parametrize("outcomes", [{}, {"a": "notapplicable"}, {"a": "notselected", "b": "error"}])
def test_an_evaluation_without_applicable_rules_is_an_error(oscap: Path, outcomes: dict[str, str]) -> None:
    (oscap / "answer.xml").write_text(results(**outcomes))
    (oscap / "code").write_text("0")
    with pytest.raises(Failed, match=r"no rule of cis_level1_server in ds\.xml applies"):
        openscap.evaluate(TRIXIE, content=str(oscap / "ds.xml"))


def test_an_error_of_openscap_is_quoted(oscap: Path) -> None:
    (oscap / "code").write_text("1")
    with pytest.raises(Failed, match="oscap: E: no such profile"):
        openscap.evaluate(TRIXIE, content=str(oscap / "ds.xml"))


@pytest.mark.parametrize("text", ["", "<a", "no xml"])
def test_unreadable_results_are_an_error(oscap: Path, text: str) -> None:
    (oscap / "answer.xml").write_text(text)
    with pytest.raises(Failed, match="cannot be read"):
        openscap.evaluate(TRIXIE, content=str(oscap / "ds.xml"))


def test_content_for_the_exact_release_is_needed(oscap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Absent, match=r"ssg-debian13-ds\.xml"):
        openscap.evaluate(TRIXIE)
    monkeypatch.setattr(openscap, "CONTENT", str(oscap))
    (oscap / "ssg-ubuntu2204-ds.xml").write_text("")
    (oscap / "answer.xml").write_text(results(a="pass"))
    assert openscap.evaluate(Release("ubuntu", "22.04", "jammy", ""))["content"] == "ssg-ubuntu2204-ds.xml"


def test_a_missing_tool_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openscap, "find_program", lambda _: None)
    with pytest.raises(Absent, match="openscap-scanner"):
        openscap.evaluate(TRIXIE)


@pytest.mark.parametrize("profile", ["CIS", "a b", '"><x', "../x"])
def test_a_profile_must_be_a_valid_name(profile: str) -> None:
    with pytest.raises(Failed, match="not the name of a profile"):
        openscap.evaluate(TRIXIE, profile=profile)


def test_every_tailored_rule_has_a_reason() -> None:
    assert all(len(reason) > 20 for reason in openscap.LEFT_OUT.values())
