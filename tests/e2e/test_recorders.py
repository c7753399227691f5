"""Each recorder works on a fresh host over ssh, and the slower ones find no more than BPF."""

from __future__ import annotations

from pathlib import Path

from tests.hosts.fixtures import Boot
from tests.hosts.web_host import WebHost
from tests.hosts.workload import shell

BY_CHANCE = {"poll"}  # by which wget waits for an answer that is not there yet
OFFLINE = """
systemctl is-active auditd
mkdir /root/apt && mv /etc/apt/sources.list* /root/apt/ && rm -rf /var/lib/apt/lists/*
"""
# The audit system as a whole: that of the kernel, and the daemon beside the recording.
AUDIT = "auditctl -s | grep -e enabled -e pid; auditctl -l; systemctl is-active auditd"


def test_each_recorder_works_on_debian_13_and_the_slower_ones_find_no_more_than_bpf(
    boot: Boot, tmp_path: Path
) -> None:
    guest = boot("13")
    host = WebHost.serving(guest, tmp_path)
    by_bpf = host.proven("bpf")

    guest.ssh("apt-get", "install", "-y", "-qq", "--no-install-recommends", "auditd", "bpftrace")
    by_bpftrace = host.recorded("bpftrace")
    assert by_bpftrace["recorder"]["kind"] == "bpftrace", by_bpftrace["recorder"]
    calls = by_bpf["calls"]["x86_64"].keys() - BY_CHANCE
    assert by_bpftrace["calls"]["x86_64"].keys() - BY_CHANCE == calls
    for part in ("capabilities", "capset", "setuid"):
        assert by_bpftrace[part] == by_bpf[part], part
    assert by_bpftrace["files"] == {**by_bpf["files"], "read": None, "used_by": None}

    guest.ssh("apt-get", "remove", "-y", "-qq", "bpftrace")
    guest.ssh("sh", "-ec", OFFLINE)  # so that --install fetches nothing
    audit = shell(guest, AUDIT)
    by_log = host.recorded("log", "--install", code=4)
    assert by_log["recorder"]["kind"] == "audit", by_log["recorder"]
    assert shell(guest, AUDIT) == audit
    assert by_log["calls"]["x86_64"].keys() - BY_CHANCE <= calls
