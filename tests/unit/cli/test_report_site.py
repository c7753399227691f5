from __future__ import annotations

from pathlib import Path

from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import Hardener, audited, host


def test_a_site_is_written_after_two_audits(
    hardener: Hardener, fleet: FakeFleet, home: Path, tmp_path: Path
) -> None:
    audited(hardener, fleet, {"a": host("0666"), "b": "timed out"})
    audited(hardener, fleet, {"a": host(), "b": host()})
    out = tmp_path / "site"
    result = hardener("report", "site", "--out", str(out))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "inv,: 2 hosts, 2 runs" in result.stderr
    page = next(out.rglob("hosts/a.html")).read_text()
    assert 'id="file-daemon-json-mode"' in page
    again = hardener("report", "site", "--out", str(out))
    assert again.stderr.endswith("files, 0 written, 0 removed\n")


def test_a_folder_with_foreign_files_is_refused(
    hardener: Hardener, fleet: FakeFleet, home: Path, tmp_path: Path
) -> None:
    audited(hardener, fleet, {"a": host()})
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "index.html").write_text("of others")
    result = hardener("report", "site", "--out", str(tmp_path / "www"))
    assert result.exit_code == 2
    assert "holds files that `hardener report site` did not write" in result.stderr
    assert (tmp_path / "www" / "index.html").read_text() == "of others"


def test_without_a_run_the_site_is_an_error(hardener: Hardener, home: Path, tmp_path: Path) -> None:
    result = hardener("report", "site", "--out", str(tmp_path / "site"))
    assert (result.exit_code, (tmp_path / "site").exists()) == (2, False)
    assert "no run is kept in" in result.stderr
