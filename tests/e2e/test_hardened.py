"""A hardened host with containers at work stays as it is: through a second run, and through a reboot."""

from __future__ import annotations

from pathlib import Path

from hardener import lab
from tests.hosts.at_work import ALL_FIVE, CONTAINERS, WORKLOADS, assert_all_at_work
from tests.hosts.production import LOG_SERVER, Report, make_site
from tests.hosts.reboot import reboot
from tests.hosts.workload import WHOLE_HOST, shell


def test_a_hardened_host_is_the_same_after_a_second_run_and_after_a_reboot(
    guest: lab.Guest, tmp_path: Path
) -> None:
    guest.ssh("sh", "-c", f"{LOG_SERVER}\n{WORKLOADS}")
    inventory = make_site(tmp_path / "site", guest)
    hardened = Report("harden", inventory)

    before = shell(guest, WHOLE_HOST)
    again = Report("harden", inventory)
    assert again.statuses == hardened.statuses, again.said
    assert shell(guest, WHOLE_HOST) == before

    reboot(guest)
    assert shell(guest, CONTAINERS) == ALL_FIVE.replace("once ", "")  # it has no restart policy
    shell(guest, "docker start once")
    assert_all_at_work(guest)
    assert Report("audit", inventory).statuses == hardened.statuses
