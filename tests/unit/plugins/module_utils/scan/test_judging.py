from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.scan.index import Indexes
from ansible_collections.hardener.docker.plugins.module_utils.scan.judging import Judge
from ansible_collections.hardener.docker.plugins.module_utils.scan.sources import Mirror

from tests.unit.plugins.module_utils.scan.lists import NOW, left

BOOKWORM = ["debian", "12", "bookworm", "Debian 12"]
OLD = ["openssl", "amd64", "3.0.1-1"]


def judged(
    folder: Path,
    *packages: list[str],
    kind: str | None = "dpkg",
    beside: tuple[str, ...] = (),
    release: Any = BOOKWORM,
    named: int = 9,
) -> Any:
    left(folder)
    indexes = Indexes(str(folder), {"debian": Mirror("http://m.example/s", "")}, 7)
    judge = Judge(indexes, None, now=NOW, stamp="2026-11-25T12:00:00Z", named=named)
    return judge.result({"release": release, "kind": kind, "beside": beside, "packages": list(packages)})


def test_an_image_is_outdated_or_clean_by_the_versions_of_its_packages(tmp_path: Path) -> None:
    found = judged(tmp_path, OLD, ["bash", "all", "1"])
    assert (found["state"], found["packages"][0]["fixed"], found["checked"]) == (
        "outdated",
        "3.0.22-1~deb12u2",
        2,
    )
    found = judged(tmp_path, ["bash", "amd64", "1"])
    assert (found["state"], found["packages"], found["index"]["state"]) == ("clean", [], "fresh")


def test_an_image_with_other_package_managers_is_never_clean(tmp_path: Path) -> None:
    found = judged(tmp_path, ["bash", "amd64", "1"], beside=("apk", "rpm"))
    assert found["state"] == "not-scanned"
    assert found["reason"] == "Alpine's packages and packages of the RPM family are not compared"
    found = judged(tmp_path, OLD, beside=("apk",))
    assert (found["state"], found["reason"]) == ("outdated", "Alpine's packages are not compared")


def test_outdated_packages_beyond_the_limit_are_counted(tmp_path: Path) -> None:
    found = judged(tmp_path, OLD, ["libssl3", "amd64", "3.0.1-1"], named=1)
    assert (len(found["packages"]), found["more"]) == (1, 1)


@pytest.mark.parametrize(
    ("change", "state", "reason"),
    [
        ({"kind": None}, "unknown", "no package database"),
        ({"kind": "apk"}, "not-scanned", "Alpine's packages are not compared"),
        (
            {"release": ["kali", "", "rolling", "Kali"]},
            "unknown",
            "does not know the security updates of Kali",
        ),
        ({"release": ["", "", "", ""]}, "unknown", "an unnamed distribution"),
        (
            {"release": ["debian", "", "bookworm", "Debian sid"]},
            "unknown",
            "does not know the security updates of Debian sid",
        ),
        ({"release": ["debian", "13", "trixie", "Debian 13"]}, "unknown", "no index of this release"),
    ],
)
def test_an_image_without_comparable_packages_is_unknown_or_not_scanned(
    tmp_path: Path, change: Any, state: str, reason: str
) -> None:
    found = judged(tmp_path, OLD, **change)
    assert found["state"] == state
    assert reason in found["reason"]
    assert found["packages"] == []


def test_an_image_whose_architecture_the_index_lacks_is_unknown(tmp_path: Path) -> None:
    found = judged(tmp_path, OLD, ["openssl", "arm64", "3.0.1-1"])
    assert (found["state"], found["reason"]) == ("unknown", "the index has no packages of arm64")


def test_an_unreadable_image_is_unknown(tmp_path: Path) -> None:
    judge = Judge(Indexes(str(tmp_path), {}, 7), None, now=NOW, stamp="", named=9)
    found = judge.result({"error": "the layer is gone"})
    assert (found["state"], found["reason"], found["release"]) == ("unknown", "the layer is gone", None)
