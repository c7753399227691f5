from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.files import write_text
from hardener.model import Assessment
from hardener.reports.interface import Report, write_reports
from hardener.reports.junit import JUnitReport
from hardener.run import RunInfo
from tests.small_disk import no_file_past
from tests.unit.reports.assessments import assessment


class Names(Report):
    """The smallest report there is."""

    def begin(self) -> str:
        return "begin\n"

    def host(self, assessment: Assessment) -> str:
        return f"{assessment.host}\n"

    def end(self) -> Iterator[str]:
        yield "end\n"


def test_all_reports_are_written_in_one_pass(tmp_path: Path, run: RunInfo) -> None:
    hosts = (assessment(name) for name in ("a", "b"))
    write_reports(hosts, {tmp_path / "one": Names(run), tmp_path / "deep/er/two": Names(run)})
    assert (tmp_path / "one").read_text() == "begin\na\nb\nend\n"
    assert (tmp_path / "deep/er/two").read_text() == "begin\na\nb\nend\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "one"]


def test_only_the_owner_can_read_a_report(tmp_path: Path, run: RunInfo) -> None:
    write_reports([], {tmp_path / "one": Names(run)})
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o600


def test_an_error_while_writing_keeps_the_earlier_files(tmp_path: Path, run: RunInfo) -> None:
    paths = [tmp_path / "one", tmp_path / "two"]
    for path in paths:
        path.write_text("earlier")

    def interrupted() -> Iterator[Assessment]:
        yield assessment()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_reports(interrupted(), {path: Names(run) for path in paths})
    assert [path.read_text() for path in paths] == ["earlier", "earlier"]
    assert sorted(tmp_path.iterdir()) == paths


def test_a_full_disk_keeps_the_earlier_file(tmp_path: Path, run: RunInfo) -> None:
    small, large = tmp_path / "names", tmp_path / "report.xml"
    small.write_text("earlier")
    large.write_text("earlier")
    hosts = (assessment(f"host{n}") for n in range(40))
    with (
        no_file_past(32_768),
        pytest.raises(HardenerError, match=r"cannot write .*report\.xml: File too large .*unchanged"),
    ):
        write_reports(hosts, {small: Names(run), large: JUnitReport(run)})
    assert (small.read_text(), large.read_text()) == ("earlier", "earlier")
    assert sorted(tmp_path.iterdir()) == [small, large]


def test_a_device_is_written_and_not_replaced(run: RunInfo) -> None:
    with pytest.raises(HardenerError, match="cannot write /dev/full: No space left on device"):
        write_reports([assessment()], {Path("/dev/full"): Names(run)})
    write_reports([assessment()], {Path("/dev/null"): Names(run)})
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_pipe_is_written(run: RunInfo) -> None:
    reader, writer = os.pipe()
    write_reports([assessment("a")], {Path(f"/dev/fd/{writer}"): Names(run)})
    os.close(writer)
    with os.fdopen(reader) as end:
        assert end.read() == "begin\na\nend\n"


def test_the_target_of_a_link_is_replaced(tmp_path: Path, run: RunInfo) -> None:
    (tmp_path / "real").write_text("earlier")
    (tmp_path / "link").symlink_to("real")
    write_reports([], {tmp_path / "link": Names(run)})
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "begin\nend\n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("folder", "Is a directory"),
        ("file/below", "Not a directory|File exists"),
        ("n" * 300, "name too long"),
    ],
)
def test_an_unwritable_file_is_an_error_that_names_it(
    tmp_path: Path, run: RunInfo, name: str, reason: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(HardenerError, match=rf"cannot write .*{name[:8]}.*: .*({reason})"):
        write_reports([], {tmp_path / name: Names(run)})


def test_two_reports_for_one_file_are_refused(tmp_path: Path, run: RunInfo) -> None:
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(HardenerError, match="the same file"):
        write_reports([], {tmp_path / "real": Names(run), tmp_path / "link": Names(run)})
    assert not (tmp_path / "real").exists()


def test_rich_is_imported_only_to_show_results() -> None:
    program = (
        "import sys, hardener.reports.junit, hardener.reports.native, hardener.terminal.console;"
        "print('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_shared_file_keeps_its_mode_and_a_new_one_is_readable(tmp_path: Path) -> None:
    kept, new, own = tmp_path / "kept", tmp_path / "new", tmp_path / "own"
    kept.write_text("earlier")
    kept.chmod(0o640)
    write_text(kept, "later", shared=True)
    write_text(new, "first", shared=True)
    write_text(own, "first")
    assert (kept.read_text(), new.read_text()) == ("later", "first")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (kept, new, own)] == [0o640, 0o644, 0o600]
