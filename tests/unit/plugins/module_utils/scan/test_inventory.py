from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.scan import inventory
from ansible_collections.hardener.docker.plugins.module_utils.scan.files import Files, HostFiles, TooLarge
from ansible_collections.hardener.docker.plugins.module_utils.scan.layers import Layers

from tests.hanging import must_end

OS_RELEASE = (
    b'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
)
STATUS = (
    b"Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2\nDescription: x\n y\n\n"
    b"Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n"
)


class Memory(Files):
    def __init__(self, files: Mapping[str, bytes | Failed]) -> None:
        self.files = files

    def read(self, path: str) -> bytes | None:
        found = self.files.get(path)
        if isinstance(found, Failed):
            raise found
        return found

    def names(self, path: str) -> list[str]:
        return sorted(name.rpartition("/")[2] for name in self.files if name.startswith(f"{path}/"))


def take(files: Mapping[str, bytes | Failed]) -> dict[str, object]:
    found: dict[str, object] = inventory.take(Memory({"/etc/os-release": OS_RELEASE, **files}))
    return found


def test_the_dpkg_database_is_read() -> None:
    found = take({"/var/lib/dpkg/status": STATUS})
    assert found["kind"] == "dpkg"
    assert found["packages"] == [["bash", "amd64", "5.2"]]
    assert found["release"] == ["debian", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)"]


def test_distroless_images_have_one_file_for_each_package() -> None:
    files: dict[str, bytes | Failed] = {
        "/var/lib/dpkg/status.d/base": b"Package: base-files\nVersion: 12.4\nArchitecture: amd64\n",
        "/var/lib/dpkg/status.d/tz": b"Package: tz\nStatus: hold ok installed\nVersion: 1\nArchitecture: all",
        "/var/lib/dpkg/status.d/base.md5sums": b"Package: no\nVersion: 1\n",
    }
    assert take(files)["packages"] == [["base-files", "amd64", "12.4"], ["tz", "all", "1"]]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/lib/apk/db/installed", "apk"),
        ("/usr/lib/apk/db/installed", "apk"),
        ("/var/lib/rpm/rpmdb.sqlite", "rpm"),
        ("/usr/lib/sysimage/rpm/rpmdb.sqlite", "rpm"),
        ("/somewhere/else", None),
    ],
)
def test_other_package_managers_are_recognised_without_packages(path: str, kind: str | None) -> None:
    found = take({path: b"x"})
    assert (found["kind"], found["packages"]) == (kind, [])
    assert take({path: TooLarge("too large")})["kind"] == kind


def test_an_image_with_two_package_managers_is_reported() -> None:
    both: dict[str, bytes | Failed] = {"/var/lib/dpkg/status": STATUS, "/lib/apk/db/installed": b"P:musl\n"}
    found = take(both)
    assert (found["kind"], found["beside"]) == ("dpkg", ["apk"])
    assert take({"/lib/apk/db/installed": b"x", "/var/lib/rpm/Packages": b"x"})["beside"] == ["rpm"]
    assert take({"/var/lib/dpkg/status": STATUS})["beside"] == []


@pytest.mark.parametrize(
    ("state", "there"),
    [
        ("install ok unpacked", True),
        ("install ok half-configured", True),
        ("install reinstreq half-installed", True),
        ("deinstall ok config-files", False),
        ("purge ok not-installed", False),
        ("nonsense", False),
    ],
)
def test_only_packages_of_a_complete_or_interrupted_installation_are_read_as_installed(
    state: str, there: bool
) -> None:
    stanza = f"Package: a\nStatus: {state}\nArchitecture: all\nVersion: 1\n".encode()
    assert take({"/var/lib/dpkg/status": stanza})["packages"] == ([["a", "all", "1"]] if there else [])


def test_packages_of_two_databases_are_combined() -> None:
    stanza = b"Package: bash\nArchitecture: amd64\nVersion: 99\n"
    found = take({"/var/lib/dpkg/status": STATUS, "/var/lib/dpkg/status.d/bash": stanza})
    assert found["packages"] == [["bash", "amd64", "5.2"], ["bash", "amd64", "99"]]


def test_a_file_with_several_packages_is_read_completely() -> None:
    stanza = "Package: {}\nArchitecture: all\nVersion: 1\n"
    text = "\n".join(map(stanza.format, "abc")).encode()
    assert len(list(take({"/var/lib/dpkg/status.d/x": text})["packages"])) == 3  # type: ignore[call-overload]


@pytest.mark.parametrize("path", ["/var/lib/dpkg/status", "/var/lib/dpkg/status.d/x"])
def test_too_many_empty_lines_are_an_error(path: str) -> None:
    with pytest.raises(Failed, match="more than 20000"):
        take({path: b"\n" * 40_000_000})


def test_too_many_files_of_packages_are_an_error() -> None:
    stanza = b"Package: a\nVersion: 1\nArchitecture: all\n"
    with pytest.raises(Failed, match="more than 5000 files"):
        take({f"/var/lib/dpkg/status.d/{number}": stanza for number in range(5001)})


def test_an_empty_database_is_not_recognised() -> None:
    assert take({"/var/lib/dpkg/status": b""})["kind"] is None


def test_an_unreadable_database_is_an_error() -> None:
    with pytest.raises(Failed, match="input/output error"):
        take({"/lib/apk/db/installed": Failed("input/output error")})
    with pytest.raises(Failed, match="too large"):
        take({"/var/lib/dpkg/status": Failed("too large")})


def test_the_number_of_packages_is_bounded() -> None:
    stanza = "Package: p{}\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n"
    status = "\n".join(stanza.format(number) for number in range(20001)).encode()
    with pytest.raises(Failed, match="more than 20000 packages"):
        take({"/var/lib/dpkg/status": status})


def test_names_are_bounded_and_printable() -> None:
    hostile = (
        b"Package: a\x1b[31m" + b"x" * 5000 + b"\nStatus: install ok installed\nArchitecture: a\nVersion: 1\n"
    )
    (package,) = inventory.take(Memory({"/var/lib/dpkg/status": hostile}))["packages"]
    assert "\x1b" not in package[0]
    assert len(package[0]) <= 300


def test_files_of_the_host_are_read_and_names_in_its_folders_listed(tmp_path: Path) -> None:
    files = HostFiles()
    (tmp_path / "x").write_text("1")
    assert files.read(str(tmp_path / "x")) == b"1"
    assert files.read(str(tmp_path)) is None
    assert files.read(str(tmp_path / "none")) is None
    assert files.names(str(tmp_path)) == ["x"]
    assert files.names(str(tmp_path / "x")) == []


def test_a_folder_with_too_many_files_is_an_error_and_not_truncated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.hardener.docker.plugins.module_utils.scan.files.MAX_NAMES", 2)
    for name in "abc":
        (tmp_path / name).touch()
    for files, path in ((HostFiles(), str(tmp_path)), (Layers([str(tmp_path)]), "/")):
        with pytest.raises(Failed, match="more than 2 files"):
            files.names(path)


@pytest.mark.parametrize(
    ("text", "codename", "suite"),
    [
        ('ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n', "trixie", "trixie-security"),
        ('ID=debian\nVERSION_ID="10"\nVERSION="10 (buster)"\n', "buster", "buster/updates"),
        ("ID=ubuntu\nVERSION_ID=22.04\nUBUNTU_CODENAME=jammy\n", "jammy", "jammy-security"),
        ("ID=debian\nVERSION_ID=12\r\nVERSION_CODENAME='bookworm'\n", "bookworm", "bookworm-security"),
        ('ID=debian\nVERSION_ID=1\nVERSION_CODENAME="x\n[trusted=yes] y"\n', "", "-security"),
        ('ID=debian\nVERSION_ID=1\nVERSION_CODENAME="../../x"\n', "", "-security"),
        ("ID=debian\nVERSION_ID=1\nVERSION_CODENAME=sid trixie\n", "", "-security"),
    ],
)
def test_releases_are_read_from_os_release(text: str, codename: str, suite: str) -> None:
    release = inventory.release_of(text)
    assert (release.codename, release.suite) == (codename, suite)
    assert release.compared is bool(codename)


def test_packages_of_debian_testing_are_not_compared() -> None:
    title = 'PRETTY_NAME="Debian GNU/Linux forky/sid"'
    assert not inventory.release_of(f"{title}\nID=debian\nVERSION_CODENAME=forky\n").compared


def test_a_long_os_release_file_is_read_in_bounded_time() -> None:
    with must_end():
        for text in ("\n" * 1_000_000, "A=" + " " * 1_000_000 + "x", 'A="' * 300_000):
            assert not inventory.release_of(text).compared


def test_packages_of_other_distributions_are_not_compared() -> None:
    assert not inventory.release_of("ID=raspbian\nID_LIKE=debian\nVERSION_CODENAME=bookworm\n").compared
    assert not inventory.release_of("").compared


def test_each_debian_release_has_its_archive_components() -> None:
    assert "non-free-firmware" in inventory.release_of("ID=debian\nVERSION_CODENAME=bookworm").components
    assert "non-free-firmware" not in inventory.release_of("ID=debian\nVERSION_CODENAME=bullseye").components
