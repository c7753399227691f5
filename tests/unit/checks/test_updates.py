from __future__ import annotations

from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import FactUnavailable, Snapshot
from tests.unit import scans
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import GONE, absent, failed, make, only

OPENSSL = {
    "name": "openssl",
    "installed": "3.5.1-1",
    "candidate": "3.5.1-1+deb13u1",
    "origin": "Debian-Security",
}
AUTOMATIC: dict[str, Any] = {
    "automatic": {"APT::Periodic::Update-Package-Lists": "1", "APT::Periodic::Unattended-Upgrade": "1"},
    "unattended": {
        "installed": True,
        "origins": ["origin=Debian,codename=trixie-security,label=Debian-Security"],
    },
}


def test_a_host_without_pending_updates_passes(judge: Judge) -> None:
    assert judge("host-updates-pending", make()).status is Status.PASS


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
def test_pending_updates_fail(judge: Judge, packages: Any, names: set[str]) -> None:
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
def test_an_outdated_index_is_an_error(judge: Judge, packages: Any) -> None:
    with pytest.raises(FactUnavailable):
        judge("host-updates-pending", make(packages=packages))


@pytest.mark.parametrize("slug", ["host-updates-pending", "host-updates-automatic"])
@pytest.mark.parametrize("packages", [failed("dpkg is locked"), absent("no package manager known")])
def test_unreadable_packages_are_an_error(judge: Judge, slug: str, packages: Any) -> None:
    with pytest.raises(FactUnavailable):
        judge(slug, make(packages=packages))


class TestScan:
    def scanned(
        self, *waiting: Any, changed: bool = False, packages: Any = None, restarts: Any = (), **found: Any
    ) -> Snapshot:
        """A host whose own index is too old to know, after a scan by another."""
        record = scans.record(host=scans.result(*waiting, **found))
        record["host"]["restarts"] = list(restarts)
        source = {"hardener.scan": {"record": record, "packages_changed": changed}}
        snapshot = make(packages=packages or {"index_age_s": None}, **source)
        return Snapshot({**snapshot.raw, "collected_at": scans.NOW})

    def test_updates_found_by_the_scan_are_reported(self, judge: Judge) -> None:
        verdict = judge("host-updates-pending", self.scanned())
        assert verdict.status is Status.PASS
        assert any("2026-11-24" in fact for fact in verdict.evidence)

    @pytest.mark.parametrize("own", [None, {"pending_security": [OPENSSL]}])
    def test_an_update_found_twice_is_named_once(self, judge: Judge, own: Any) -> None:
        verdict = judge("host-updates-pending", self.scanned(scans.OPENSSL, packages=own))
        assert [offender.name for offender in verdict.offenders] == ["openssl"]

    @pytest.mark.parametrize(
        "change",
        [
            {"changed": True},
            {"scanned_at": "2026-11-01T00:00:00Z"},
            {"state": "unknown", "reason": "no index"},
        ],
    )
    def test_an_outdated_or_failed_scan_is_an_error(self, judge: Judge, change: Any) -> None:
        with pytest.raises(FactUnavailable):
            judge("host-updates-pending", self.scanned(**change))

    def test_a_package_updated_since_the_scan_is_ignored(self, judge: Judge) -> None:
        snapshot = self.scanned(scans.OPENSSL, changed=True, packages={"index_age_s": 60})
        assert judge("host-updates-pending", snapshot).status is Status.PASS

    def test_a_process_that_runs_replaced_files_fails(self, judge: Judge) -> None:
        restart = {"pid": 7, "began": 1, "name": "sshd", "unit": "ssh.service", "files": ["/usr/lib/libz.so"]}
        verdict = judge("host-updates-pending", self.scanned(restarts=[restart]))
        assert [offender.name for offender in verdict.offenders] == ["ssh.service (7)"]
        assert "replaced /usr/lib/libz.so" in verdict.offenders[0].detail


def index(origin: str, suite: str, codename: str = "", label: str = "", **more: Any) -> dict[str, Any]:
    where = {"origin": origin, "suite": suite, "codename": codename or suite, "label": label or origin}
    return {
        **where,
        "components": ["main"],
        "site": "x",
        "security": "security" in f"{suite} {label}",
        **more,
    }


SECURE = index("Debian", "stable-security", "trixie-security", "Debian-Security", components=["updates/main"])
NOBLE = index("Ubuntu", "noble-security", "noble")
BASES = [index("Debian", "stable", "trixie"), index("Ubuntu", "noble"), index("Docker", "trixie")]
PATTERNS = [
    "origin=Debian,codename=${distro_codename}-security,label=Debian-Security",
    "origin=Debian,codename=${distro_codename},label=Debian-Security",
]
UBUNTU = "origin=Ubuntu,archive=${distro_codename}-security"
HOSTS: dict[str, tuple[str, str, list[Any], list[str], Status]] = {
    "debian": ("debian", "trixie", [SECURE], PATTERNS, Status.PASS),
    "ubuntu": ("ubuntu", "noble", [NOBLE], [UBUNTU], Status.PASS),
    "ubuntu's own": ("ubuntu", "noble", [NOBLE], ["${distro_id}:${distro_codename}-security"], Status.PASS),
    "mint": ("linuxmint", "zena", [NOBLE], [UBUNTU], Status.FAIL),
    "mint's own": ("linuxmint", "zena", [NOBLE], ["Ubuntu:noble-security"], Status.PASS),
    "pop": ("pop", "noble", [NOBLE], ["${distro_id}:${distro_codename}-security"], Status.FAIL),
    "kali": ("kali", "kali-rolling", [index("Kali", "kali-rolling")], PATTERNS, Status.FAIL),
    "kali's own": ("kali", "kali-rolling", [index("Kali", "kali-rolling")], ["origin=Kali"], Status.MANUAL),
    "raspbian": ("raspbian", "trixie", [index("Raspbian", "stable", "trixie")], PATTERNS, Status.FAIL),
    "another release": ("debian", "bookworm", [SECURE], PATTERNS, Status.FAIL),
    "no index": ("debian", "trixie", [], PATTERNS, Status.MANUAL),
    "a blank": ("ubuntu", "noble", [NOBLE], ["Ubuntu noble-security"], Status.PASS),
    "by component": ("debian", "trixie", [SECURE], ["o=Debian,l=Debian-Security,c=main"], Status.PASS),
    "other component": ("debian", "trixie", [SECURE], ["l=Debian-Security,c=contrib"], Status.FAIL),
    "by site": ("debian", "trixie", [SECURE], ["site=x,n=*-security"], Status.PASS),
    "unknown field": ("debian", "trixie", [SECURE], ["label=Debian-Security,security=1"], Status.FAIL),
}


@pytest.mark.parametrize("name", HOSTS)
def test_an_allowed_origin_must_be_a_security_archive_of_the_host(judge: Judge, name: str) -> None:
    distribution, codename, indexes, origins, status = HOSTS[name]
    fetched = [*indexes, *(BASES if any(each["security"] for each in indexes) else [])]
    unattended = {"installed": True, "origins": origins}
    packages = {**AUTOMATIC, "unattended": unattended, "indexes": fetched}
    system = {"os": only({"ID": distribution, "VERSION_CODENAME": codename})}
    verdict = judge("host-updates-automatic", make(system=system, packages=packages))
    assert verdict.status is status, verdict
    for earlier, expected in ((origins, Status.MANUAL), (["o=Debian"], Status.FAIL)):
        older = {**packages, "indexes": GONE, "unattended": {**unattended, "origins": earlier}}
        verdict = judge("host-updates-automatic", make(system=system, packages=older))
        assert verdict.status is (expected if "security" in str(earlier).lower() else Status.FAIL)


def test_enabled_unattended_upgrades_pass(judge: Judge) -> None:
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
def test_each_disabled_setting_or_timer_of_automatic_updates_fails(
    judge: Judge, packages: Any, units: Any, name: str
) -> None:
    merged = {key: {**AUTOMATIC.get(key, {}), **value} for key, value in {**AUTOMATIC, **packages}.items()}
    verdict = judge("host-updates-automatic", make(packages=merged, units=units))
    assert verdict.status is Status.FAIL, verdict
    assert {offender.name for offender in verdict.offenders} == {name}


def test_a_fresh_debian_fails(judge: Judge) -> None:
    assert judge("host-updates-automatic", make()).status is Status.FAIL


def test_without_systemd_the_verdict_on_automatic_updates_is_manual(judge: Judge) -> None:
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
def test_dnf_automatic_passes_only_if_its_active_timer_installs_updates(
    judge: Judge, units: Any, automatic: Any, status: Status
) -> None:
    snapshot = make(packages={"manager": "dnf", "automatic": automatic}, units=units)
    assert judge("host-updates-automatic", snapshot).status is status


def test_automatic_updates_by_an_unknown_package_manager_are_manual(judge: Judge) -> None:
    assert judge("host-updates-automatic", make(packages={"manager": "apk"})).status is Status.MANUAL
