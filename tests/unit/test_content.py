from __future__ import annotations

from pathlib import Path

import pytest

from hardener import content


def test_a_checkout_has_its_playbooks_and_roles_beside_the_package() -> None:
    folder = content.content_dir()
    assert (folder / "playbooks" / "audit.yml").is_file()
    assert (folder / "roles" / "collect").is_dir()


def test_an_installed_package_carries_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "_PACKAGE", tmp_path / "hardener")
    assert content.content_dir() == tmp_path / "ansible_collections" / "hardener" / "docker"
