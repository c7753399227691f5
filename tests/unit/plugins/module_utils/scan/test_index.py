from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent
from ansible_collections.hardener.docker.plugins.module_utils.scan import index as module
from ansible_collections.hardener.docker.plugins.module_utils.scan.index import Fix, Index, Indexes
from ansible_collections.hardener.docker.plugins.module_utils.scan.inventory import Release
from ansible_collections.hardener.docker.plugins.module_utils.scan.judging import outdated
from ansible_collections.hardener.docker.plugins.module_utils.scan.sources import Mirror

from tests.unit.plugins.module_utils.scan.lists import NOW, PACKAGES, day, left

BOOKWORM = Release("debian", "12", "bookworm", "Debian 12")


def of(folder: Path, release: Release = BOOKWORM, *, error: str = "") -> Index:
    indexes = Indexes(str(folder), {"debian": Mirror("http://m.example/debian-security", "")}, 7)
    indexes.errors = [error] if error else []
    return indexes.of(release, NOW)


def test_the_newest_version_is_used(tmp_path: Path) -> None:
    left(tmp_path)
    found = of(tmp_path)
    assert (found.state, found.reason) == ("fresh", "")
    assert found.packages["openssl"]["amd64"] == Fix("3.0.22-1~deb12u2", "openssl", 10)
    assert found.packages["libssl3"]["amd64"].source == "openssl"
    assert found.record()["date"].startswith("2026-11-2")


@pytest.mark.parametrize(
    ("date", "until", "reason"),
    [
        (-8, None, "8 days old, more than 7"),
        (-2, -1, "was valid until"),
        (3, 9, "clock"),
    ],
)
def test_an_index_that_is_too_old_has_no_packages(
    tmp_path: Path, date: float, until: float | None, reason: str
) -> None:
    left(tmp_path, date=day(date), until=None if until is None else day(until))
    found = of(tmp_path, error="the network is down")
    assert found.state == "stale"
    assert reason in found.reason
    assert found.packages == {}


def test_the_reason_of_a_failed_refresh_is_reported(tmp_path: Path) -> None:
    left(tmp_path, date=day(-9), until=None)
    assert "(the network is down)" in of(tmp_path, error="the network is down").reason
    assert of(tmp_path / "none", error="the network is down").reason == "the network is down"


def test_without_a_network_the_last_index_is_used(tmp_path: Path) -> None:
    left(tmp_path)
    assert of(tmp_path, error="the network is down").state == "fresh"


def test_an_undated_index_is_stale(tmp_path: Path) -> None:
    left(tmp_path, date="yesterday")
    found = of(tmp_path)
    assert (found.state, found.reason) == ("stale", "the index has no valid date")


def test_an_index_without_packages_is_missing(tmp_path: Path) -> None:
    left(tmp_path, packages="")
    assert of(tmp_path).state == "missing"


def signed(text: str, path: str = "main/binary-amd64/Packages") -> str:
    """A line of what was signed."""
    return f" {hashlib.sha256(text.encode()).hexdigest()} {len(text)} {path}\n"


class TestLists:
    """What apt was not asked for, or could not write, is not what was signed with the index."""

    ARM = PACKAGES.replace("amd64", "arm64")
    SUMS = signed(PACKAGES) + signed(ARM, "main/binary-arm64/Packages")

    def add(self, folder: Path, name: str, text: str) -> None:
        path = folder / "lists" / f"m_debian-security_dists_bookworm-security_{name}_Packages"
        path.write_text(text)

    def test_packages_of_every_architecture_are_read(self, tmp_path: Path) -> None:
        left(tmp_path, sums=self.SUMS)
        self.add(tmp_path, "main_binary-arm64", self.ARM)
        found = of(tmp_path)
        assert (found.state, found.architectures) == ("fresh", {"amd64", "arm64"})
        assert found.packages["openssl"].keys() == {"amd64", "arm64"}

    def test_an_older_package_list_that_differs_from_its_checksum_is_ignored(self, tmp_path: Path) -> None:
        left(tmp_path, sums=self.SUMS)
        self.add(tmp_path, "main_binary-arm64", self.ARM.replace("22", "21"))
        found = of(tmp_path)
        assert found.architectures == {"amd64"}
        assert found.packages["openssl"].keys() == {"amd64"}

    def test_a_truncated_list_is_ignored(self, tmp_path: Path) -> None:
        left(tmp_path, packages=PACKAGES[:-60], sums=self.SUMS)
        found = of(tmp_path)
        assert (found.state, found.packages) == ("missing", {})
        assert "no complete list" in found.reason

    def test_a_missing_component_is_reported(self, tmp_path: Path) -> None:
        left(tmp_path, sums=self.SUMS + signed("x", "contrib/binary-amd64/Packages"))
        assert of(tmp_path).state == "missing"
        self.add(tmp_path, "contrib_binary-amd64", "x")
        assert of(tmp_path).state == "fresh"

    def test_an_empty_component_is_not_missing(self, tmp_path: Path) -> None:
        left(tmp_path, sums=self.SUMS + signed("", "contrib/binary-amd64/Packages"))
        assert of(tmp_path).state == "fresh"

    def test_a_corrupt_list_is_ignored(self, tmp_path: Path) -> None:
        left(tmp_path, sums=self.SUMS)
        self.add(tmp_path, "main_binary-amd64", "")
        (kept,) = (tmp_path / "lists").glob("*_Packages")
        kept.rename(kept.with_name(f"{kept.name}.lz4"))
        assert of(tmp_path).state == "missing"


def test_the_newer_of_two_mirrors_is_used(tmp_path: Path) -> None:
    left(tmp_path, date=day(-9), host="old")
    left(tmp_path, date=day(-1), host="new")
    assert of(tmp_path).state == "fresh"


def test_a_distribution_without_a_mirror_has_no_index(tmp_path: Path) -> None:
    left(tmp_path)
    found = of(tmp_path, Release("ubuntu", "22.04", "jammy", ""))
    assert found.state == "missing"
    assert "vulnerability_scan_mirrors" in found.reason


def test_only_packages_with_a_newer_version_in_the_index_are_outdated() -> None:
    fixes = {"amd64": Fix("2", "s", 1), "all": Fix("3", "s", 1)}
    offers = {"a": fixes, "b": {"all": Fix("2", "b", 1)}, "c": {"arm64": Fix("9", "c", 1)}}
    packages = [["a", "amd64", "1"], ["b", "amd64", "2"], ["c", "amd64", "1"], ["d", "amd64", "1"]]
    found = outdated(packages, offers)
    assert [(each["name"], each["fixed"]) for each in found] == [("a", "3")]
    assert outdated([["b", "all", "1~rc1"]], offers)[0]["fixed"] == "2"


@pytest.mark.parametrize("version", ["", "²:1", ":", "1:", "~", "9" * 300, "\\xff", "a:b-c_d"])
def test_an_invalid_version_of_an_image_does_not_end_the_scan(version: str) -> None:
    assert len(outdated([["a", "amd64", version]], {"a": {"amd64": Fix("2", "a", 1)}})) <= 1


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was run, instead of running it; apt's configuration has a proxy with a password, and a hook."""
    commands: list[list[str]] = []

    def configuration(*_: str, **__: object) -> str:
        return 'Acquire::http::Proxy "http://me:pw@proxy:1";\nAPT::Update::Post-Invoke:: "rm -rf /";\n'

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        said = b"W: something\nE: http://me:pw@m.example/dists/bookworm-security/InRelease is not signed\n"
        return subprocess.CompletedProcess(
            command, 100, b"", said + b"E: .../dists/other/InRelease is gone\n"
        )

    monkeypatch.setattr(module, "run", configuration)
    monkeypatch.setattr("subprocess.run", run)
    return commands


def test_apt_runs_with_the_configuration_of_the_scan_and_the_reason_shows_no_password(
    tmp_path: Path, asked: list[list[str]]
) -> None:
    indexes = Indexes(str(tmp_path), {"debian": Mirror("http://me:pw@m.example/x", "/k.gpg")}, 7)
    indexes.fetch({BOOKWORM: {"amd64", "all", "x\nTrusted: yes"}, Release("debian", "", "", ""): {"amd64"}})
    source = tmp_path / "sources" / "security.sources"
    assert source.read_text() == (
        "Types: deb\nURIs: http://me:pw@m.example/x\nSuites: bookworm-security\n"
        "Components: main contrib non-free non-free-firmware\nArchitectures: amd64\nSigned-By: /k.gpg\n"
    )
    configuration = tmp_path / "apt.conf"
    assert "Proxy" in configuration.read_text()
    assert "Post-Invoke" not in configuration.read_text()
    assert 'Dir::Etc::parts "/dev/null";' in configuration.read_text()  # it is read before these
    assert {path.stat().st_mode & 0o777 for path in (source, configuration)} == {0o600}
    assert asked[0][-1] == "update"
    reason = indexes.of(BOOKWORM, NOW).reason
    assert reason == "E: http://m.example/dists/bookworm-security/InRelease is not signed"
    assert (
        indexes.of(Release("debian", "13", "trixie", ""), NOW).reason == "there is no index of this release"
    )


def test_unknown_release_names_of_images_add_no_source(tmp_path: Path, asked: list[list[str]]) -> None:
    indexes = Indexes(str(tmp_path), {"debian": Mirror("http://m.example/x", "")}, 7)
    distroless = BOOKWORM._replace(title="Distroless")
    made_up = {f"a{number}" for number in range(5000)}
    indexes.fetch({BOOKWORM: {"amd64"}, distroless: {"arm64", *made_up}})
    source = (tmp_path / "sources" / "security.sources").read_text()
    assert source.count("Types: deb") == 1
    assert "Architectures: amd64 arm64\n" in source
    assert indexes.of(BOOKWORM, NOW) is indexes.of(distroless, NOW)


def test_a_failing_apt_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: str, **__: object) -> str:
        raise Absent("there is no apt-config")

    monkeypatch.setattr(module, "run", none)
    indexes = Indexes(str(tmp_path), {"debian": Mirror("http://m.example/x", "")}, 7)
    indexes.fetch({BOOKWORM: {"amd64"}})
    assert indexes.of(BOOKWORM, NOW).reason == "there is no apt-config"
    (tmp_path / "file").touch()
    indexes = Indexes(str(tmp_path / "file"), {"debian": Mirror("http://m.example/x", "")}, 7)
    indexes.fetch({BOOKWORM: {"amd64"}})
    assert "Not a directory" in indexes.of(BOOKWORM, NOW).reason


def test_no_index_is_fetched_without_a_wanted_release(tmp_path: Path, asked: list[list[str]]) -> None:
    Indexes(str(tmp_path), {}, 7).fetch({BOOKWORM: {"amd64"}})
    assert asked == []
