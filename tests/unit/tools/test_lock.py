from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.lock import files, render

ROOT = Path(__file__).parents[3]
CONSTRAINTS = sorted((ROOT / ".ci").glob("constraints-*.txt"))
READERS = sorted((ROOT / ".ci").glob("readers-*.txt"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What Debian 13 has, by the names of PyPI.
DEBIAN_13 = {
    "ansible-core": "2.19.11",
    "ansible-runner": "2.4.1",
    "click": "8.1.8",
    "jinja2": "3.1.6",
    "junit-xml": "1.9",
    "pydantic": "2.10.6",
    "pyyaml": "6.0.2",
    "rich": "13.9.4",
}
LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[0-9a-z.]+)(?: --hash=sha256:[0-9a-f]{64})+")


def wanted(*extras: str) -> set[str]:
    """Names of what the project and its extras ask for."""
    optional = PROJECT["optional-dependencies"]
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in optional[extra])]
    return {str(canonicalize_name(Requirement(text).name)) for text in texts} - {"hardener"}


def source(name: str, file: str, digest: str = "a" * 64) -> dict[str, Any]:
    """A package in a report of pip."""
    origin = {"url": f"https://index.example/{file}", "archive_info": {"hashes": {"sha256": digest}}}
    return {"metadata": {"name": name, "version": "1.0"}, "download_info": origin}


def pinned(path: Path) -> list[str]:
    """Lines of a file of pins, each of which has a hash."""
    lines = path.read_text().replace(" \\\n    ", " ").splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    return lines


@pytest.mark.parametrize("path", CONSTRAINTS, ids=lambda path: path.name)
def test_every_package_is_pinned_with_a_hash(path: Path) -> None:
    locked = {canonicalize_name(line.partition("==")[0]) for line in pinned(path)}
    extras = ("test", "lint", "dev") if path.name == "constraints-3.13.txt" else ("test",)
    assert wanted(*extras) - locked == set(), "run: make lock, make lock-former or make lock-lowest"


@pytest.mark.parametrize("path", READERS, ids=lambda path: path.name)
def test_every_program_that_reads_our_files_is_pinned_with_a_hash(path: Path) -> None:
    locked = {requirement(line) for line in pinned(path)}
    wanted = (ROOT / ".ci/readers.in").read_text().splitlines()
    assert {requirement(line) for line in wanted if line[0] != "#"} - locked == set(), (
        "run: make lock-readers"
    )


def requirement(line: str) -> str:
    """A pin with the name as an index writes it: pre-commit and pre_commit are one."""
    name, _, version = line.partition(" ")[0].partition("==")
    return f"{canonicalize_name(name)}=={version}"


def test_each_python_of_ci_has_constraints() -> None:
    assert [path.name for path in CONSTRAINTS] == [
        "constraints-3.13.txt",
        "constraints-ansible-2.20.txt",
        "constraints-lowest.txt",
    ]


def test_build_requirements_are_locked() -> None:
    system = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    assert {Requirement(text).name for text in system["requires"]} <= wanted("test")


def test_packages_of_debian_13_satisfy_the_bounds() -> None:
    bounds = {Requirement(text).name: Requirement(text).specifier for text in PROJECT["dependencies"]}
    assert set(bounds) == set(DEBIAN_13)
    assert {name for name, bound in bounds.items() if DEBIAN_13[name] not in bound} == set()


def test_the_project_itself_has_no_hash() -> None:
    project = {
        "metadata": {"name": "hardener", "version": "1"},
        "download_info": {"url": "file:///", "dir_info": {}},
    }
    assert files({"install": [project, source("six", "six-1.0-py3-none-any.whl")]}) == {
        ("six", "1.0"): {"a" * 64}
    }


@pytest.mark.parametrize(
    "package", [source("six", "six-1.0.tar.gz"), source("six", "six-1.0-py3-none-any.whl", "")]
)
def test_a_package_without_a_wheel_or_a_hash_is_refused(package: dict[str, Any]) -> None:
    with pytest.raises(SystemExit, match=r"six==1\.0: no wheel with a SHA-256"):
        files({"install": [package]})


def test_packages_are_sorted_with_all_their_hashes() -> None:
    text = render({("six", "1"): {"c", "b"}, ("Jinja2", "2"): {"a"}})
    assert text == (
        "Jinja2==2 \\\n    --hash=sha256:a\nsix==1 \\\n    --hash=sha256:b \\\n    --hash=sha256:c\n"
    )
