from __future__ import annotations

import gzip
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.scan.changelogs import (
    Changelogs,
    changelog,
    parse,
)
from ansible_collections.hardener.docker.plugins.module_utils.scan.index import Fix

TEXT = """\
openssl (3.0.22-1) bookworm-security; urgency=high

  * CVE-2026-0002, CVE-2026-0001 (no CVE-1)
  * CVE-2026-0001 again

 -- A <a@example.org>  Mon, 01 Jun 2026 00:00:00 +0000

openssl (1:3.0.1-1) bookworm; urgency=medium

  * CVE-2020-1234

 -- A <a@example.org>  Mon, 01 Jun 2020 00:00:00 +0000
"""
OFFERS = {
    "openssl": {"amd64": Fix("3.0.22-1", "openssl", 900)},
    "libssl3": {"amd64": Fix("3.0.22-1", "openssl", 100)},
    "other": {"amd64": Fix("3.0.22-1", "other", 1)},
}


class Downloader:
    """Stands for apt: puts a package where it is called."""

    def __init__(self, package: Path | None) -> None:
        self.package = package
        self.asked: list[str] = []

    def apt(self, *command: str, limit: float) -> None:
        self.asked.append(command[-1])
        if self.package is None:
            raise Failed("the network is down")
        Path(self.package.name).write_bytes(self.package.read_bytes())


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package file with a changelog."""
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: x\n"
    )
    doc = root / "usr" / "share" / "doc" / "x"
    doc.mkdir(parents=True)
    (doc / "changelog.Debian.gz").write_bytes(gzip.compress(TEXT.encode()))
    made = tmp_path / "x_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", root, made], check=True, capture_output=True)
    return made


def outdated(installed: str = "3.0.5-1") -> list[dict[str, Any]]:
    return [{"name": "openssl", "installed": installed, "fixed": "3.0.22-1", "source": "openssl"}]


def added(folder: Path, downloader: Any, installed: str = "3.0.5-1") -> dict[str, Any]:
    (found,) = outdated(installed)
    Changelogs(str(folder), downloader).add([found], OFFERS)
    return found


def test_ids_of_entries_after_the_installed_version_are_found(tmp_path: Path, package: Path) -> None:
    downloader = Downloader(package)
    found = added(tmp_path / "kept", downloader)
    assert found["cves"] == ["CVE-2020-1234", "CVE-2026-0001", "CVE-2026-0002"]  # 1:3.0.1 is later than 3.0.5
    assert downloader.asked == ["libssl3:amd64=3.0.22-1"]  # the smallest of the source
    assert added(tmp_path / "kept", Downloader(None))["cves"] == found["cves"]  # kept
    assert added(tmp_path / "kept", Downloader(None), "1:3.0.1-1")["cves"] == []


def test_an_unavailable_changelog_gives_no_ids(tmp_path: Path) -> None:
    assert added(tmp_path / "kept", Downloader(None))["cves"] is None
    assert not (tmp_path / "kept").exists()


def test_the_number_of_changelog_downloads_of_a_run_is_bounded(tmp_path: Path, package: Path) -> None:
    downloader: Any = Downloader(package)
    (found,) = outdated()
    Changelogs(str(tmp_path / "kept"), downloader, budget=0).add([found], OFFERS)
    assert found["cves"] is None
    assert downloader.asked == []


def test_an_unavailable_changelog_is_not_requested_again(tmp_path: Path) -> None:
    downloader: Any = Downloader(None)
    changelogs = Changelogs(str(tmp_path), downloader)
    for _ in range(3):
        (found,) = outdated()
        changelogs.add([found], OFFERS)
        assert found["cves"] is None
    assert len(downloader.asked) == 1


def test_no_changelog_is_downloaded_after_the_time_limit_of_a_run(tmp_path: Path, package: Path) -> None:
    downloader: Any = Downloader(package)
    (found,) = outdated()
    Changelogs(str(tmp_path), downloader, seconds=-1).add([found], OFFERS)
    assert (found["cves"], downloader.asked) == (None, [])


def test_without_a_writable_cache_ids_are_still_found(tmp_path: Path, package: Path) -> None:
    (tmp_path / "file").touch()
    assert added(tmp_path / "file" / "kept", Downloader(package))["cves"]


def test_a_package_without_a_downloaded_changelog_has_unknown_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: Any = Downloader(None)
    monkeypatch.setattr(nothing, "apt", lambda *_, **__: None)
    assert added(tmp_path, nothing)["cves"] is None


def test_cve_ids_beyond_the_listed_ones_are_counted(tmp_path: Path) -> None:
    (tmp_path / "openssl_3.0.22-1.json").write_text(
        '[["3.0.22-1", [' + ",".join(f'"CVE-2026-{number:04}"' for number in range(150)) + "]]]"
    )
    found = added(tmp_path, Downloader(None))
    assert (len(found["cves"]), found["cves_more"]) == (40, 110)


def test_a_changelog_is_extracted_and_a_file_that_is_no_package_is_an_error(
    tmp_path: Path, package: Path
) -> None:
    assert changelog(str(package)) == TEXT
    package.write_bytes(b"no package")
    with pytest.raises(Failed):
        changelog(str(package))


def test_changelog_entries_are_parsed() -> None:
    assert parse(TEXT) == [["3.0.22-1", ["CVE-2026-0001", "CVE-2026-0002"]], ["1:3.0.1-1", ["CVE-2020-1234"]]]
    assert parse("") == []
