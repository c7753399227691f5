"""The guard where the clock jumps, through a soft reboot, and after a loss of power."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hardener import lab
from tests.hosts.fixtures import Boot
from tests.hosts.guard import (
    LOCKED_OUT,
    STATE,
    TIMEOUT,
    UNCONFIRMED,
    UNIT,
    background,
    engine,
    once,
    packet_filter,
    play,
    record,
    settled,
)
from tests.hosts.interrupting import Loop
from tests.hosts.play import kill
from tests.hosts.reboot import wait_for_reboot
from tests.hosts.waiting import until
from tests.hosts.workload import CONTAINER, DAEMON_JSON, shell, with_containers


@pytest.mark.parametrize("jump", ["+1 day", "-1 day"])
def test_a_clock_change_does_not_affect_the_time_limit_of_the_guard(
    guest: lab.Guest, tmp_path: Path, jump: str
) -> None:
    settled(guest)
    before = shell(guest, STATE)
    process = play(guest, tmp_path, engine(**{"default-shm-size": "77M"})).start()
    guest.ssh("sh", "-c", once(UNCONFIRMED))
    kill(process)
    shell(guest, f"date --set '{jump}'")
    assert "77M" in shell(guest, f"sleep {TIMEOUT // 3}; cat {DAEMON_JSON}")  # not since it is a day later
    settled(guest)  # which does not wait for a day
    back = "-1 day" if jump == "+1 day" else "+1 day"
    shell(guest, f"date --set '{back}'")
    assert shell(guest, STATE) == before
    assert record(guest)["reason"] == f"not confirmed within {TIMEOUT} s"


@pytest.mark.parametrize("clock", ["1970-01-02", "2038-01-20"])
def test_a_host_whose_clock_is_wrong_is_hardened_and_rolled_back(
    guest: lab.Guest, tmp_path: Path, clock: str
) -> None:
    settled(guest)
    loop = Loop(guest, tmp_path)
    loop.states["before"] = shell(guest, STATE)
    shell(guest, f"date --set '{clock}'")
    try:
        loop.finish("harden")
        assert shell(guest, STATE) != loop.states["before"]
        loop.finish("rollback")
        assert loop.state() == "before"
    finally:
        shell(guest, f"date --set @{time.time():.0f}")


def test_a_soft_reboot_of_an_armed_host_rolls_back_loaded_rules(boot: Boot, tmp_path: Path) -> None:
    guest = boot("13")
    shell(guest, CONTAINER)
    shell(guest, "docker update --restart always web job")
    before = shell(guest, STATE)
    background(guest, f"{once(UNCONFIRMED)}; systemctl soft-reboot")
    process = play(guest, tmp_path, packet_filter(*LOCKED_OUT["and open connections end"])).start()
    until(guest, "test $(systemctl show --property=SoftRebootsCount --value) = 1")
    kill(process)
    until(guest, "test $(docker ps --quiet | wc -l) = 2")
    assert shell(guest, STATE) == before
    assert record(guest)["reason"] == "the host was rebooted before the run was confirmed"


def test_an_armed_host_that_loses_power_is_rolled_back_at_boot(boot: Boot, tmp_path: Path) -> None:
    host = with_containers(boot("13"), surviving=True)
    shell(host, "docker update --restart always web job")
    before = shell(host, STATE)
    name = shell(host, "cat /proc/sys/kernel/random/boot_id")
    background(host, f"{once(UNCONFIRMED)}; reboot --force --force")
    locked_out = packet_filter(*LOCKED_OUT["and open connections end"])
    run = play(host, tmp_path, locked_out, engine(**{"default-shm-size": "66M"}))
    process = run.start()
    wait_for_reboot(host, name)
    kill(process)
    until(host, "test $(docker ps --quiet | wc -l) = 2")
    assert shell(host, STATE) == before
    found = record(host)
    assert found["outcome"] == "rolled_back"
    assert found["reason"] == "the host was rebooted before the run was confirmed"
    assert shell(host, f"ls {UNIT} /var/lib/hardener/journal.json") == ""
    log = shell(host, "journalctl --boot --output=cat --unit=hardener-guard.service")
    assert "Failed" not in log, log
