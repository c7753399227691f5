from __future__ import annotations

import os
from pathlib import Path

import pytest

from hardener.workfolder import clear_away, new_folder


def test_a_folder_is_its_owners(tmp_path: Path) -> None:
    folder, lock = new_folder(tmp_path, prefix="work-")
    os.close(lock)
    assert folder.name.startswith("work-")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_where_somebody_works_nothing_is_cleared_away(tmp_path: Path) -> None:
    folder, lock = new_folder(tmp_path)
    (folder / "file").touch()
    clear_away(folder)
    assert (folder / "file").exists()
    os.close(lock)
    clear_away(folder)
    assert not folder.exists()


def test_what_is_no_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link", "nowhere"):
        clear_away(tmp_path / name)
    assert (tmp_path / "file").exists()
    assert (tmp_path / "link").is_symlink()


def test_a_folder_that_is_taken_before_it_is_locked_is_made_again(
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
