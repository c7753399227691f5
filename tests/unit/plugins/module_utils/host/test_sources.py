from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.hardener.docker.plugins.module_utils import converge, host
from ansible_collections.hardener.docker.plugins.module_utils.host.sources import PACKAGE, sources

from tests.unit.plugins.loading import LIBRARY


def test_texts_of_packages_that_lie_on_disk() -> None:
    found = sources("host", "converge")
    names = ("__init__", "host/__init__", "host/sources", "converge/activations/docker")
    assert {f"{PACKAGE}/{name}.py" for name in names} < set(found)
    assert found[f"{PACKAGE}/host/sources.py"] == (LIBRARY / "host" / "sources.py").read_text(
        encoding="utf-8"
    )


def test_texts_of_packages_that_were_delivered_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from_files = sources("host", "converge")
    delivered = {
        name.removesuffix(".py").replace("/", ".").removesuffix(".__init__"): [
            name.endswith("__init__.py"),
            text,
        ]
        for name, text in from_files.items()
    }
    delivered[f"{PACKAGE}.snapshot"] = [True, "another package"]
    for package in (host, converge):
        assert package.__spec__ is not None
        monkeypatch.setattr(package.__spec__, "loader", type("InMemory", (), {"sources": delivered})())
    assert sources("host", "converge") == from_files


def test_the_package_imports_nothing_of_a_program() -> None:
    """It is imported alone, with nothing of the project beside it."""
    names = sorted(path.stem for path in (LIBRARY / "host").glob("*.py") if path.stem != "__init__")
    program = f"import sys; sys.path.insert(0, {str(LIBRARY)!r})\n" + "".join(
        f"import host.{name}\n" for name in names
    )
    program += "print([name for name in sys.modules if name.startswith(('converge', 'hardener', 'ansible'))])"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
