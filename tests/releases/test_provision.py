"""A bare host of Debian testing is provisioned; a second run and a reboot change nothing."""

from __future__ import annotations

from pathlib import Path

from tests.hosts.at_work import ALL_FIVE, CONTAINERS, WORKLOADS, assert_all_at_work
from tests.hosts.fixtures import Boot
from tests.hosts.production import Report
from tests.hosts.provisioning import provisioned
from tests.hosts.reboot import reboot
from tests.hosts.workload import WHOLE_HOST, shell

# The engine refuses `--privileged` in a user namespace.
REMAPPED = WORKLOADS.replace("--privileged", "--privileged --userns host")


def test_a_provisioned_host_is_the_same_after_a_second_run_and_after_a_reboot(
    boot: Boot, tmp_path: Path
) -> None:
    guest = boot("testing-bare")
    report = provisioned(guest, tmp_path)
    report.assert_compliant()
    inventory = tmp_path / "site"

    guest.ssh("sh", "-c", f"set -e\n{REMAPPED}")
    assert_all_at_work(guest)
    Report("harden", inventory)  # which opens the new published ports to calls from containers
    before = shell(guest, WHOLE_HOST)
    hardened = Report("harden", inventory)
    assert shell(guest, WHOLE_HOST) == before, hardened.said

    reboot(guest)
    assert shell(guest, CONTAINERS) == ALL_FIVE.replace("once ", "")  # it has no restart policy
    shell(guest, "docker start once")
    assert_all_at_work(guest)
    assert Report("audit", inventory).statuses == hardened.statuses
