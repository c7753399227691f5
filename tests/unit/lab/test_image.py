from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.lab import host, image, qemu
from hardener.lab.image import Image
from hardener.lab.recipe import RELEASES, Release

TRIXIE = RELEASES["13"]


@pytest.fixture
def builds(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every build, whose steps only note that they were taken."""
    done: list[str] = []

    def install(draft: Image, release: Release) -> None:
        done.append(release.name)
        draft.disk.write_text("disk")

    def boot_and_save(draft: Image, release: Release, *, report: image.Say) -> None:
        draft.state.write_text("state")

    monkeypatch.setattr(host, "require_tools", lambda: None)
    monkeypatch.setattr(qemu, "version", lambda: "QEMU 10")
    monkeypatch.setattr(image, "_install", install)
    monkeypatch.setattr(image, "_boot_and_save", boot_and_save)
    return done


def quiet(line: str) -> None:
    pass


def test_an_image_is_built_once(builds: list[str]) -> None:
    first = image.build(TRIXIE, report=quiet)
    assert (first.disk.read_text(), first.state.read_text()) == ("disk", "state")
    assert image.build(TRIXIE, report=quiet) == first
    assert builds == ["13"]


def test_each_release_has_its_own_image(builds: list[str]) -> None:
    releases = [*RELEASES.values(), *(release.bare for release in RELEASES.values())]
    images = {image.build(release, report=quiet).directory for release in releases}
    assert len(images) == len(builds) == 6


@pytest.mark.parametrize("error", [HardenerError("no network"), KeyboardInterrupt()])
def test_a_failed_build_leaves_no_image_and_no_temporary_file(
    builds: list[str], cache: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(draft: Image, release: Release, *, report: image.Say) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(image, "_boot_and_save", fail)
        with pytest.raises(type(error)):
            image.build(TRIXIE, report=quiet)
    assert list((cache / "images").iterdir()) == []
    assert image.build(TRIXIE, report=quiet).state.exists()


def test_files_of_a_killed_build_are_removed(builds: list[str], cache: Path) -> None:
    name = image.build(TRIXIE, report=quiet).directory.name
    (cache / "images" / name).rename(cache / "images" / f"{name}.killed")
    built = image.build(TRIXIE, report=quiet)
    assert builds == ["13", "13"]
    assert [path.name for path in (cache / "images").iterdir()] == [name]
    assert built.directory.name == name


def test_other_users_cannot_read_an_image(builds: list[str]) -> None:
    assert image.build(TRIXIE, report=quiet).directory.stat().st_mode & 0o077 == 0


def archive(fmt: int) -> io.BytesIO:
    """A tar archive with all that a root file system has."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=fmt) as tar:
        for kind, name, more in (
            (tarfile.DIRTYPE, "./etc", {"mode": 0o755}),
            (tarfile.REGTYPE, "./etc/Főtanúsítvány" + "x" * 120, {"size": 3, "uid": 7, "mode": 0o4755}),
            (tarfile.SYMTYPE, "./bin", {"linkname": "usr/bin"}),
            (tarfile.LNKTYPE, "./etc/hard", {"linkname": "./etc/Főtanúsítvány" + "x" * 120}),
            (tarfile.CHRTYPE, "./dev/null", {"devmajor": 1, "devminor": 3}),
        ):
            member = tarfile.TarInfo(name)
            member.type = kind
            for key, value in more.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(b"abc") if kind == tarfile.REGTYPE else None)
    buffer.seek(0)
    return buffer


def test_the_archive_keeps_file_attributes() -> None:
    rewritten = io.BytesIO()
    image._to_gnu_tar(archive(tarfile.PAX_FORMAT), rewritten)
    rewritten.seek(0)
    with (
        tarfile.open(fileobj=rewritten) as new,
        tarfile.open(fileobj=archive(tarfile.GNU_FORMAT)) as expected,
    ):
        for got, wanted in zip(new, expected, strict=True):
            fields = ("name", "type", "mode", "uid", "size", "linkname", "devmajor", "devminor")
            assert [getattr(got, field) for field in fields] == [getattr(wanted, field) for field in fields]
            assert got.pax_headers == {}
            if got.isreg():
                content = new.extractfile(got)
                assert content is not None
                assert content.read() == b"abc"
