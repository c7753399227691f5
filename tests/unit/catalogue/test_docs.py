from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from hardener import catalogue

SCRIPT = Path(__file__).resolve().parents[3] / "docs" / "generate_controls.py"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    specification = importlib.util.spec_from_file_location("generate_controls", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_committed_pages_are_up_to_date(generator: ModuleType) -> None:
    committed = {path.name: path.read_text() for path in (SCRIPT.parent / "controls").glob("*")}
    wanted = generator.pages()
    assert sorted(committed) == sorted(wanted)
    stale = [name for name, text in wanted.items() if committed[name] != text]
    assert stale == [], "run: python docs/generate_controls.py"


def test_the_index_links_every_page(generator: ModuleType) -> None:
    index = generator.pages()["README.md"]
    for control in catalogue.load(catalogue.benchmarks()[-1]):
        assert f"[{control.slug}]({control.slug}.md)" in index


def test_write_brings_a_folder_up_to_date(
    generator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "TARGET", tmp_path / "controls")
    generator.write()
    (tmp_path / "controls" / "gone.md").write_text("a control that no longer exists")
    (tmp_path / "controls" / "README.md").write_text("stale")
    generator.write()
    written = {path.name: path.read_text() for path in (tmp_path / "controls").iterdir()}
    assert written == generator.pages()
