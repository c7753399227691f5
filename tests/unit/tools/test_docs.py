"""Generated files are brought up to date, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import docs


def test_files_are_written_and_obsolete_pages_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(docs, "DOCS", tmp_path)
    monkeypatch.setattr(docs, "_WHOLE", {"pages": lambda: {"a.md": "a\n", "b.md": "b\n"}})
    monkeypatch.setattr("tools.role_docs.written", lambda: {tmp_path / "roles" / "x.yml": "x\n"})
    monkeypatch.setattr("tools.snapshot_docs.page", lambda text, schema: text)
    monkeypatch.setattr("tools.snapshot_docs.PAGE", tmp_path / "written-by-hand.md")
    monkeypatch.setattr("tools.man_page.page", lambda: "a man page\n")
    monkeypatch.setattr("tools.man_page.PAGE", tmp_path / "hardener.1")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "a.md").write_text("a\n")
    (tmp_path / "pages" / "gone.md").write_text("of a command that is gone\n")
    (tmp_path / "written-by-hand.md").write_text("stays\n")
    docs.write()
    changed = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert sorted(changed) == ["b.md", "gone.md", "hardener.1", "x.yml"]
    found = {path.name: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {
        "a.md": "a\n",
        "b.md": "b\n",
        "hardener.1": "a man page\n",
        "x.yml": "x\n",
        "written-by-hand.md": "stays\n",
    }
    assert list(docs.stale()) == []
