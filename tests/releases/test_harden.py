"""A fresh host of Debian 12 is hardened in one run, reached as before, and the same after a reboot."""

from __future__ import annotations

from pathlib import Path

from tests.hosts.fixtures import Boot
from tests.hosts.neighbour import AFTER, BEFORE, NEIGHBOUR, SERVICES, reached
from tests.hosts.production import LOG_SERVER, Report, make_site
from tests.hosts.reboot import reboot
from tests.hosts.waiting import until
from tests.hosts.workload import WHOLE_HOST, shell

CONTAINERS = "docker ps --format '{{.Names}}' | sort | tr '\\n' ' '"


def test_a_fresh_host_is_hardened_in_one_run_and_stays_reachable(boot: Boot, tmp_path: Path) -> None:
    guest = boot("12")
    shell(guest, LOG_SERVER)
    shell(guest, f"{SERVICES}\n{NEIGHBOUR}")
    assert reached(guest).items() >= BEFORE.items()
    inventory = make_site(tmp_path / "site", guest)

    before = shell(guest, WHOLE_HOST)
    Report("harden", inventory, "--check")
    assert shell(guest, WHOLE_HOST) == before

    hardened = Report("harden", inventory)
    hardened.assert_compliant()
    assert reached(guest) == AFTER
    before = shell(guest, WHOLE_HOST)
    assert Report("harden", inventory).statuses == hardened.statuses
    assert shell(guest, WHOLE_HOST) == before

    reboot(guest)
    shell(guest, NEIGHBOUR)
    until(guest, f"{CONTAINERS} | grep -q web")
    assert reached(guest) == AFTER
    assert Report("audit", inventory).statuses == hardened.statuses
