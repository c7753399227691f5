from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from hardener.catalogue.known_releases import PATH
from tests.unit.snapshots import make, only

Hardener = Callable[..., Result]


def stored(folder: Path, *hosts: str) -> list[str]:
    for host in hosts:
        (folder / f"{host}.json").write_text(json.dumps(make(host=host).raw))
    return [str(folder / f"{host}.json") for host in hosts]


def hosts_in(report: Path) -> list[str]:
    return [host["host"] for host in json.loads(report.read_text())["hosts"]]


def test_snapshots_are_read_from_files_folders_and_standard_input(hardener: Hardener, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    stored(tmp_path / "more", "c", "b")
    (tmp_path / "more" / "README").touch()
    (first,) = stored(tmp_path, "z")
    report = tmp_path / "r.json"
    arguments = (first, str(tmp_path / "more"), "-", "--json", str(report))
    result = hardener("assess", *arguments, input=json.dumps(make(host="piped").raw))
    assert result.exit_code == 3
    assert hosts_in(report) == ["z", "b", "c", "piped"]
    assert json.loads(report.read_text())["run"]["ansible_version"] is None
    assert result.stderr == ""


def test_assess_does_not_import_ansible(
    hardener: Hardener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ansible_runner", None)
    monkeypatch.delitem(__import__("sys").modules, "hardener.fleet.run", raising=False)
    monkeypatch.delitem(__import__("sys").modules, "hardener.fleet", raising=False)
    assert hardener("assess", *stored(tmp_path, "a"), "--only", "2.2").exit_code == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "x.json is not JSON"),
        (b"[]", "x.json: not a snapshot: schema is 'list'"),
        (b'{"schema": "hardener/snapshot/9"}', "x.json: not a snapshot: schema is 'hardener/snapshot/9'"),
        (None, "x.json: No such file or directory"),
    ],
)
def test_an_invalid_or_missing_snapshot_is_an_error_that_names_the_file(
    hardener: Hardener, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    result = hardener("assess", *stored(tmp_path, "a"), str(path), "--junit", str(tmp_path / "j.xml"))
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "j.xml").exists()


def test_standard_input_that_is_not_json_is_an_error(hardener: Hardener) -> None:
    result = hardener("assess", "-", input="")
    assert result.exit_code == 2
    assert result.stderr.startswith("hardener: error: standard input is not JSON")


def test_standard_input_above_the_limit_is_an_error(
    hardener: Hardener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hardener.snapshot.MAX_BYTES", 10)
    result = hardener("assess", "-", input=" " * 100)
    assert result.exit_code == 2
    assert result.stderr == "hardener: error: standard input has more than 10 bytes\n"


def test_an_empty_folder_is_an_error(hardener: Hardener, tmp_path: Path) -> None:
    result = hardener("assess", str(tmp_path))
    assert result.exit_code == 2
    assert f"no snapshot in {tmp_path}" in result.stderr


def test_the_option_exit_zero_gives_exit_code_0_for_failing_controls(
    hardener: Hardener, tmp_path: Path
) -> None:
    assert hardener("assess", *stored(tmp_path, "a"), "--exit-zero").exit_code == 0


def test_selectors_of_wishes_are_refused(hardener: Hardener, tmp_path: Path) -> None:
    result = hardener("assess", *stored(tmp_path, "web1"), "--only", "wishes")
    assert result.exit_code == 2
    assert "--only wishes: it selects no control" in result.stderr


@pytest.mark.parametrize("other", ["report", "./report", "link"])
def test_two_reports_in_one_file_are_refused(hardener: Hardener, tmp_path: Path, other: str) -> None:
    report = tmp_path / "report"
    (tmp_path / "link").symlink_to(report)
    files = ("--junit", str(report), "--json", f"{tmp_path}/{other}")
    result = hardener("assess", *stored(tmp_path, "web1"), *files)
    assert result.exit_code == 2
    assert result.stderr.startswith("hardener: error: two reports would go to the same file")
    assert not report.exists()


def test_a_report_with_the_reserved_name_of_the_before_report_is_refused(
    hardener: Hardener, tmp_path: Path
) -> None:
    files = ("--json", str(tmp_path / "r.json"), "--junit", str(tmp_path / "r.before.json"))
    result = hardener("assess", *stored(tmp_path, "web1"), *files)
    assert result.exit_code == 2
    assert result.stderr.startswith("hardener: error: two reports would go to the same file")


def test_harden_refuses_an_unwritable_report_before_any_host_is_changed(
    hardener: Hardener, tmp_path: Path
) -> None:
    """A host must not be changed first and the proof of it be lost afterwards."""
    result = hardener("harden", "-i", "nowhere,", "--junit", str(tmp_path / "missing" / "junit.xml"))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"hardener: error: cannot write {tmp_path}/missing/junit.xml")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (".", "cannot write .: it is a folder (name a file in it)"),
        ("more", "cannot write more: it is a folder (name a file in it)"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_report_to_a_folder_or_an_invalid_path_is_refused(
    hardener: Hardener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more").mkdir()
    for option in ("--json", "--junit"):
        result = hardener("assess", *stored(tmp_path, "a"), option, path)
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr


@pytest.mark.parametrize("what", ["a.json", "."])
def test_a_report_does_not_overwrite_a_snapshot(
    hardener: Hardener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (snapshot,) = stored(tmp_path, "a")
    before = Path(snapshot).read_bytes()
    result = hardener("assess", what, "--json", snapshot)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "a.json is an input file, and a report would overwrite it" in result.stderr
    assert Path(snapshot).read_bytes() == before


def test_a_report_can_be_written_to_a_device(hardener: Hardener, tmp_path: Path) -> None:
    assert hardener("assess", *stored(tmp_path, "a"), "--json", "/dev/null", "--exit-zero").exit_code == 0


def test_reports_can_be_requested_by_format_name_and_by_short_option(
    hardener: Hardener, tmp_path: Path
) -> None:
    table, short, long = tmp_path / "r.csv", tmp_path / "short.json", tmp_path / "long.json"
    snapshot = stored(tmp_path, "a")
    result = hardener("assess", *snapshot, "--report", f"csv={table}", "--json", str(short))
    assert result.exit_code == 3
    assert table.read_text(encoding="utf-8-sig").startswith("host,")
    assert hosts_in(short) == ["a"]
    for title, path in (("CSV", table), ("JSON", short)):
        assert f"{title}{path}" in "".join(result.stdout.split())  # a long path stands on a line of its own
    hardener("assess", *snapshot, "--report", f"json={long}")
    assert hosts_in(long) == ["a"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("csv", "'csv' is not FORMAT=PATH"),
        ("csv=", "'csv=' is not FORMAT=PATH"),
        ("pdf=x.pdf", "unknown format 'pdf'; the formats are csv, "),
    ],
)
def test_an_unknown_format_is_refused(hardener: Hardener, tmp_path: Path, value: str, message: str) -> None:
    result = hardener("assess", *stored(tmp_path, "a"), "--report", value)
    assert result.exit_code == 2
    assert message in result.stderr


def test_two_reports_in_one_format_are_refused(hardener: Hardener, tmp_path: Path) -> None:
    files = ("--json", str(tmp_path / "a.json"), "--report", f"json={tmp_path / 'b.json'}")
    result = hardener("assess", *stored(tmp_path, "a"), *files)
    assert result.exit_code == 2
    assert "two JSON reports are requested" in result.stderr


def test_a_file_of_releases_replaces_what_hardener_knows(hardener: Hardener, tmp_path: Path) -> None:
    host = make(
        packages={"installed": only({"docker-ce": "5:30.1.0-1"})},
        **{"docker.version": {"Version": "30.1.0", "Components": []}},
    )
    (tmp_path / "h.json").write_text(json.dumps(host.raw))
    own, newer, wrong = PATH.read_text(), tmp_path / "releases.yaml", tmp_path / "wrong.yaml"
    newer.write_text(own.replace('branch: "29", newest: 29.10.0', 'branch: "30"'))
    wrong.write_text(own.replace("component: engine", "component: podman"))
    arguments = ("assess", str(tmp_path / "h.json"), "--only", "docker-version-current", "--json", "-")
    statuses = [
        json.loads(hardener(*arguments, *more).stdout)["hosts"][0]["findings"][0]["status"]
        for more in ((), ("--releases", str(newer)), ("--releases", str(PATH)))
    ]
    assert statuses == ["manual", "pass", "manual"]
    refused = hardener(*arguments, "--releases", str(wrong))
    assert refused.exit_code == 2
    assert "wrong.yaml:8: component: must be" in refused.stderr
    assert "lint" not in refused.stderr
