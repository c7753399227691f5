from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import sources as source_texts
from ansible_collections.hardener.docker.plugins.module_utils.host.sources import PACKAGE, sources

from tests.unit.plugins.loading import LIBRARY


def test_sources_of_packages_are_read_from_disk() -> None:
    found = sources("converge")
    names = ("__init__", "contract", "docker/keys", "host/__init__", "converge/activations/docker")
    assert {f"{name}.py" for name in names} < set(found)
    assert found["host/sources.py"] == (LIBRARY / "host" / "sources.py").read_text(encoding="utf-8")


def test_sources_of_a_package_loaded_from_memory_equal_those_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    from_files = sources("converge")
    delivered = {
        f"{PACKAGE}/{name}".removesuffix(".py").replace("/", ".").removesuffix(".__init__"): [
            name.endswith("__init__.py"),
            text,
        ]
        for name, text in from_files.items()
    }
    delivered[f"{PACKAGE}.snapshot"] = [True, "another package"]
    assert source_texts.__spec__ is not None
    monkeypatch.setattr(source_texts.__spec__, "loader", type("InMemory", (), {"sources": delivered})())
    assert sources("converge") == from_files


def test_common_modules_import_neither_hardener_nor_ansible(tmp_path: Path) -> None:
    """It is imported as on a host, with nothing of the project beside it."""
    names = []
    for name, text in sources().items():
        path = tmp_path / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        names.append(f"{PACKAGE}/{name}".removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    program += "".join(f"import {name}\n" for name in names)
    program += "print([name for name in sys.modules if name.startswith(('hardener.', 'ansible'))])"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
