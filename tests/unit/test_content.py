from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hardener import content


def test_in_a_checkout_playbooks_and_roles_are_found_beside_the_package() -> None:
    folder = content.content_dir()
    assert (folder / "playbooks" / "audit.yml").is_file()
    assert (folder / "roles" / "collect").is_dir()


def test_an_installed_package_uses_its_own_copy_of_the_collection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "_PACKAGE", tmp_path / "hardener")
    assert content.content_dir() == tmp_path / "ansible_collections" / "hardener" / "docker"


@pytest.mark.parametrize(
    "other", ["", "ansible_collections/", "ansible_collections/hardener/docker/plugins/"]
)
def test_modules_of_this_version_of_the_collection_are_imported(tmp_path: Path, other: str) -> None:
    """Without a path to them; beside the package `ansible` of a distribution; beside another version."""
    if other:
        (tmp_path / other).mkdir(parents=True)
        (tmp_path / "ansible_collections/__init__.py").touch()
    root = Path(content.__file__).parents[1]
    program = "from hardener.model import contract; print(contract.__file__)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).samefile(root / "plugins" / "module_utils" / "contract.py")
