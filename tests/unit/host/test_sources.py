from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import host
import host_converge
import pytest
from host.sources import sources

FILES = Path(__file__).parents[3] / "roles" / "collect" / "files"


def test_texts_of_packages_that_lie_on_disk() -> None:
    found = sources("host", "host_converge")
    assert {"host/__init__.py", "host/sources.py", "host_converge/activations/docker.py"} < set(found)
    assert found["host/sources.py"] == (FILES / "host" / "sources.py").read_text(encoding="utf-8")


def test_texts_of_packages_that_were_delivered_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from_files = sources("host", "host_converge")
    delivered = {
        name.removesuffix(".py").replace("/", ".").removesuffix(".__init__"): [
            name.endswith("__init__.py"),
            text,
        ]
        for name, text in from_files.items()
    }
    delivered["host_snapshot"] = [True, "another package"]
    for package in (host, host_converge):
        assert package.__spec__ is not None
        monkeypatch.setattr(package.__spec__, "loader", type("InMemory", (), {"sources": delivered})())
    assert sources("host", "host_converge") == from_files


def test_the_package_imports_nothing_of_a_program() -> None:
    """It is imported alone, with nothing of the project beside it."""
    names = sorted(path.stem for path in (FILES / "host").glob("*.py") if path.stem != "__init__")
    program = f"import sys; sys.path.insert(0, {str(FILES)!r})\n" + "".join(
        f"import host.{name}\n" for name in names
    )
    program += "print([name for name in sys.modules if name.startswith(('host_', 'hardener', 'ansible'))])"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
