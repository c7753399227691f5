from __future__ import annotations

from typing import Any

import pytest

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
        (host("29.9.0", *CE, at="2027-03-01T00:00:00Z"), Status.MANUAL),
        (host("29.8.2", "docker-ce", "5:29.8.2-1~debian.13~trixie"), Status.FAIL),
        (host("29.8.2", "docker-ce", "5:29.8.2-1~debian.13~trixie", at="2030-01-01T00:00:00Z"), Status.FAIL),
        (host("28.5.2", "docker-ce", "5:28.5.2-1~debian.13~trixie"), Status.FAIL),
        (host("25.0.14", "docker-ce", "25.0.14"), Status.MANUAL),
        (host("30.0.0", "docker-ce", "5:30.0.0-1"), Status.MANUAL),
        (host("29.9.0", "", ""), Status.PASS),
        (host("27.3.1", "", ""), Status.FAIL),
        (host("29.9.0", "docker.io", "26.1.5+dfsg1-9+deb13u1"), Status.PASS),
        (host("29.9.0", *CE, parts=[{"Name": "runc", "Version": "1.3.6"}]), Status.PASS),
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
