from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hardener import workfolder
from hardener.workfolder import clear_away, new_folder, temporary_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tmpdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What ``TMPDIR`` says, in a process that has not looked into it yet."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    workfolder._sweep_once.cache_clear()
    return tmp_path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    folder, lock = new_folder(tmp_path, prefix="work-")
    os.close(lock)
    assert folder.name.startswith("work-")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_in_use_is_not_removed(tmp_path: Path) -> None:
    folder, lock = new_folder(tmp_path)
    (folder / "file").touch()
    clear_away(folder)
    assert (folder / "file").exists()
    os.close(lock)
    clear_away(folder)
    assert not folder.exists()


def test_files_and_links_in_place_of_a_work_folder_are_not_removed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link", "nowhere"):
        clear_away(tmp_path / name)
    assert (tmp_path / "file").exists()
    assert (tmp_path / "link").is_symlink()


def test_a_work_folder_that_is_removed_before_it_is_locked_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open
    taken: list[Path] = []

    def tidy(path: Path, *arguments: int) -> int:
        if not taken:
            taken.append(path)
            path.rmdir()
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", tidy)
    folder, lock = new_folder(tmp_path)
    os.close(lock)
    assert folder not in taken
    assert folder.is_dir()


def test_a_temporary_folder_is_removed_at_the_end(tmpdir: Path) -> None:
    with temporary_folder() as folder:
        assert folder.parent == tmpdir
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").touch()
    assert names(tmpdir) == set()


def waiting(tmpdir: Path) -> subprocess.Popen[str]:
    """Another process that works in a temporary folder, and says so."""
    program = (
        "import signal; from hardener.workfolder import temporary_folder\n"
        "with temporary_folder() as folder:\n"
        "    (folder / 'file').touch(); print(folder.name, flush=True); signal.pause()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmpdir)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_only_folders_of_killed_processes_are_removed(tmpdir: Path) -> None:
    with waiting(tmpdir) as killed, waiting(tmpdir) as living:
        assert killed.stdout
        assert living.stdout
        left, used = killed.stdout.readline().strip(), living.stdout.readline().strip()
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        outside = tmpdir / "outside"
        outside.mkdir()
        (outside / "file").touch()
        (tmpdir / left / "link").symlink_to(outside)
        (tmpdir / "hardener.link").symlink_to(outside)
        (tmpdir / "hardener.file").touch()
        (tmpdir / "hardener-old").mkdir()
        others = {"outside", "hardener.link", "hardener.file", "hardener-old"}
        assert names(tmpdir) == {left, used, *others}
        with temporary_folder() as folder:
            assert names(tmpdir) == {folder.name, used, *others}
        assert names(outside) == {"file"}
        assert names(tmpdir / used) == {"file"}
        living.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's folder is made by root")
def test_the_folder_of_another_user_is_kept(tmpdir: Path) -> None:
    folder = tmpdir / "hardener.other"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    with temporary_folder():
        assert folder.exists()


def test_without_locks_a_folder_is_still_created(tmpdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr("fcntl.flock", refuse)
    with temporary_folder() as folder:
        assert names(tmpdir) == {folder.name}
        assert folder.name.startswith("hardener-")
    assert names(tmpdir) == set()
