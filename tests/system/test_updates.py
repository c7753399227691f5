"""Security updates on a real host: from an archive that the guest signs itself, proven, installed, booted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from tests.hosts.command import findings, hardener
from tests.hosts.dressed import ARCHIVE, PUBLISHING
from tests.hosts.fixtures import Boot
from tests.hosts.play import ansible_playbook
from tests.hosts.workload import with_containers

# What a run that only looks must not touch.
WHOLE_HOST = r"""
find /etc /var/lib/apt/periodic /var/lib/hardener -printf '%p %m %u %s %T@ %l\n' 2>/dev/null |
  grep -v -e /etc/mtab -e /etc/resolv.conf | sort
dpkg-query --show | sort
systemctl is-enabled apt-daily.timer apt-daily-upgrade.timer
"""
# A nightly run of apt that holds its lock until the installation of updates waits for its end.
NIGHTLY = r"""
cat > /root/hold.py <<'END'
import fcntl, subprocess, time
lock = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
for _ in range(600):
    jobs = subprocess.check_output(["systemctl", "list-jobs", "--no-legend"], text=True).splitlines()
    if any("hardener-security-updates" in job and job.split()[-1] == "waiting" for job in jobs):
        break
    time.sleep(0.2)
END
mkdir -p /run/systemd/system/apt-daily-upgrade.service.d
cat > /run/systemd/system/apt-daily-upgrade.service.d/hold.conf <<'END'
[Service]
ExecStartPre=
ExecStart=
ExecStart=/usr/bin/python3 /root/hold.py
END
systemctl daemon-reload
systemctl start --no-block apt-daily-upgrade.service
"""
VERSIONS = r"dpkg-query --show --showformat '${Package} ${Version}\n' victim docker-engine"


class Role:
    """Runs the role on the guest by plain ansible-playbook."""

    def __init__(self, guest: lab.Guest, folder: Path) -> None:
        self.guest = guest
        self._folder = folder

    def run(self, *options: str, check: bool = True, **variables: Any) -> tuple[int, str]:
        """How many tasks changed something, and all that was said."""
        play = {"vars": variables, "roles": ["hardener.docker.security_updates"]}
        done = ansible_playbook(self.guest, self._folder, play, "--verbose", *options)
        assert not check or done.returncode == 0, done.stdout
        changed = re.search(r"changed=(\d+)", done.stdout)
        assert changed, done.stdout
        return int(changed[1]), done.stdout

    def findings(self) -> dict[str, dict[str, Any]]:
        """What the audit says of updates."""
        report = self._folder / "report.json"
        hardener("audit", self.guest.inventory, "--json", report, "--exit-zero")
        return {slug: finding for slug, finding in findings(report).items() if "updates" in slug}

    def shell(self, script: str) -> str:
        """Output of a script on the guest."""
        return self.guest.ssh("sh", "-c", script, check=False).stdout


@pytest.fixture(scope="module")
def prepared(pristine: Boot) -> Iterator[lab.Guest]:
    """A host that misses two security updates, and whose timers are off."""
    guest = pristine("13")
    guest.ssh("sh", "-c", f"{ARCHIVE}\nsystemctl mask --now apt-daily-upgrade.timer")
    yield guest
    guest.stop()


@pytest.fixture
def role(prepared: lab.Guest, tmp_path: Path) -> Role:
    return Role(prepared, tmp_path)


def offenders(finding: dict[str, Any]) -> set[str]:
    return {offender["name"] for offender in finding["offenders"]}


def test_pending_updates_are_installed_now_and_later_ones_automatically(role: Role) -> None:
    before = role.findings()
    # And what Debian has released since the image was built.
    assert offenders(before["host-updates-pending"]) >= {"victim", "docker-engine"}
    assert before["host-updates-automatic"]["status"] == "fail"

    untouched = role.shell(WHOLE_HOST)
    changed, said = role.run("--check", "--diff")
    assert changed
    assert "victim 1.0 " in said
    assert "install security updates" in said
    assert role.shell(WHOLE_HOST) == untouched

    role.run()
    assert role.shell(VERSIONS) == "docker-engine 1.0\nvictim 1.1\n"
    after = role.findings()
    assert after["host-updates-automatic"]["status"] == "pass", after
    assert offenders(after["host-updates-pending"]) == {"docker-engine"}
    timers = role.shell("systemctl is-active apt-daily.timer apt-daily-upgrade.timer")
    assert timers == "active\nactive\n"

    settled = role.shell(WHOLE_HOST)
    assert role.run()[0] == 0
    assert [line for line in role.shell(WHOLE_HOST).splitlines() if "/lock" not in line] == [
        line for line in settled.splitlines() if "/lock" not in line
    ]


def test_a_configuration_that_fails_its_dry_run_is_rolled_back_with_the_reason(role: Role) -> None:
    role.run()
    before = role.shell("cat /etc/apt/apt.conf.d/90hardener-security-updates")
    role.shell("echo 'deb nonsense' > /etc/apt/sources.list.d/bad.list")
    _, said = role.run(check=False, security_updates_exclude=["foo$"])
    assert "everything is as it was before" in said
    assert "Malformed entry 1 in list file /etc/apt/sources.list.d/bad.list" in said
    role.shell("rm /etc/apt/sources.list.d/bad.list")

    role.shell("""echo 'APT::Periodic::Enable "0";' > /etc/apt/apt.conf.d/99site""")
    _, said = role.run(check=False)
    assert "another file in /etc/apt/apt.conf.d prevails: APT::Periodic::Enable is 0, not 1" in said
    role.shell("rm /etc/apt/apt.conf.d/99site")
    assert role.shell("cat /etc/apt/apt.conf.d/90hardener-security-updates") == before


def test_a_package_that_was_removed_is_installed_again_and_updates_that_its_index_brings(role: Role) -> None:
    role.shell("dpkg --remove unattended-upgrades")
    assert role.findings()["host-updates-automatic"]["status"] == "fail"
    role.shell(f"{PUBLISHING} build victim 1.2 /srv/security/pool; publish")
    assert "victim" not in offenders(role.findings()["host-updates-pending"])
    role.run()
    assert role.findings()["host-updates-automatic"]["status"] == "pass"
    assert role.shell(VERSIONS) == "docker-engine 1.0\nvictim 1.2\n"


def test_updates_are_installed_after_a_nightly_run_of_apt(role: Role) -> None:
    role.shell(f"{PUBLISHING} build victim 1.3 /srv/security/pool; publish; apt-get -q update")
    role.shell(NIGHTLY)
    role.run()
    assert role.shell(VERSIONS) == "docker-engine 1.0\nvictim 1.3\n"
    assert "Result=success" in role.shell("systemctl show apt-daily-upgrade.service --property=Result")


def test_no_update_is_pending_if_the_engine_is_included(role: Role) -> None:
    role.run(security_updates_engine=True)
    assert role.shell(VERSIONS) == "docker-engine 1.1\nvictim 1.3\n"
    assert role.findings()["host-updates-pending"]["status"] == "pass"
    assert role.run(security_updates_engine=True)[0] == 0


def test_the_host_reboots_only_in_its_window_and_containers_start_again(role: Role) -> None:
    with_containers(role.guest)
    role.shell("docker update --restart always web job")
    role.shell("touch /run/reboot-required; echo libc6 > /run/reboot-required.pkgs")
    boot = role.shell("cat /proc/sys/kernel/random/boot_id")
    hour = int(role.shell("date +%H"))
    opened = f"{hour:02d}:00-{(hour + 2) % 24:02d}:00"
    closed = f"{(hour + 2) % 24:02d}:00-{(hour + 3) % 24:02d}:00"
    everything = {"security_updates_engine": True, "security_updates_reboot": True}
    _, said = role.run(**everything, security_updates_reboot_window=closed, converge_allow="reboot")
    assert "this host waits for a reboot: libc6 requested it" in said
    role.run(**everything, security_updates_reboot_window=opened)
    assert role.shell("cat /proc/sys/kernel/random/boot_id") == boot
    role.run(**everything, security_updates_reboot_window=opened, converge_allow="reboot")
    assert role.shell("cat /proc/sys/kernel/random/boot_id") not in ("", boot)
    assert role.shell("docker inspect --format '{{.State.Running}}' job") == "true\n"
    assert role.findings()["host-updates-pending"]["status"] == "pass"
