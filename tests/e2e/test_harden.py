"""The whole promise on one host: five containers at work, the example's variables, nothing lost or open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hardener import lab
from tests.e2e.production import LOG_SERVER, Report, make_site, without_the_sites_choice
from tests.e2e.reboot import reboot
from tests.e2e.test_converge import WHOLE_HOST, shell
from tests.e2e.test_firewall import AFTER, BEFORE, NEIGHBOUR, SERVICES, reached
from tests.e2e.waiting import until

Boot = Callable[[str], lab.Guest]

# A port that is published, a volume with data, a network of their own, every restart policy, one privileged.
WORKLOADS = r"""
set -eu
mkdir -p /root/image/bin /root/image/etc
cp /bin/busybox /root/image/bin/
for tool in sh sleep cat httpd wget; do ln -sf busybox /root/image/bin/$tool; done
tar --create --directory=/root/image . | docker import - busybox:test >/dev/null
docker network create app >/dev/null
docker run -d --name web --restart always --network app --publish 8080:80 busybox:test httpd -f -p 80 -h /etc
docker run -d --name db --restart unless-stopped --network app --volume data:/data busybox:test \
  sh -c 'echo kept > /data/file; sleep 1000000'
docker run -d --name job --restart on-failure:5 busybox:test sleep 1000000
docker run -d --name once busybox:test sleep 1000000
docker run -d --name agent --restart always --privileged busybox:test sleep 1000000
"""
CONTAINERS = "docker ps --format '{{.Names}}' | sort | tr '\\n' ' '"
ALL_FIVE = "agent db job once web "


def assert_all_at_work(guest: lab.Guest) -> None:
    """All five run, the data is there, and the published port and the users' network answer."""
    assert shell(guest, CONTAINERS) == ALL_FIVE
    assert shell(guest, "docker exec db cat /data/file") == "kept\n"
    assert "localhost" in shell(guest, "busybox wget -q -O - http://10.0.2.15:8080/hosts")
    assert "localhost" in shell(guest, "docker exec db wget -q -O - http://web/hosts")


def test_a_host_at_work_is_hardened_and_stays_so(boot: Boot, tmp_path: Path) -> None:
    guest = boot("13")
    shell(guest, LOG_SERVER)
    guest.ssh("sh", "-c", WORKLOADS)
    assert_all_at_work(guest)
    inventory = make_site(tmp_path / "site", guest)

    hardened = Report("harden", inventory)
    assert without_the_sites_choice(hardened.failing("host", "daemon", "files")) == set(), hardened.said
    assert_all_at_work(guest)

    before = shell(guest, WHOLE_HOST)
    again = Report("harden", inventory)
    assert again.statuses == hardened.statuses, again.said
    assert shell(guest, WHOLE_HOST) == before

    reboot(guest)
    assert shell(guest, CONTAINERS) == ALL_FIVE.replace("once ", "")  # who has no restart policy stays down
    shell(guest, "docker start once")
    assert_all_at_work(guest)
    assert Report("audit", inventory).statuses == hardened.statuses


@pytest.mark.long
@pytest.mark.parametrize("release", ["12", "testing"])
def test_a_fresh_host_is_hardened_in_one_run_and_reached_as_before(
    boot: Boot, tmp_path: Path, release: str
) -> None:
    guest = boot(release)
    shell(guest, LOG_SERVER)
    shell(guest, f"{SERVICES}\n{NEIGHBOUR}")
    assert reached(guest).items() >= BEFORE.items()
    inventory = make_site(tmp_path / "site", guest)

    if release == "12":  # once is enough
        before = shell(guest, WHOLE_HOST)
        Report("harden", inventory, "--check")
        assert shell(guest, WHOLE_HOST) == before

    hardened = Report("harden", inventory)
    assert without_the_sites_choice(hardened.failing("host", "daemon", "files")) == set(), hardened.said
    assert reached(guest) == AFTER
    before = shell(guest, WHOLE_HOST)
    assert Report("harden", inventory).statuses == hardened.statuses
    assert shell(guest, WHOLE_HOST) == before

    reboot(guest)
    shell(guest, NEIGHBOUR)
    until(guest, f"{CONTAINERS} | grep -q web")
    assert reached(guest) == AFTER
    assert Report("audit", inventory).statuses == hardened.statuses
