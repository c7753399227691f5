from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import read
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed


def files(folder: Path, *sizes: int) -> list[str]:
    paths = []
    for number, size in enumerate(sizes):
        path = folder / f"{number}.conf"
        path.write_bytes(b"x" * size)
        paths.append(str(path))
    return paths


def test_files_are_read_in_order_and_other_entries_skipped(tmp_path: Path) -> None:
    first, second = files(tmp_path, 1, 2)
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    others = [str(tmp_path / name) for name in ("folder", "dangling", "gone", "0.conf/below")]
    (tmp_path / "1.conf").write_bytes(b"\xff")
    assert list(read.texts([second, *others, first])) == [(second, "\\xff"), (first, "x")]
    assert list(read.texts([first, second], {first: "given"})) == [(first, "given"), (second, "\\xff")]


@pytest.mark.parametrize(
    ("sizes", "at"),
    [([100], None), ([101], 0), ([50, 50], None), ([50, 51], 1), ([10] * 10, None), ([10] * 11, 10)],
)
def test_the_total_size_of_files_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: list[int], at: int | None
) -> None:
    monkeypatch.setattr(read, "_MAX_TOGETHER", 100)
    paths = files(tmp_path, *sizes)
    if at is None:
        assert len(list(read.texts(paths))) == len(sizes)
        return
    with pytest.raises(Failed, match=rf"{at}\.conf and the files before it are larger than 100 bytes"):
        list(read.texts(paths))


def test_the_number_of_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "_MAX_FILES", 3)
    assert len(list(read.texts(files(tmp_path, 1, 1, 1)))) == 3
    with pytest.raises(Failed, match=r"too many files to read: 4, at most 3; the last one is .*3\.conf"):
        list(read.texts(files(tmp_path, 1, 1, 1, 1)))


def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "ring").symlink_to("ring")
    with pytest.raises(OSError, match="symbolic links"):
        list(read.texts([str(tmp_path / "ring")]))


def test_a_drop_in_of_an_earlier_folder_hides_one_of_the_same_name(tmp_path: Path) -> None:
    for path in ("etc/a.conf", "usr/a.conf", "usr/b.conf", "usr/.hidden.conf", "usr/c.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("")
    folders = [str(tmp_path / name) for name in ("etc", "gone", "usr")]
    assert read.drop_ins(folders) == {
        "a.conf": f"{tmp_path}/etc/a.conf",
        "b.conf": f"{tmp_path}/usr/b.conf",
    }
