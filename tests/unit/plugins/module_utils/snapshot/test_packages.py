from __future__ import annotations

import bz2
import gzip
import lzma
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import debian
from ansible_collections.hardener.docker.plugins.module_utils.host.debian import newer, sort_key
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.host.kernels import newest_kernel
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import apt, packages
from hypothesis import given
from hypothesis import strategies as st

from hardener.model import Status
from tests.unit.apt_hosts import AptHost, needs_apt
from tests.unit.plugins.module_utils.render.rendering import verdicts
from tests.unit.snapshots import make, only

STATUS = b"""\
Package: docker.io
Status: install ok installed
Architecture: amd64
Version: 26.1.5+dfsg1-9
Description: x
 Version: 99

Package: held
Status: hold ok installed
Architecture: all
Version: 1.0

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: waiting
Status: install ok triggers-pending
Architecture: amd64
Version: 1.0
"""
INDEX = """\
Package: docker.io
Version: 26.1.5+dfsg1-9+deb13u1
Architecture: amd64

Package: held
Version: 1.0+deb13u1
Architecture: all

Package: waiting
Version: 1.0
Architecture: amd64

Package: gone
Version: 2.0
Architecture: amd64

Package: docker.io
Version: 99
Architecture: arm64

Package: not-installed
Version: 99
Architecture: amd64
"""
RELEASE = """\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Origin: Debian
Label: Debian-Security
Suite: stable-security
Codename: trixie-security
Date: Mon, 23 Nov 2026 11:22:38 UTC
Valid-Until: Mon, 30 Nov 2026 11:22:38 UTC
SHA256:
 e3b0 0 main/x
"""
PREFIX = "mirror.example_debian-security_dists_trixie-security"


@pytest.mark.parametrize(
    ("older", "later"),
    [
        ("1.0", "1.1"),
        ("1.9", "1.10"),
        ("1.0~rc1", "1.0"),
        ("1.0~~", "1.0~"),
        ("1.0", "1.0+deb13u1"),
        ("1.0-1", "1.0-1+b1"),
        ("9.0", "1:0.1"),
        ("1.0a", "1.0+"),
        ("1.0", "1.0a"),
        ("1.0-9", "1.0-10"),
        ("26.1.5+dfsg1-9", "26.1.5+dfsg1-9+deb13u1"),
        ("2.36-9+deb12u9", "2.36-9+deb12u10"),
    ],
)
def test_versions_are_ordered_like_dpkg_does(older: str, later: str) -> None:
    assert newer(later, older)
    assert not newer(older, later)


@given(st.text("019az~+.-:", min_size=1), st.text("019az~+.-:", min_size=1))
def test_versions_are_totally_ordered(one: str, two: str) -> None:
    assert newer(one, two) + newer(two, one) + (sort_key(one) == sort_key(two)) == 1
    assert not newer(one, one)


def test_installed_and_held_packages_are_read() -> None:
    installed, holds = debian.parse_status(STATUS)
    assert installed == {
        ("docker.io", "amd64"): "26.1.5+dfsg1-9",
        ("held", "all"): "1.0",
        ("waiting", "amd64"): "1.0",
    }
    assert holds == {"held"}


@pytest.mark.parametrize("state", ["ok unpacked", "ok half-configured", "reinstreq half-installed"])
def test_packages_of_an_interrupted_installation_are_read_as_installed(state: str) -> None:
    status = b"Package: a\nStatus: install %b\nArchitecture: all\nVersion: 1\n" % state.encode()
    assert debian.parse_status(status)[0] == {("a", "all"): "1"}


def test_candidates_of_an_index_are_read() -> None:
    installed, _ = debian.parse_status(STATUS)
    assert list(apt.candidates(INDEX.encode(), installed)) == [
        ("docker.io", "amd64", "26.1.5+dfsg1-9+deb13u1"),
        ("held", "all", "1.0+deb13u1"),
    ]
    assert list(apt.candidates(b"", installed)) == []


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lists = tmp_path / "lists"
    lists.mkdir()
    (tmp_path / "status").write_bytes(STATUS)
    monkeypatch.setattr(apt, "LISTS", str(lists))
    monkeypatch.setattr(apt, "_STATUS", str(tmp_path / "status"))
    monkeypatch.setattr(apt, "_STAMPS", (str(tmp_path / "stamp"),))
    monkeypatch.setattr(apt, "_REBOOT", str(tmp_path / "reboot-required"))
    monkeypatch.setattr(
        apt, "run", lambda *_: 'APT::Periodic::Enable "1";\nUnattended-Upgrade::Origins-Pattern:: "o";\n'
    )
    return lists


def fetch(lists: Path, *, release: str = RELEASE, prefix: str = PREFIX) -> Path:
    (lists / f"{prefix}_InRelease").write_text(release)
    index = lists / f"{prefix}_main_binary-amd64_Packages"
    index.write_text(INDEX)
    return index


def test_pending_security_updates_are_found(host: Path) -> None:
    fetch(host)
    found = apt.read(("docker.io", "held", "podman"))
    assert found["installed"] == {"docker.io": "26.1.5+dfsg1-9", "held": "1.0"}
    assert found["pending_security"] == [
        {
            "name": "docker.io",
            "installed": "26.1.5+dfsg1-9",
            "candidate": "26.1.5+dfsg1-9+deb13u1",
            "origin": "Debian-Security trixie-security",
            "held": False,
        },
        {
            "name": "held",
            "installed": "1.0",
            "candidate": "1.0+deb13u1",
            "origin": "Debian-Security trixie-security",
            "held": True,
        },
    ]
    assert found["holds"] == ["held"]
    assert 0 <= found["index_age_s"] < 60
    assert (found["index_date"], found["index_valid_until"]) == (
        "2026-11-23T11:22:38Z",
        "2026-11-30T11:22:38Z",
    )
    assert found["automatic"] == {"APT::Periodic::Enable": "1"}
    assert found["unattended"] == {"installed": False, "origins": ["o"]}
    assert found["reboot_required"] is False


def test_updates_of_other_than_security_repositories_are_ignored(host: Path) -> None:
    release = RELEASE.replace("Debian-Security", "Debian").replace("-security", "")
    fetch(host, release=release, prefix="mirror.example_debian_dists_trixie")
    found = apt.read(())
    assert (found["pending_security"], found["index_age_s"], found["index_date"]) == ([], None, None)


def test_the_fetched_indexes_and_dockers_newest_release_are_read(host: Path, tmp_path: Path) -> None:
    fetch(host)
    docker = "Origin: Docker\nSuite: trixie\nDate: Mon, 23 Nov 2026 11:22:38 UTC\n"
    fetch(host, release=docker, prefix="download.docker.com_linux_debian_dists_trixie").write_text(
        "".join(
            f"Package: docker-ce\nVersion: 5:29.{minor}.0-1\nArchitecture: amd64\n\n" for minor in (9, 10, 8)
        )
    )
    found = apt.read(())
    fields = [
        (index["origin"], index["suite"], index["site"], index["security"]) for index in found["indexes"]
    ]
    assert fields == [
        ("Docker", "trixie", "download.docker.com", False),
        ("Debian", "stable-security", "mirror.example", True),
    ]
    assert found["docker_index"] is None  # docker-ce is not installed
    installed = (
        b"Package: docker-ce\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5:29.10.0-1\n"
    )
    (tmp_path / "status").write_bytes(STATUS + b"\n" + installed)
    newest = {"newest": "5:29.10.0-1", "date": "2026-11-23T11:22:38Z", "updates": []}
    assert apt.read(())["docker_index"] == newest


@needs_apt
@pytest.mark.parametrize(
    ("pin", "hold", "waits"),
    [
        ("", "", ("5:29.10.0-1", False)),
        ("5:29.9*", "", ("5:29.9.0-1", False)),
        ("5:29.7*", "", ("5:29.10.0-1", True)),
        ("", "docker-ce", ("5:29.10.0-1", True)),
    ],
)
def test_a_newer_docker_ce_waits_unless_the_site_holds_or_pins_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pin: str, hold: str, waits: tuple[str, bool]
) -> None:
    host = AptHost(tmp_path, installed={"docker-ce": "5:29.7.2-1", "curl": "8.0-1"}, hold=hold)
    offered = [("docker-ce", f"5:29.{minor}-1") for minor in ("7.2", "9.0", "10.0")]
    release = {"Origin": "Docker", "Label": "Docker CE", "Codename": "trixie", "Components": "stable"}
    host.fetch("https://mirror.example.org/linux/debian", release, [*offered, ("containerd.io", "2.2.9-1")])
    if pin:
        preferences = "Package: docker-ce\nPin: version {}\nPin-Priority: {}\n\n"
        text = preferences.format(pin, 990) + preferences.format("*", -1)
        (tmp_path / "etc/apt/preferences.d/site").write_text(text)
    monkeypatch.setattr(apt, "LISTS", str(tmp_path / "var/lib/apt/lists"))
    monkeypatch.setattr(apt, "_STATUS", str(tmp_path / "var/lib/dpkg/status"))
    monkeypatch.setattr(apt, "run", host.run)
    found = apt.read(())
    assert found["docker_index"]["newest"] == "5:29.10.0-1"
    assert found["docker_index"]["updates"] == [
        {
            "name": "docker-ce",
            "installed": "5:29.7.2-1",
            "candidate": waits[0],
            "origin": "Docker CE trixie",
            "held": waits[1],
        }
    ]
    assert found["pending_security"] == []


@pytest.mark.parametrize("ending", [".xml", ".xml.gz", ".xml.xz", ".xml.bz2", ".xml.zst", ".xml.gz broken"])
def test_dockers_newest_release_is_read_from_the_lists_of_dnf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(packages, "_CACHES", (str(tmp_path),))
    lists = tmp_path / "docker-ce-stable-0123" / "repodata"
    lists.mkdir(parents=True)
    entry = '<name>docker-ce</name>\n <arch>x86_64</arch>\n <version epoch="3" ver="29.{}.0" rel="1.el9"/>'
    text = "".join(entry.format(minor) for minor in (9, 10, 8)).encode()
    pack: dict[str, Any] = {".xml.gz": gzip.compress, ".xml.xz": lzma.compress, ".xml.bz2": bz2.compress}
    file = lists / f"0123-primary{ending.partition(' ')[0]}"
    file.write_bytes(pack.get(ending, bytes)(text))
    os.utime(file, (0, 0))
    found = {"newest": "3:29.10.0-1.el9", "date": "1970-01-01T00:00:00Z", "updates": []}
    for installed, updates in (("3:29.10.0-1.el9", []), ("3:29.9.0-1.el9", ["3:29.10.0-1.el9"])):
        index = packages.docker_index(installed)
        if "zst" in ending or "broken" in ending:
            assert index is None
        else:
            assert index is not None
            assert [update["candidate"] for update in index["updates"]] == updates
            assert {**index, "updates": []} == found
    file.unlink()
    assert packages.docker_index("3:29.9.0-1.el9") is None


def test_the_highest_version_of_several_indexes_wins(host: Path) -> None:
    fetch(host)
    other = fetch(host, prefix="mirror_dists_trixie-security")
    other.write_text(INDEX.replace("deb13u1", "deb13u3"))
    candidates = {update["candidate"] for update in apt.read(())["pending_security"]}
    assert candidates == {"26.1.5+dfsg1-9+deb13u3", "1.0+deb13u3"}


def test_the_age_is_measured_from_the_last_successful_fetch(host: Path, tmp_path: Path) -> None:

    fetch(host)
    long_ago = time.time() - 10 * 86400
    os.utime(host / f"{PREFIX}_InRelease", (long_ago, long_ago))
    assert apt.read(())["index_age_s"] == pytest.approx(10 * 86400, abs=60)
    (tmp_path / "stamp").touch()
    assert apt.read(())["index_age_s"] < 60


def test_a_compressed_index_is_read_with_apts_helper(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = fetch(host)
    packed = index.with_name(index.name + ".gz")
    packed.write_bytes(gzip.compress(index.read_bytes()))
    index.unlink()

    def helper(program: str, command: str, path: str, *, limit: int) -> bytes:
        assert (program, command) == ("/usr/lib/apt/apt-helper", "cat-file")
        return gzip.decompress(Path(path).read_bytes())

    monkeypatch.setattr(apt, "run_bytes", helper)
    assert [update["name"] for update in apt.read(())["pending_security"]] == ["docker.io", "held"]


def test_a_large_index_is_read_in_chunks_of_stanzas(tmp_path: Path) -> None:
    path = tmp_path / "x_Packages"
    stanza = "Package: p{}\nVersion: 2\nArchitecture: all\nDescription: " + "x" * 500 + "\n\n"
    path.write_text("".join(stanza.format(number) for number in range(6000)))
    installed = {(f"p{number}", "all"): "1" for number in range(6000)}
    pieces = list(apt.pieces(str(path)))
    assert len(pieces) > 2
    assert sum(len(list(apt.candidates(piece, installed))) for piece in pieces) == 6000


# Printed by dnf 4.24.0 and dnf5 5.4.6 for the same repository and host.
DNF4 = """\
RLSA-2026:1236 Unknown/Sec.   glibc-2.1-1.el9.noarch
RLSA-2026:1235 Moderate/Sec.  openssl-libs-1:1.1-1.el9.noarch
RLSA-2026:1234 Important/Sec. testpkg-1.1-1.el9.noarch
"""
DNF5 = """\
Name           Type     Severity                          Package              Issued
RLSA-2026:1234 security Important        testpkg-1.1-1.el9.noarch 2026-11-20 00:00:00
RLSA-2026:1235 security Moderate  openssl-libs-1:1.1-1.el9.noarch 2026-11-20 00:00:00
RLSA-2026:1236 security None               glibc-2.1-1.el9.noarch 2026-11-20 00:00:00
"""
NO_REBOOT = """\
No core libraries or services have been updated since boot-up.
Reboot should not be necessary.
"""
REBOOT = """\
Core libraries or services have been updated since boot-up:
  * glibc
  * openssl-libs

Reboot is required to fully utilize these updates.
More information: https://access.redhat.com/solutions/27943
"""


@pytest.mark.parametrize("text", [DNF4, DNF5, f"Last metadata expiration check: x\n\n{DNF4}"])
def test_updates_listed_by_dnf_are_read(text: str) -> None:
    found = packages.parse_updateinfo(text, {"testpkg": "1.0-1.el9"})
    assert sorted((each["name"], each["candidate"], each["origin"]) for each in found) == [
        ("glibc", "2.1-1.el9", "RLSA-2026:1236"),
        ("openssl-libs", "1:1.1-1.el9", "RLSA-2026:1235"),
        ("testpkg", "1.1-1.el9", "RLSA-2026:1234"),
    ]
    assert {each["name"]: each["installed"] for each in found}["testpkg"] == "1.0-1.el9"


@pytest.fixture
def rpm_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the programs of a host print, by their words; its dnf is in a folder beside its lists."""
    (tmp_path / "dnf5").touch()
    said = {"rpm": "testpkg 1.0-1.el9\n", "updateinfo": "", "needs-restarting": NO_REBOOT}

    def run(*command: str, **_options: Any) -> str:
        word = command[0] if command[0] == "rpm" else next(each for each in command[1:] if each in said)
        if said[word] == "absent":
            raise Failed("dnf: No such command")
        return said[word]

    monkeypatch.setattr(packages, "run", run)
    monkeypatch.setattr(packages, "find_program", lambda name: str(tmp_path / name))
    monkeypatch.setattr(packages, "_CACHES", (str(tmp_path / "four"), str(tmp_path / "five")))
    monkeypatch.setattr(os.path, "exists", lambda path: path != "/var/lib/dpkg/status")
    return said


def fetched_by_dnf(cache: Path, *, kind: str = "updateinfo", age: float = 0) -> None:
    lists = cache / "baseos-0123/repodata"
    lists.mkdir(parents=True)
    for name, seconds in (("0-primary.xml.gz", age), (f"1-{kind}.xml.zst", age + 9 * 86400)):
        (lists / name).touch()
        os.utime(lists / name, (time.time() - seconds, time.time() - seconds))


@pytest.mark.parametrize(
    ("where", "known"),
    [
        (("dnf-3", "four", "updateinfo"), True),
        (("dnf5", "five", "updateinfo"), True),
        (("dnf5", "four", "updateinfo"), False),  # which dnf5 does not read
        (("dnf-3", "four", "filelists"), False),  # a distribution without advisories
        (("dnf-3", "none", "updateinfo"), False),
    ],
)
def test_a_dnf_host_has_no_pending_update_only_by_an_index_of_advisories(
    tmp_path: Path, rpm_host: dict[str, str], where: tuple[str, str, str], known: bool
) -> None:
    program, cache, kind = where
    (tmp_path / "dnf").symlink_to(tmp_path / program)
    fetched_by_dnf(tmp_path / cache, kind=kind, age=3 * 3600)
    read = packages.read()
    assert read["index_age_s"] == (pytest.approx(3 * 3600, abs=60) if known else None)
    snapshot = make(packages=only({**read, "newest_kernel": None}))
    assert verdicts(snapshot, "host-updates-pending") == {
        "host-updates-pending": Status.PASS if known else Status.ERROR
    }
    rpm_host["updateinfo"] = DNF5 if program == "dnf5" else DNF4
    snapshot = make(packages=only({**packages.read(), "newest_kernel": None}))
    assert verdicts(snapshot, "host-updates-pending") == {"host-updates-pending": Status.FAIL}
    rpm_host["updateinfo"] = "an unknown line\n"
    assert "'an unknown line'" in packages.read()["pending_error"]


@pytest.mark.parametrize(
    ("said", "required", "names"),
    [
        (NO_REBOOT, False, []),
        (REBOOT, True, ["glibc", "openssl-libs"]),
        ("", None, []),
        ("absent", None, []),
    ],
)
def test_dnf_tells_whether_a_reboot_is_required(
    rpm_host: dict[str, str], said: str, required: bool | None, names: list[str]
) -> None:
    rpm_host["needs-restarting"] = said
    found = packages.read()
    assert (found["reboot_required"], found["reboot_packages"]) == (required, names)


@pytest.mark.parametrize(
    ("installed", "running", "newest"),
    [
        (["6.12.9-amd64", "6.12.118-amd64", "7.0-cloud-amd64"], "6.12.9-amd64", "6.12.118-amd64"),
        (["6.8.0-45-generic", "6.8.0-100-generic"], "6.8.0-45-generic", "6.8.0-100-generic"),
        (
            ["5.14.0-427.el9.x86_64", "0-rescue-814cc071b83f"],
            "5.14.0-427.el9.x86_64",
            "5.14.0-427.el9.x86_64",
        ),
        (["6.12.9-amd64"], "6.12.9-custom", None),
        ([], "6.12.9-amd64", None),
    ],
)
def test_the_newest_kernel_has_the_flavour_of_the_running_one(
    tmp_path: Path, installed: list[str], running: str, newest: str | None
) -> None:
    for release in installed:
        (tmp_path / f"vmlinuz-{release}").touch()
    (tmp_path / "initrd.img-9.9.9-amd64").touch()
    assert newest_kernel(str(tmp_path), running) == newest
    assert newest_kernel(str(tmp_path / "none"), running) is None
