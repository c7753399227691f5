from __future__ import annotations

from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import FactUnavailable
from tests.unit.checks.conftest import Judge
from tests.unit.snapshots import absent, failed, make, no_engine

OPENSSL = {
    "name": "openssl",
    "installed": "3.5.1-1",
    "candidate": "3.5.1-1+deb13u1",
    "origin": "Debian-Security",
}
AUTOMATIC: dict[str, Any] = {
    "automatic": {"APT::Periodic::Update-Package-Lists": "1", "APT::Periodic::Unattended-Upgrade": "1"},
    "unattended": {"installed": True, "origins": ["origin=Debian,codename=trixie,label=Debian-Security"]},
}


def test_nothing_pending_passes(judge: Judge) -> None:
    assert judge("host-updates-pending", make()).status is Status.PASS
    assert judge("host-updates-pending", no_engine()).status is Status.PASS


@pytest.mark.parametrize(
    ("packages", "names"),
    [
        ({"pending_security": [OPENSSL]}, {"openssl"}),
        ({"pending_security": [OPENSSL], "index_age_s": 100 * 86400}, {"openssl"}),
        ({"pending_security": [OPENSSL], "index_age_s": None}, {"openssl"}),
        ({"reboot_required": True, "reboot_packages": ["linux-image-amd64"]}, {"linux-image-amd64"}),
        ({"reboot_required": True, "index_age_s": None}, {"unknown packages"}),
        ({"newest_kernel": "6.12.118+deb13-cloud-amd64"}, {"6.12.118+deb13-cloud-amd64"}),
    ],
)
def test_what_waits_fails(judge: Judge, packages: Any, names: set[str]) -> None:
    verdict = judge("host-updates-pending", make(packages=packages))
    assert verdict.status is Status.FAIL
    assert {offender.name for offender in verdict.offenders} == names


@pytest.mark.parametrize(
    "packages",
    [
        {"index_age_s": None},
        {"index_age_s": 8 * 86400},
        {"pending_security": None},
        {"manager": None, "index_age_s": None},
    ],
)
def test_an_index_that_cannot_know_is_no_verdict(judge: Judge, packages: Any) -> None:
    with pytest.raises(FactUnavailable):
        judge("host-updates-pending", make(packages=packages))


@pytest.mark.parametrize("slug", ["host-updates-pending", "host-updates-automatic"])
@pytest.mark.parametrize("packages", [failed("dpkg is locked"), absent("no package manager known")])
def test_packages_that_cannot_be_read_are_no_verdict(judge: Judge, slug: str, packages: Any) -> None:
    with pytest.raises(FactUnavailable):
        judge(slug, make(packages=packages))


def test_unattended_upgrades_passes(judge: Judge) -> None:
    assert judge("host-updates-automatic", make(packages=AUTOMATIC)).status is Status.PASS


@pytest.mark.parametrize(
    ("packages", "units", "name"),
    [
        ({"unattended": {"installed": False}}, {}, "unattended-upgrades"),
        ({"unattended": {"origins": ["origin=Debian,label=Debian"]}}, {}, "Unattended-Upgrade origins"),
        ({"unattended": {"origins": []}}, {}, "Unattended-Upgrade origins"),
        ({"automatic": {"APT::Periodic::Enable": "0"}}, {}, "APT::Periodic::Enable"),
        ({"automatic": {"APT::Periodic::Unattended-Upgrade": "0"}}, {}, "APT::Periodic::Unattended-Upgrade"),
        (
            {"automatic": {"APT::Periodic::Update-Package-Lists": ""}},
            {},
            "APT::Periodic::Update-Package-Lists",
        ),
        ({}, {"apt-daily-upgrade.timer": {"ActiveState": "inactive"}}, "apt-daily-upgrade.timer"),
        ({}, {"apt-daily.timer": None}, "apt-daily.timer"),
    ],
)
def test_each_missing_piece_fails(judge: Judge, packages: Any, units: Any, name: str) -> None:
    merged = {key: {**AUTOMATIC.get(key, {}), **value} for key, value in {**AUTOMATIC, **packages}.items()}
    verdict = judge("host-updates-automatic", make(packages=merged, units=units))
    assert verdict.status is Status.FAIL, verdict
    assert {offender.name for offender in verdict.offenders} == {name}


def test_a_fresh_debian_fails(judge: Judge) -> None:
    assert judge("host-updates-automatic", make()).status is Status.FAIL


def test_without_systemd_a_person_looks_at_cron(judge: Judge) -> None:
    bare = absent("systemd does not run")
    assert judge("host-updates-automatic", make(packages=AUTOMATIC, units=bare)).status is Status.MANUAL
    assert judge("host-updates-automatic", make(units=bare)).status is Status.FAIL


@pytest.mark.parametrize(
    ("units", "automatic", "status"),
    [
        ({"dnf-automatic-install.timer": {"ActiveState": "active"}}, {}, Status.PASS),
        ({"dnf-automatic.timer": {"ActiveState": "active"}}, {"apply_updates": "yes"}, Status.PASS),
        ({"dnf-automatic.timer": {"ActiveState": "active"}}, {"apply_updates": "no"}, Status.FAIL),
        ({"dnf-automatic.timer": {"ActiveState": "active"}}, {}, Status.MANUAL),
        ({}, {}, Status.FAIL),
    ],
)
def test_dnf_automatic(judge: Judge, units: Any, automatic: Any, status: Status) -> None:
    snapshot = make(packages={"manager": "dnf", "automatic": automatic}, units=units)
    assert judge("host-updates-automatic", snapshot).status is status


def test_another_manager_is_left_to_a_person(judge: Judge) -> None:
    assert judge("host-updates-automatic", make(packages={"manager": "apk"})).status is Status.MANUAL
