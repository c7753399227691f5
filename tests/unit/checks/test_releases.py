from __future__ import annotations

from typing import Any

import pytest

from hardener.catalogue.known_releases import PATH, packaged
from hardener.model import Status
from hardener.snapshot import FactUnavailable, Snapshot
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import failed, make, only

SLUG = "docker-version-current"
DEBIAN_13 = {"ID": "debian", "VERSION_ID": "13", "PRETTY_NAME": "Debian GNU/Linux 13 (trixie)"}


def host(
    running: str = "26.1.5+dfsg1",
    package: str = "docker.io",
    version: str = "26.1.5+dfsg1-9+deb13u1",
    *,
    os: Any = None,
    at: str = "2026-11-25T00:00:00Z",
    parts: Any = (),
    **packages: Any,
) -> Snapshot:
    installed = {package: version} if package else {}
    snapshot = make(
        system={"os": only(DEBIAN_13 if os is None else os)},
        packages={"installed": only(installed), **packages},
        **{"docker.version": {"Version": running, "Components": list(parts)}},
    )
    raw = dict(snapshot.raw)
    raw["collected_at"] = at
    return Snapshot(raw)


DEBIAN_12 = {"ID": "debian", "VERSION_ID": "12"}
CE = ("docker-ce", "5:29.9.0-1~debian.13~trixie")


@pytest.mark.parametrize(
    ("snapshot", "status"),
    [
        (host(), Status.PASS),
        (host(at="2028-08-10T00:00:00Z"), Status.MANUAL),
        (host(at="2031-01-01T00:00:00Z"), Status.FAIL),
        (host("20.10.24+dfsg1", version="20.10.24+dfsg1-1+deb12u1", os=DEBIAN_12), Status.MANUAL),
        (
            host("20.10.5+dfsg1", version="20.10.5+dfsg1-1", os={"ID": "debian", "VERSION_ID": "11"}),
            Status.FAIL,
        ),
        (host("28.5.2+dfsg3", version="28.5.2+dfsg3-1", os={"ID": "debian"}), Status.MANUAL),
        (
            host("27.5.1", version="27.5.1-0ubuntu3~24.04.2", os={"ID": "ubuntu", "VERSION_ID": "24.04"}),
            Status.MANUAL,
        ),
        (host("29.9.0", *CE), Status.PASS),
        (host("29.9.1", "docker-ce", "3:29.9.1-1.el9"), Status.PASS),
        (host("29.9.0", *CE, at="2027-03-02T00:00:00Z"), Status.MANUAL),
        (host("29.8.2", "docker-ce", "5:29.8.2-1~debian.13~trixie"), Status.FAIL),
        (host("29.8.2", "docker-ce", "5:29.8.2-1~debian.13~trixie", at="2030-01-01T00:00:00Z"), Status.FAIL),
        (host("28.5.2", "docker-ce", "5:28.5.2-1~debian.13~trixie"), Status.FAIL),
        (host("25.0.14", "docker-ce", "25.0.14"), Status.MANUAL),
        (host("30.0.0", "docker-ce", "5:30.0.0-1"), Status.MANUAL),
        (host("29.9.0", "", ""), Status.PASS),
        (host("27.3.1", "", ""), Status.FAIL),
        (host("29.9.0", "docker.io", "26.1.5+dfsg1-9+deb13u1"), Status.PASS),
        (host("29.9.0", *CE, parts=[{"Name": "runc", "Version": "1.6.0"}]), Status.PASS),
        (host("29.9.0", *CE, parts=[{"Name": "runc", "Version": "1.3.6"}]), Status.FAIL),
        (host("29.9.0", *CE, parts=[{"Name": "runc", "Version": "1.4.3"}]), Status.MANUAL),
        (host("29.9.0", *CE, parts=[{"Name": "runc", "Version": "1.2.5"}]), Status.FAIL),
        (host("29.9.0", *CE, parts=[{"Name": "containerd", "Version": "v2.1.4"}]), Status.FAIL),
        (host(parts=[{"Name": "runc", "Version": "1.1.15+ds1"}]), Status.PASS),
    ],
)
def test_a_release_passes_if_its_maintainer_supports_it_with_current_components(
    judge: Judge, snapshot: Snapshot, status: Status
) -> None:
    verdict = judge(SLUG, snapshot)
    assert verdict.status is status, verdict
    assert any(fact.startswith("running: ") for fact in verdict.evidence)


@pytest.mark.parametrize(
    ("version", "status"),
    [
        *((version, Status.FAIL) for version in ("1.6.39", "1.7.32", "2.0.7", "2.1.8", "2.2.1", "2.2.9")),
        *((version, Status.FAIL) for version in ("2.3.0", "2.3.4", "2.3.6", "2.4.1")),
        *((version, Status.MANUAL) for version in ("1.7.33", "2.0.10", "2.1.9", "2.5.0", "3.0.0")),
        *((version, Status.PASS) for version in ("2.2.10", "2.3.7", "2.4.2", "2.4.3")),
    ],
)
def test_a_branch_of_containerd_passes_only_with_the_newest_fixes(
    judge: Judge, version: str, status: Status
) -> None:
    for text in (version, f"v{version}", f"{version}+unknown", f"{version}~ds1"):
        verdict = judge(SLUG, host("29.9.0", *CE, parts=[{"Name": "containerd", "Version": text}]))
        assert verdict.status is status, verdict


@pytest.mark.parametrize("name", ["engine", "containerd", "runc"])
def test_no_release_passes_that_lacks_a_fix_or_is_of_an_unknown_branch(judge: Judge, name: str) -> None:
    """Of each branch the releases around each fix; and branches before, between and after the known ones."""
    data = packaged()
    around = {
        (*fixed[:-1], fixed[-1] + step)
        for row in data.fixes
        for fixed in row.fixed
        for step in (-1, 0, 1)
        if row.component == name and fixed[-1] + step >= 0
    }
    known = {branch.version for branch in data.branches if branch.component == name}
    other = {(*branch[:-1], branch[-1] + step, 99) for branch in known for step in (-1, 1)}
    for version in around | other:
        text = ".".join(map(str, version))
        parts = [] if name == "engine" else [{"Name": name, "Version": text}]
        running = text if name == "engine" else "29.9.0"
        verdict = judge(SLUG, host(running, "docker-ce", f"5:{running}-1", parts=parts))
        branch = next((each for each in known if version[: len(each)] == each), None)
        newest = [row.fixed for row in data.fixes if row.component == name][-1]
        own = [fixed for fixed in newest if branch and fixed[: len(branch)] == branch]
        assert (verdict.status is Status.PASS) == (bool(own) and version >= own[0]), (version, verdict)
        lacks = any(
            version < fixed
            for row in data.fixes
            for fixed in row.fixed
            if row.component == name and branch == fixed[: len(branch or ())]
        )
        assert not lacks or verdict.status is Status.FAIL, (version, verdict)


@pytest.mark.parametrize(
    ("running", "newest", "status"),
    [
        ("29.9.0", "5:29.9.0-1~debian.13~trixie", Status.PASS),
        ("29.9.0", "3:29.10.0-1.el9", Status.PASS),  # known, without fixes
        ("29.10.0", "3:29.10.1-1.el9", Status.MANUAL),
        ("29.11.0", "5:29.11.0-1~debian.13~trixie", Status.PASS),
        ("29.9.0", "5:30.0.0-1~debian.13~trixie", Status.MANUAL),
        ("29.8.2", "5:30.0.0-1~debian.13~trixie", Status.FAIL),
    ],
)
def test_a_release_in_dockers_index_that_is_not_known_is_judged_by_a_person(
    judge: Judge, running: str, newest: str, status: Status
) -> None:
    index = {"newest": newest, "date": "2026-11-24T00:00:00Z"}
    verdict = judge(SLUG, host(running, "docker-ce", f"5:{running}-1", docker_index=index))
    assert verdict.status is status, verdict
    assert f"Docker's package index of 2026-11-24T00:00:00Z: docker-ce {newest}" in verdict.evidence
    assert (verdict.undecided is not None) == (status is Status.FAIL)


def test_a_file_of_releases_replaces_hardeners_own(judge: Judge) -> None:
    at = "2027-06-01T00:00:00Z"
    snapshot = host("30.1.0", "docker-ce", "5:30.1.0-1", at=at)
    newer = PATH.read_text().replace("as_of: 2026-12-01", "as_of: 2027-05-30")
    newer = newer.replace('branch: "29", newest: 29.10.0', 'branch: "30"')
    assert judge(SLUG, snapshot).status is Status.MANUAL
    assert judge(SLUG, snapshot.judged_by(newer)).status is Status.PASS
    assert judge(SLUG, host("29.9.0", *CE, at=at).judged_by(newer)).status is Status.MANUAL
    assert snapshot.judged_by("") is snapshot


@pytest.mark.parametrize(
    ("running", "names"),
    [
        ("29.2.0", ["CVE-2026-34040", "CVE-2026-31431", "CVE-2026-41567", "HTTP/2"]),
        ("29.3.1", ["CVE-2026-31431", "CVE-2026-41567", "HTTP/2"]),
        ("29.4.3", ["CVE-2026-41567", "HTTP/2"]),
        ("29.5.1", ["HTTP/2"]),
        ("29.8.2", ["HTTP/2"]),
    ],
)
def test_vulnerabilities_of_a_release_are_named(judge: Judge, running: str, names: list[str]) -> None:
    every = ["CVE-2026-34040", "CVE-2026-31431", "CVE-2026-41567", "HTTP/2"]
    verdict = judge(SLUG, host(running, "docker-ce", f"5:{running}-1"))
    assert verdict.status is Status.FAIL
    assert [name for name in every if name in verdict.actual] == names


@pytest.mark.parametrize("name", ["docker.io", "containerd", "runc", "docker-ce", "containerd.io"])
def test_a_pending_security_update_of_an_engine_package_fails(judge: Judge, name: str) -> None:
    update = {"name": name, "installed": "1", "candidate": "2"}
    verdict = judge(SLUG, host(pending_security=[update]))
    assert verdict.status is Status.FAIL
    assert {offender.name for offender in verdict.offenders} == {name}


def test_a_pending_update_of_another_package_passes(judge: Judge) -> None:
    assert judge(SLUG, host(pending_security=[{"name": "openssl"}])).status is Status.PASS


def test_an_installed_update_of_an_engine_that_was_not_restarted_fails(judge: Judge) -> None:
    verdict = judge(SLUG, host("29.8.2", *CE))
    assert verdict.status is Status.FAIL
    assert "restart" in verdict.actual


@pytest.mark.parametrize("age", [None, 30 * 86400])
def test_an_outdated_index_is_an_error(judge: Judge, age: int | None) -> None:
    with pytest.raises(FactUnavailable, match="index"):
        judge(SLUG, host(index_age_s=age))


@pytest.mark.parametrize("snapshot", [make(packages=failed("locked")), host("dev"), host(at="?")])
def test_unreadable_packages_and_invalid_versions_or_times_are_an_error(
    judge: Judge, snapshot: Snapshot
) -> None:
    with pytest.raises(FactUnavailable):
        judge(SLUG, snapshot)
