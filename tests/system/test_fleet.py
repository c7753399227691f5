"""A fleet of hosts in namespaces: canaries, limits, and a controller that is stopped."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from tests.hosts.fleet import ICC, Fleet, pause, until

# One host in five breaks.
HOSTS = int(os.environ.get("HARDENER_TEST_FLEET", "5"))
GUESTS = int(os.environ.get("HARDENER_TEST_GUESTS", "0"))  # virtual machines beside them
# The engine of this host does not start with what the change sets.
BREAKS = """
mkdir -p /etc/systemd/system/docker.service.d
cat >/etc/systemd/system/docker.service.d/breaks.conf <<'END'
[Service]
ExecStartPre=/bin/sh -c '! grep -q icc /etc/docker/daemon.json'
END
systemctl daemon-reload
"""
MENDED = "rm /etc/systemd/system/docker.service.d/breaks.conf; systemctl daemon-reload"


def test_a_run_whose_change_breaks_some_hosts_stops_at_the_limit_and_can_be_resumed(fleet: Fleet) -> None:
    """The canary stops it; with a limit it goes on as told; resume finishes it once the cause is gone."""
    broken, names = fleet.hosts[::5], [host.name for host in fleet.hosts]
    canary, others = names[0], names[1:]
    for host in broken:
        host.ssh("sh", "-c", BREAKS)
    stopped = fleet.run("harden", *ICC, "--canary", "1", "--batch", "2")
    assert stopped.returncode == 5, stopped.stderr
    reason = f"1 failed where --max-fail allows 0 ({canary}: rolled back"
    assert f"not begun: {', '.join(others)}: {reason}" in stopped.stderr
    assert fleet.with_icc() == [True] * len(fleet.hosts)
    untouched = [host.ssh("sh", "-c", "test ! -e /var/lib/hardener", check=False) for host in fleet.hosts[1:]]
    assert {each.returncode for each in untouched} == {0}, "no other host was touched"
    assert fleet.not_begun() == others

    limited = fleet.run("resume", "latest", "--max-fail", str(len(broken)))
    assert limited.returncode == 5, limited.stderr
    assert f"rolled back: {canary}\nuntouched: {', '.join(others)}\n" in limited.stderr
    assert fleet.with_icc() == [host in broken for host in fleet.hosts], limited.stderr
    assert fleet.not_begun() == []

    for host in broken:
        host.ssh("sh", "-c", MENDED)
    finished = fleet.run("resume", "latest")
    assert finished.returncode == 0, finished.stderr
    assert fleet.with_icc() == [False] * len(fleet.hosts)
    assert fleet.unfinished() == []
    back = fleet.run("rollback", "--canary", "1", "--batch", "50%")
    assert back.returncode == 0, back.stderr
    assert fleet.with_icc() == [True] * len(fleet.hosts)


def test_a_paused_controller_is_refused_after_another_has_taken_over(fleet: Fleet) -> None:
    first = fleet.start("harden", *ICC, node="stopped")
    until(lambda: any(run.unknown for run in fleet.unfinished("stopped")))
    stopped = pause(first.pid)
    try:
        assert fleet.with_icc() == [True] * len(fleet.hosts), "it was stopped in time"
        other = fleet.run("harden", *ICC, node="other")
        assert other.returncode == 0, other.stderr
        rolled_back = fleet.run("rollback", node="other")
        assert rolled_back.returncode == 0, rolled_back.stderr
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    _, said = first.communicate(timeout=600)
    assert first.returncode == 9, said
    for host in fleet.hosts:
        assert f"{host.name}: failed: nothing was changed: a newer run of " in said
    assert fleet.with_icc() == [True] * len(fleet.hosts), "what the other has decided stands"
