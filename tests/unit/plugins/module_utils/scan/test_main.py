from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.scan import inventory, main, restarts
from ansible_collections.hardener.docker.plugins.module_utils.scan.library import Library

IMAGE = "sha256:" + "ab" * 32


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A host without packages that are known, whose database changes while it is read."""
    status = tmp_path / "status"
    status.touch()
    os.utime(status, (1000, 1000))
    monkeypatch.setattr(restarts, "_STATUS", str(status))
    monkeypatch.setattr(restarts, "processes_to_restart", list)

    def take(_: object) -> dict[str, Any]:
        os.utime(status, (2000, 2000))
        return {"release": ["kali", "", "", ""], "kind": "dpkg", "beside": [], "packages": []}

    monkeypatch.setattr(inventory, "take", take)
    return {"folder": str(tmp_path / "lib" / "scan"), "cache": str(tmp_path / "cache")}


def test_a_change_of_packages_during_the_scan_is_recorded(folders: dict[str, str]) -> None:
    assert main.scan(folders)["host"]["packages_changed"] == 1000


def test_imported_reports_are_kept_while_their_image_exists(
    folders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trivy, grype = {"tool": "trivy", "image": IMAGE}, {"tool": "grype", "image": IMAGE}
    main.scan({**folders, "imports": [trivy, grype]})
    again = {**trivy, "created": "later"}
    assert main.scan({**folders, "imports": [again]})["imported"] == {IMAGE: [grype, again]}
    monkeypatch.setattr(Library, "packages", lambda _: {})
    assert main.scan({**folders, "images": True})["imported"] == {}


@pytest.mark.parametrize("settings", ["", "{", "[7]"])
def test_unreadable_settings_are_reported_in_one_line(
    settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.json").write_text(settings)
    monkeypatch.setattr(sys, "argv", ["host_scan.py", str(tmp_path / "settings.json")])
    with pytest.raises(SystemExit, match=r"^hardener scan: [^\n]*$"):
        main.main()


def test_a_scan_by_the_timer_logs_its_result(
    folders: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({**folders, "images": False}))
    monkeypatch.setattr(sys, "argv", ["host_scan.py", str(tmp_path / "settings.json")])
    main.main()
    assert "1 scanned in" in capsys.readouterr().out
