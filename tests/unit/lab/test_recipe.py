from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.lab import recipe
from hardener.lab.recipe import RELEASES, Release

MACHINE = ["QEMU emulator version 10.0", "-m", "1536"]
TRIXIE = RELEASES["13"]


def bootstrap(release: Release) -> list[str]:
    return recipe.bootstrap_command(
        release, files_tar="/c/files.tar", kernel="/c/vmlinuz", initrd="/c/initrd.img"
    )


def test_the_name_of_an_image_is_stable_and_contains_the_release() -> None:
    name = recipe.image_name(TRIXIE, machine=MACHINE)
    assert name == recipe.image_name(TRIXIE, machine=list(MACHINE))
    assert re.fullmatch(r"debian13-[0-9a-f]{16}", name)


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(TRIXIE, suite="sid"),
        dataclasses.replace(TRIXIE, docker=("docker.io",)),
        dataclasses.replace(TRIXIE, apt_options=("APT::Install-Suggests 1",)),
        dataclasses.replace(TRIXIE, hooks=("true",)),
    ],
    ids=["suite", "packages", "apt options", "hooks"],
)
def test_the_name_changes_with_the_installed_packages(other: Release) -> None:
    assert recipe.image_name(other, machine=MACHINE) != recipe.image_name(TRIXIE, machine=MACHINE)


def test_the_name_changes_with_the_virtual_machine() -> None:
    newer = ["QEMU emulator version 10.1", *MACHINE[1:]]
    assert recipe.image_name(TRIXIE, machine=newer) != recipe.image_name(TRIXIE, machine=MACHINE)


@pytest.mark.parametrize(
    ("constant", "value"),
    [
        ("DISK_SIZE", "9G"),
        ("DATA_DISK_SIZE", "9G"),
        ("MEMORY_MIB", 9),
        ("KERNEL_COMMAND_LINE", "quiet"),
        ("_NETWORK", "other"),
        ("_FSTAB", "other"),
    ],
)
def test_the_name_changes_with_the_rest_of_the_recipe(
    monkeypatch: pytest.MonkeyPatch, constant: str, value: object
) -> None:
    before = recipe.image_name(TRIXIE, machine=MACHINE)
    monkeypatch.setattr(recipe, constant, value)
    assert recipe.image_name(TRIXIE, machine=MACHINE) != before


def test_the_command_that_builds_an_image_names_no_mirror() -> None:
    for release in RELEASES.values():
        command = bootstrap(release)
        assert command[-2:] == [release.suite, "-"]
        assert not [word for word in command if "://" in word or ".org" in word]


def test_only_debian_testing_accepts_an_expired_package_index() -> None:
    dated = {
        name for name, release in RELEASES.items() if "Check-Valid-Until" in " ".join(bootstrap(release))
    }
    assert dated == {"testing"}


def test_a_guest_of_debian_testing_gets_the_security_archive(tmp_path: Path) -> None:
    sources = tmp_path / "etc/apt/sources.list"
    sources.parent.mkdir(parents=True)
    sources.write_text("deb http://mirror.example/debian testing main\n")
    for hook in RELEASES["testing"].hooks:
        subprocess.run(["sh", "-c", hook, "hook", str(tmp_path)], check=True)
    assert sources.read_text().splitlines() == [
        "deb http://mirror.example/debian testing main",
        "deb http://mirror.example/debian-security testing-security main",
    ]


def test_the_client_package_is_installed_where_it_is_separate() -> None:
    assert {name for name, release in RELEASES.items() if "docker-cli" in release.packages} == {
        "13",
        "testing",
    }


@pytest.mark.parametrize("name", RELEASES)
def test_a_bare_guest_differs_only_by_docker(name: str) -> None:
    docker, bare = recipe.release_named(name), recipe.release_named(f"{name}-bare")
    assert set(docker.packages) - set(bare.packages) == set(docker.docker)
    assert not [package for package in bare.packages if "docker" in package]
    assert (bare.name, bare.suite, bare.apt_options) == (f"{name}-bare", docker.suite, docker.apt_options)
    assert recipe.image_name(bare, machine=MACHINE) != recipe.image_name(docker, machine=MACHINE)


def test_guests_are_built_without_auditd() -> None:
    assert not [name for name, release in RELEASES.items() if "auditd" in release.packages]


@pytest.mark.parametrize("name", ["14", "14-bare", "-bare", "13-bare-bare"])
def test_an_unknown_release_is_an_error_that_lists_the_known_ones(name: str) -> None:
    with pytest.raises(HardenerError, match=rf"Debian '{name}' .*12, 13, testing"):
        recipe.release_named(name)
