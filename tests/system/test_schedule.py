"""A host with the Debian package looks after itself: started by systemd, by a user's systemd and by cron.

The image is made of the package too, and audits the host from a container.
"""

from __future__ import annotations

import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardener import lab
from tests.hosts.fixtures import Boot
from tests.hosts.former import Former
from tests.hosts.waiting import until
from tools import debian

ROOT = Path(__file__).parents[2]
# hardener with all that it depends on, from Debian; what a timer of a user needs, and a cron.
PACKAGES = """
export DEBIAN_FRONTEND=noninteractive
apt-get -q update && apt-get -q -y --no-install-recommends install \
    /root/hardener.deb cron dbus-user-session libpam-systemd man-db bash-completion
loginctl enable-linger lab
"""
# A key that logs in as root here, and a host key that is known: no person is there to answer.
SITE = r"""
set -eu
umask 077
rm -rf ~/site ~/.ssh/id_ed25519*
mkdir -p ~/.ssh ~/site && cd ~/site
ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519
ssh-keyscan -q -t ed25519 127.0.0.1 >~/.ssh/known_hosts
echo 'all: {hosts: {self: {ansible_host: 127.0.0.1, ansible_user: root}}}' >hosts.yml
cat ~/.ssh/id_ed25519.pub
"""
IMAGE = """
set -eu
cd /root/image && mv ../hardener.deb hardener_0_all.deb
docker build --quiet --network host --file Containerfile --tag hardener .
cp -r /home/lab/.ssh /home/lab/site/hosts.yml . && chown -R 1000 .
"""
IN_CONTAINER = """
docker run --rm --network host --cap-drop ALL --security-opt no-new-privileges --read-only --tmpfs /tmp \
    --tmpfs /home/hardener/.ansible:uid=1000 --volume hardener:/home/hardener/.local/state/hardener \
    --volume /root/image:/work:ro --volume /root/image/.ssh:/home/hardener/.ssh:ro hardener \
"""
UNIT = "/usr/lib/systemd/system/docker.socket"  # its mode is what drifts


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return debian.build(ROOT, tmp_path_factory.mktemp("built"))


class Control:
    """A guest from whose shell hardener is used, by one of its users."""

    def __init__(self, guest: lab.Guest, user: str) -> None:
        self.guest = guest
        self._user = user
        key = self.shell(SITE).stdout
        guest.ssh("sh", "-c", "cat >>/etc/lab-authorized-keys", stdin=key)

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        entering = "export XDG_RUNTIME_DIR=/run/user/$(id -u)\n"
        return self.guest.ssh("sh", "-c", entering + script, user=self._user, check=False, timeout=900)

    def hardener(self, words: str) -> subprocess.CompletedProcess[str]:
        return self.shell(f"cd ~/site && hardener {words}")


@pytest.fixture(scope="module")
def host(pristine: Boot, package: Path) -> Iterator[lab.Guest]:
    started = pristine("13")
    with package.open("rb") as file:
        copying = started.ssh_command("sh", "-c", "cat >/root/hardener.deb")
        subprocess.run(copying, stdin=file, check=True)
    started.ssh("sh", "-c", PACKAGES)
    yield started
    started.stop()


def test_the_package_is_clean_by_lintian(package: Path) -> None:
    command = ["lintian", "--fail-on=error,warning", "--allow-root", str(package)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_package_has_a_manual_page_and_completion(host: lab.Guest) -> None:
    assert "provision" in host.ssh("man", "--pager=cat", "hardener").stdout
    script = """
        . /usr/share/bash-completion/bash_completion; . /usr/share/bash-completion/completions/hardener
        COMP_WORDS=(hardener prov) COMP_CWORD=1; _hardener_completion hardener prov; echo ${COMPREPLY[@]}
    """
    assert "provision" in host.ssh("bash", "-c", script).stdout


def test_the_package_hardens_a_host_and_gives_everything_back(host: lab.Guest) -> None:
    control = Control(host, "root")
    hardened = control.hardener("harden -i hosts.yml --only docker_files --junit harden.xml")
    assert hardened.returncode == 0, hardened.stdout + hardened.stderr
    assert int(control.shell("grep -c '<testcase' ~/site/harden.xml").stdout) > 20
    released = control.hardener("release -i hosts.yml")
    assert released.returncode == 0, released.stdout + released.stderr


@pytest.mark.parametrize(("user", "systemctl"), [("root", "systemctl"), ("lab", "systemctl --user")])
def test_the_service_of_a_timer_fails_on_drift(host: lab.Guest, user: str, systemctl: str) -> None:
    control = Control(host, user)
    assert control.hardener("audit -i hosts.yml").returncode == 3

    def run() -> int:
        return control.shell(f"{systemctl} start hardener-schedule-drift.service").returncode

    assert control.hardener("schedule install drift -i hosts.yml").stderr == "drift: installed\n"
    assert control.hardener("schedule install drift -i hosts.yml").stderr == "drift: already installed\n"
    timer = f"{systemctl} is-active hardener-schedule-drift.timer"
    assert control.shell(timer).stdout == "active\n"
    assert run() == 0
    assert "  result  0 (" in control.hardener("schedule status").stdout

    host.ssh("chmod", "0666", UNIT)
    try:
        assert run() == 1
        status = control.hardener("schedule status").stdout
        assert "  result  6 (" in status, status
        failed = control.shell(f"{systemctl} --failed --no-legend").stdout
        assert "hardener-schedule-drift.service" in failed
    finally:
        host.ssh("chmod", "0644", UNIT)

    assert control.hardener("schedule remove").stderr == "drift: removed\n"
    assert control.shell(timer).stdout == "inactive\n"
    assert "hardener" not in control.shell(f"{systemctl} list-unit-files --no-legend").stdout
    runs = control.hardener("runs list").stdout
    assert len(runs.splitlines()) >= 3, runs  # the audit, and the two that systemd started


def test_a_crontab_runs_the_schedule(host: lab.Guest) -> None:
    control = Control(host, "root")
    assert control.hardener("audit -i hosts.yml").returncode == 3
    before = len(control.hardener("runs list").stdout.splitlines())
    line = "schedule cron --at '* * * * *' drift -i hosts.yml"
    assert control.hardener(f"{line} | crontab -").returncode == 0
    until(host, f"test $(hardener runs list | wc -l) -gt {before}")
    host.ssh("crontab", "-r")
    latest = control.hardener("show latest").stdout
    assert "drift" in latest, latest


def test_a_timer_of_0_1_0_runs_and_can_be_removed(host: lab.Guest, tmp_path: Path) -> None:
    """Its unit, and the history that it compares with, are those of 0.1.0; the program is the new one."""
    former = Former("0.1.0", tmp_path / "former")
    archive = tmp_path / "former.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(former.folder, "/root/former")
    with archive.open("rb") as file:
        subprocess.run(host.ssh_command("tar", "--extract", "--directory=/"), stdin=file, check=True)
    control = Control(host, "root")
    control.shell("rm -rf ~/.local/state/hardener")
    by_former = "export PYTHONPATH=/root/former; cd ~/site"
    assert control.shell(f"{by_former} && hardener audit -i hosts.yml").returncode == 3
    installed = control.shell(f"{by_former} && hardener schedule install drift -i hosts.yml")
    assert installed.stderr == "drift: installed\n"
    host.ssh("rm", "-rf", "/root/former")

    # A control that needs facts which 0.1.0 did not store (H.5, for one) is not compared.
    assert control.shell("systemctl start hardener-schedule-drift.service").returncode == 0
    assert "  result  0 (" in control.hardener("schedule status").stdout
    journal = control.shell("journalctl --unit=hardener-schedule-drift.service --output=cat").stdout
    assert re.search(r"6 changed otherwise, 118 unchanged .*; 7\s+controls cannot be compared", journal), (
        journal
    )
    assert control.hardener("audit -i hosts.yml").returncode == 3  # later runs are compared with this one
    again = control.shell("systemctl start hardener-schedule-drift.service")
    assert again.returncode == 0, control.shell("journalctl --unit=hardener-schedule-drift.service").stdout
    assert "  result  0 (" in control.hardener("schedule status").stdout
    assert len(control.hardener("runs list").stdout.splitlines()) == 5  # a heading, four runs
    assert control.hardener("schedule remove").stderr == "drift: removed\n"
    assert "hardener" not in control.shell("systemctl list-unit-files --no-legend").stdout


def test_a_container_of_the_image_audits_hosts_by_ssh_but_not_the_engine_of_its_socket(
    host: lab.Guest, tmp_path: Path
) -> None:
    Control(host, "lab")
    base = tmp_path / "base.tar"
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "trixie", str(base)], check=True)
    containerfile = ROOT / "contrib/container/Containerfile"
    host.ssh("mkdir", "/root/image")
    for file, command in (
        (base, "docker import - debian:13-slim"),
        (containerfile, "cat >/root/image/Containerfile"),
    ):
        with file.open("rb") as content:
            subprocess.run(host.ssh_command("sh", "-c", command), stdin=content, check=True)
    host.ssh("sh", "-c", IMAGE)
    audited = host.ssh("sh", "-c", f"{IN_CONTAINER} audit -i hosts.yml", check=False)
    assert audited.returncode == 3, audited.stdout + audited.stderr
    assert "Docker unknown" not in audited.stdout
    assert "audit" in host.ssh("sh", "-c", f"{IN_CONTAINER} runs list").stdout
    socket = IN_CONTAINER.replace(
        " hardener ", " --user root --volume /run/docker.sock:/run/docker.sock hardener "
    )
    outside = host.ssh("sh", "-c", f"{socket} audit -i localhost,", check=False)
    assert "runs outside of this container" in " ".join(outside.stdout.split()), outside.stdout
