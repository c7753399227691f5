from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from junitparser import JUnitXml

from hardener import catalogue
from hardener.errors import HardenerError
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.snapshots import failed, make

Hardener = Callable[..., Result]


def slug_that(status: str, tmp_path: Path, hardener: Hardener) -> str:
    """A control that has this status on the base snapshot."""
    (tmp_path / "base.json").write_text(json.dumps(make().raw))
    hardener("assess", str(tmp_path / "base.json"), "--json", str(tmp_path / "base.out.json"))
    findings = json.loads((tmp_path / "base.out.json").read_text())["hosts"][0]["findings"]
    return str(next(each["slug"] for each in findings if each["status"] == status))


def test_every_host_is_in_every_report(hardener: Hardener, fleet: FakeFleet, tmp_path: Path) -> None:
    fleet.snapshots = {
        "web2": make(host="web2"),
        "gone": "ssh: connection refused",
        "web1": make(host="web1"),
    }
    junit, native = tmp_path / "junit.xml", tmp_path / "report.json"
    result = hardener("audit", "-i", "inv,", "--junit", str(junit), "--json", str(native))
    assert result.exit_code == 3
    report = json.loads(native.read_text())
    assert [host["host"] for host in report["hosts"]] == ["web2", "gone", "web1"]
    count = len(catalogue.load(catalogue.DEFAULT_BENCHMARK))
    assert {len(host["findings"]) for host in report["hosts"]} == {count}
    assert report["hosts"][1]["unreachable"] == "ssh: connection refused"
    assert report["run"]["ansible_version"].startswith("2.")
    assert [suite.name for suite in JUnitXml.fromfile(str(junit))] == ["web2", "gone", "web1"]
    assert "gone" in result.stdout
    assert "ssh: connection refused" in result.stdout
    assert "gone: unreachable: ssh: connection refused\n" in result.stderr
    assert "audit: 3 of 3 hosts, 1 unreachable" in result.stderr


@pytest.mark.parametrize(("status", "code"), [("pass", 0), ("fail", 3), ("manual", 0), ("not_applicable", 0)])
def test_only_a_failing_finding_gives_an_audit_exit_code_3(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path, status: str, code: int
) -> None:
    slug = slug_that(status, tmp_path, hardener)
    fleet.snapshots = {"web1": make()}
    assert hardener("audit", "-i", "inv,", "--only", slug).exit_code == code


def test_an_unreachable_host_makes_the_audit_incomplete_unless_a_control_fails(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    passing, failing = (slug_that(status, tmp_path, hardener) for status in ("pass", "fail"))
    fleet.snapshots = {"web1": make(), "gone": "timed out"}
    assert hardener("audit", "-i", "inv,", "--only", passing).exit_code == 4
    assert hardener("audit", "-i", "inv,", "--only", passing, "--exit-zero").exit_code == 0
    assert hardener("audit", "-i", "inv,", "--only", failing).exit_code == 3
    assert hardener("audit", "-i", "inv,", "--only", failing, "--exit-zero").exit_code == 0


def test_a_failed_source_makes_the_audit_incomplete(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": make(**{"audit.loaded": failed("not permitted")})}
    assert hardener("audit", "-i", "inv,", "--only", "1.1.3").exit_code == 4


def test_kept_snapshots_give_the_same_findings(hardener: Hardener, fleet: FakeFleet, tmp_path: Path) -> None:
    fleet.snapshots = {"web1": make(host="web1")}
    folder = tmp_path / "new" / "snapshots"
    audit = hardener("audit", "-i", "inv,", "--snapshots", str(folder))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(list(folder.iterdir())) == 1
    again = hardener("assess", str(folder))
    assert again.exit_code == audit.exit_code
    assert again.stdout.partition(" manual: ")[0] == audit.stdout.partition(" manual: ")[0]
    assert "hardener plan -i inv," in audit.stdout
    assert "hardener plan" not in again.stdout  # the snapshots do not say how their hosts are reached


def test_snapshots_are_not_kept_without_a_request(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": make(host="web1")}
    hardener("audit", "-i", "inv,")
    ((_, options),) = fleet.runs
    assert not Path(options["variables"]["collect_dest"]).exists()


def test_a_folder_of_snapshots_that_cannot_be_created_is_an_error(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    fleet.snapshots = {"web1": make()}
    (tmp_path / "file").touch()
    result = hardener("audit", "-i", "inv,", "--snapshots", str(tmp_path / "file" / "below"))
    assert result.exit_code == 2
    assert f"cannot keep snapshots in {tmp_path}/file/below: Not a directory" in result.stderr


def test_reports_use_the_host_name_of_the_inventory(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    fleet.snapshots = {"web1": make(host="somebody-else")}
    hardener("audit", "-i", "inv,", "--json", str(tmp_path / "r.json"))
    assert json.loads((tmp_path / "r.json").read_text())["hosts"][0]["host"] == "web1"


def test_only_selected_controls_are_judged(hardener: Hardener, fleet: FakeFleet, tmp_path: Path) -> None:
    fleet.snapshots = {"web1": make()}
    path = tmp_path / "r.json"
    chosen = ("--only", "5", "--only", "2.2", "--level", "1", "--benchmark", "cis-docker-1.7.0")
    hardener("audit", "-i", "inv,", "--json", str(path), *chosen)
    report = json.loads(path.read_text())
    ids = [finding["id"] for finding in report["hosts"][0]["findings"]]
    assert ids[0] == "2.2"
    assert all(each.startswith("5.") for each in ids[1:])
    assert {finding["level"] for finding in report["hosts"][0]["findings"]} == {1}
    assert report["run"]["benchmark"] == "cis-docker-1.7.0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--only", "nonsense"), "no control matches 'nonsense'"),
        (("--only", "5", "--only", "Wishes"), "--only Wishes: it selects no control"),
        (("--only", "activity"), "`hardener plan --only activity` compares hosts"),
        (("--benchmark", "cis-docker-9"), "unknown benchmark 'cis-docker-9'"),
    ],
)
def test_a_selection_without_controls_is_refused(
    hardener: Hardener, fleet: FakeFleet, arguments: tuple[str, ...], message: str
) -> None:
    fleet.snapshots = {"web1": make()}
    result = hardener("audit", "-i", "inv,", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_an_interrupted_audit_writes_nothing(hardener: Hardener, fleet: FakeFleet, tmp_path: Path) -> None:
    fleet.snapshots = {"web1": make()}
    fleet.error = KeyboardInterrupt()
    path = tmp_path / "junit.xml"
    result = hardener("audit", "-i", "inv,", "--junit", str(path))
    assert result.exit_code == 130
    assert not path.exists()
    assert result.stdout == ""


def test_an_error_of_ansible_is_reported_in_one_line(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": make()}
    fleet.error = HardenerError("Could not match supplied host pattern: zz")
    result = hardener("audit", "-i", "inv,", "--limit", "zz")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == "hardener: error: Could not match supplied host pattern: zz"


def test_passwords_are_asked_for_and_passed_to_ansible(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": make()}
    result = hardener("audit", "-i", "inv,", "-K", "-J", input="s3cret\nv4ult\n")
    credentials = fleet.options["credentials"]
    assert (credentials.become_password, credentials.vault_password) == ("s3cret", "v4ult")
    assert "BECOME password" in result.stderr
    assert "s3cret" not in result.stdout + result.stderr


def test_a_password_cannot_be_asked_for_without_a_terminal_and_without_input(home: Path) -> None:
    command = [sys.executable, "-m", "hardener", "audit", "-i", "inv,", "-K"]
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, start_new_session=True
    )
    assert result.returncode == 2
    assert "cannot ask for the BECOME password: there is no terminal" in result.stderr.splitlines()[-1]


def test_a_second_inventory_is_refused(hardener: Hardener, fleet: FakeFleet) -> None:
    result = hardener("audit", "-i", "inv,", "-i", "other,")
    assert result.exit_code == 2
    assert "only one inventory is allowed" in result.stderr


@pytest.mark.parametrize("read", ["inventory", "waivers", "attestations"])
def test_a_report_does_not_overwrite_an_input_file(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path, read: str
) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    named = {"inventory": "inv,", read: str(file)}
    options = [word for name, value in named.items() for word in (f"--{name}", value)]
    result = hardener("audit", *options, "--report", f"html={file}")
    assert result.exit_code == 2
    assert "is an input file, and a report would overwrite it" in result.stderr
    assert file.read_text() == "precious"


def test_options_are_passed_to_the_fleet(hardener: Hardener, fleet: FakeFleet, tmp_path: Path) -> None:
    fleet.snapshots = {"web1": make()}
    arguments = ("--limit", "web*", "--vault-password-file", "pw", "--artifacts", str(tmp_path / "a"))
    hardener("audit", "-i", "inv,", *arguments)
    options = fleet.options
    assert (options["inventory"], options["limit"], options["artifacts"]) == ("inv,", "web*", tmp_path / "a")
    assert options["credentials"].vault_password_file == Path("pw")
    assert options["echo"] is None
    hardener("audit", "-i", "inv,", "-v")
    assert fleet.options["echo"] is not None


def test_hostile_names_are_escaped(hardener: Hardener, fleet: FakeFleet, tmp_path: Path) -> None:
    name = "a\nb\x1b[31m<&*?[x]/../..\u202e"
    fleet.snapshots = {name: make(host=name), "gone\x07": "bad \x1b]0;title\x07 reason"}
    junit, native = tmp_path / "junit.xml", tmp_path / "report.json"
    result = hardener("audit", "-i", "inv,", "--junit", str(junit), "--json", str(native))
    assert result.exit_code == 3
    assert json.loads(native.read_text())["hosts"][0]["host"] == name
    assert len(list(JUnitXml.fromfile(str(junit)))) == 2
    for text in (result.stdout, result.stderr):
        assert all(letter.isprintable() or letter == "\n" for letter in text)


def test_a_report_lists_changes_since_the_previous_audit(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    page, comment = tmp_path / "report.html", tmp_path / "report.md"
    audit = ("audit", "-i", "inv,", "--report", f"html={page}", "--report", f"markdown={comment}")
    fleet.snapshots = {"web1": make()}
    hardener(*audit)
    assert "Since the last run" not in page.read_text().partition("<form")[0]
    fleet.snapshots = {"web1": make(files={"/etc/docker": {"mode": "0777"}}), "web2": make()}
    hardener(*audit)
    overview = page.read_text().partition("<form")[0]
    assert "<b>1</b> newly failing" in overview
    assert "New in this run: 1 host: web2." in overview
    assert "2 runs" in overview
    assert "Since the last run: 1 newly failing" in comment.read_text()

    fleet.snapshots = {"web1": make()}
    hardener("audit", "-i", "inv,", "--only", "daemon", "--report", f"html={page}")
    assert "newly failing" not in page.read_text().partition("<form")[0]


def test_an_unreadable_history_is_a_warning_and_reports_lack_changes(
    hardener: Hardener, fleet: FakeFleet, home: Path, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    fleet.snapshots = {"web1": make(), "web2": make()}
    hardener("audit", "-i", "inv,")
    with sqlite3.connect(home / "history.sqlite3") as connection:
        connection.execute("UPDATE host SET assessment = x'00'")
    result = hardener("audit", "-i", "inv,", "--report", f"html={page}")
    assert result.exit_code == 3
    assert result.stderr.count("warning: the reports show no changes since earlier runs: run") == 1
    assert "2 hosts: web1, web2" in page.read_text()
    assert "No host could be compared" in page.read_text()

    for file in home.glob("history.sqlite3*"):
        file.unlink()
    (home / "history.sqlite3").write_text("no database" * 100)
    result = hardener("audit", "-i", "inv,", "--report", f"html={page}")
    assert result.exit_code == 3
    assert "warning: the reports show no changes since earlier runs: the history in" in result.stderr
    assert "Since the last run" not in page.read_text().partition("<form")[0]
