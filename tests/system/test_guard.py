"""The guard: whatever dies on the way, a host ends as it was or as planned, and says which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hardener import lab
from tests.hosts.command import hardener
from tests.hosts.fixtures import Boot
from tests.hosts.guard import (
    JOURNAL,
    LOCKED_OUT,
    NOT_HERE,
    RESTARTING,
    SHORT,
    STATE,
    TIMEOUT,
    UNCONFIRMED,
    UNIT,
    assert_lockout_is_rolled_back,
    background,
    engine,
    once,
    play,
    record,
    settled,
)
from tests.hosts.play import kill
from tests.hosts.reboot import reboot
from tests.hosts.waiting import until
from tests.hosts.workload import CONTAINERS, DAEMON_JSON, running, shell, with_containers

pytestmark = pytest.mark.independent


@pytest.fixture(scope="module")
def host(guest: lab.Guest) -> lab.Guest:
    """A host whose engine runs containers; every test leaves it as it found it."""
    return with_containers(guest, surviving=True)


@pytest.mark.parametrize("who", LOCKED_OUT)
def test_the_host_rolls_back_rules_that_lock_the_controller_out(
    host: lab.Guest, tmp_path: Path, who: str
) -> None:
    assert_lockout_is_rolled_back(host, tmp_path, LOCKED_OUT[who])


# Moments of a run, in their order, as the host sees them.
MOMENTS = {
    "nothing has begun": "true",
    "the lock is taken": "test -e /var/lib/hardener/lock",
    "the backup begins": "test -e /var/lib/hardener/backups",
    "the journal is written": JOURNAL,
    "the guard is armed": f"test -e {UNIT}",
    "the file is written": f"grep -q {{value}} {DAEMON_JSON}",
    "the engine is about to restart": RESTARTING,
    "the engine restarts": "! systemctl is-active --quiet docker",
    "it waits to be confirmed": UNCONFIRMED,
    "it is confirmed": "grep -q confirmed.: $(ls -d /var/lib/hardener/backups/* | tail -n 1)/result.json",
}


# The connections have ended but for the one that asks, and so have the programs that the controller started.
ALONE = (
    "test $(ss --no-header --numeric --tcp state established sport = :22 | wc -l) -le 1 "
    "&& ! pgrep --exact python3"
)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_controller_leaves_the_host_as_before_or_as_planned(
    host: lab.Guest, tmp_path: Path, moment: str
) -> None:
    value = f"{100 + list(MOMENTS).index(moment)}M"
    condition = MOMENTS[moment].replace("{value}", value)
    shell(host, "rm -rf /var/lib/hardener")
    before, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    confirmed_later = moment in ("it waits to be confirmed", "it is confirmed")
    timeout = TIMEOUT if confirmed_later else SHORT
    process = play(host, tmp_path, engine(**{"default-shm-size": value}), timeout=timeout).start()
    guest_waits = host.ssh("sh", "-c", once(f"{{ {condition}; }}"), check=False)
    assert guest_waits.returncode == 0
    kill(process)
    if moment == "it waits to be confirmed":
        second = play(host, tmp_path, engine(**{"default-shm-size": "1M"})).result()
        assert second["outcome"] == "refused", second
        assert "waits to be confirmed" in second["reason"]
    until(host, ALONE)  # what had hardly begun may still begin
    settled(host)
    after = shell(host, STATE)
    if value in shell(host, f"cat {DAEMON_JSON}"):
        assert record(host)["outcome"] == "changed"
    elif after != before:
        raise AssertionError(f"neither as before nor as planned:\n{before}\n---\n{after}")
    elif shell(host, "ls /var/lib/hardener/backups 2>/dev/null"):
        assert record(host)["outcome"] == "rolled_back"
    assert running(shell(host, CONTAINERS)) == containers
    assert shell(host, "systemctl is-active docker ssh") == "active\nactive\n"


def test_an_engine_that_does_not_start_is_repaired_without_controller_and_worker(
    host: lab.Guest, tmp_path: Path
) -> None:
    settled(host)
    before, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    process = play(host, tmp_path, engine(**NOT_HERE), timeout=SHORT).start()
    moment = once(RESTARTING)
    kill_worker = "systemctl kill --signal=KILL 'hardener-*.scope'"
    written = shell(host, f"{moment}; cat {DAEMON_JSON}; {kill_worker}")
    kill(process)
    assert "metrics-addr" in written
    settled(host)
    assert shell(host, STATE) == before
    assert running(shell(host, CONTAINERS)) == containers
    assert record(host)["outcome"] == "rolled_back"


def test_containers_that_a_failed_run_has_stopped_run_again(boot: Boot, tmp_path: Path) -> None:
    host = with_containers(boot("13"))  # with no restart policy, and code 0 when they are stopped
    before = names(host)
    assert len(before) == 2
    document = engine(**NOT_HERE, **{"live-restore": False})
    done = play(host, tmp_path, document, allow="containers-stop").result()
    assert (done["outcome"], done.get("missing")) == ("rolled_back", []), done
    assert names(host) == before


def names(host: lab.Guest) -> list[str]:
    return [line.split()[0] for line in running(shell(host, CONTAINERS))]


def test_a_second_controller_is_refused_with_the_reason(host: lab.Guest, tmp_path: Path) -> None:
    settled(host)
    before, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    first = play(host, tmp_path, engine(**{"default-shm-size": "55M"}), timeout=1800)
    process = first.start()
    host.ssh("sh", "-c", once(JOURNAL))
    shell(host, "systemctl kill --signal=STOP 'hardener-*.scope'")
    report = tmp_path / "report.json"
    only = ["--only", "daemon-no-new-privileges", "--json", str(report)]
    second = hardener("harden", host.inventory, *only)
    shell(host, "systemctl kill --signal=CONT 'hardener-*.scope'")
    assert second.returncode == 9, second.stderr
    assert "another run is changing this host (pid " in second.stderr
    assert "try again later" in second.stderr
    (finding,) = json.loads(report.read_text())["hosts"][0]["findings"]
    assert finding["status"] == "fail"
    assert first.finish(process)["outcome"] == "changed"
    assert hardener("rollback", host.inventory).returncode == 0
    settled(host)
    assert shell(host, STATE) == before
    assert running(shell(host, CONTAINERS)) == containers


@pytest.mark.parametrize(("seconds", "outcome"), [(30, "changed"), (100, "rolled_back")])
def test_a_run_whose_network_is_cut_completes_or_is_rolled_back(
    host: lab.Guest, tmp_path: Path, seconds: int, outcome: str
) -> None:
    containers = running(shell(host, CONTAINERS))
    drop = "iptables --wait {} INPUT --protocol tcp --dport 22 --jump DROP"
    cut = f"{drop.format('--insert')}; sleep {seconds}; {drop.format('--delete')}"
    settled(host)
    background(host, f"{once(JOURNAL)}; {cut}")
    done = play(host, tmp_path, engine(**{"default-shm-size": f"{seconds}M"})).result()
    assert done["outcome"] == outcome, done
    assert (f"{seconds}M" in shell(host, f"cat {DAEMON_JSON}")) is (outcome == "changed")
    settled(host)
    assert running(shell(host, CONTAINERS)) == containers
    assert record(host)["outcome"] == outcome


READ_ONLY = {
    "/etc": f"{DAEMON_JSON} is on a file system that is mounted read-only",
    "/etc/systemd": "the guard cannot be armed: /etc/systemd/system",
}


@pytest.mark.parametrize("folder", READ_ONLY)
def test_a_run_is_refused_if_etc_or_its_systemd_folder_is_read_only(
    host: lab.Guest, tmp_path: Path, folder: str
) -> None:
    before = shell(host, STATE)
    shell(host, f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder}")
    try:
        done = play(host, tmp_path, engine(**{"default-shm-size": "88M"})).result()
    finally:
        shell(host, f"umount {folder}")
    assert done["outcome"] == "refused", done
    assert READ_ONLY[folder] in done["reason"]
    settled(host)
    assert shell(host, STATE) == before


@pytest.mark.parametrize(
    "room",
    ["8k", "24k", "64k", "112k"],
)
def test_a_disk_that_fills_up_at_any_point_of_a_run_leaves_the_host_unchanged(
    host: lab.Guest, tmp_path: Path, room: str
) -> None:
    before, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    shell(host, f"mkdir -p /var/lib/hardener && mount -t tmpfs -o size={room} none /var/lib/hardener")
    try:
        done = play(host, tmp_path, engine(**{"default-shm-size": "99M"})).result()
    finally:
        settled(host)
        shell(host, "umount /var/lib/hardener")
    assert done["outcome"] in ("refused", "rolled_back"), done
    assert "No space left on device" in done["reason"]
    assert shell(host, STATE) == before
    assert running(shell(host, CONTAINERS)) == containers


RECORD = "$(ls -d /var/lib/hardener/backups/* | tail -n 1)/result.json"
FAILED = f"grep -q rollback_failed {RECORD}"
GONE = f"{DAEMON_JSON}: No such file or directory"
BACKUP = "$(ls -d /var/lib/hardener/backups/* | tail -n 1)"
LOSE, FIND = f"mv {BACKUP}/files/0 {BACKUP}/lost", f"mv {BACKUP}/lost {BACKUP}/files/0"


def left_unconfirmed(host: lab.Guest, folder: Path, size: str) -> None:
    """Have a run wait to be confirmed by a controller that is dead, while what its file held is away."""
    process = play(host, folder, engine(**{"default-shm-size": size}), timeout=SHORT).start()
    host.ssh("sh", "-c", once(UNCONFIRMED))
    kill(process)
    shell(host, LOSE)
    until(host, FAILED)


def told(host: lab.Guest, words: str, folder: Path) -> None:
    """See that an audit says what could not be rolled back, in each of its forms."""
    files = ["--json", str(folder / "report.json"), "--junit", str(folder / "junit.xml")]
    audit = hardener("audit", host.inventory, "--exit-zero", *files)
    (report,) = json.loads((folder / "report.json").read_text())["hosts"]
    junit = (folder / "junit.xml").read_text()
    for text in (" ".join(audit.stdout.split()), report["facts"]["last_run"], junit):
        assert words in text
        assert GONE in text


def test_a_failing_rollback_is_retried_after_a_reboot_until_it_succeeds(
    host: lab.Guest, tmp_path: Path
) -> None:
    settled(host)
    before = shell(host, STATE)
    left_unconfirmed(host, tmp_path, "76M")
    told(host, "the host itself retries the rollback", tmp_path)
    reboot(host)
    assert "76M" in shell(host, f"cat {DAEMON_JSON}")
    until(host, "systemctl is-active --quiet 'hardener-guard-*'")
    shell(host, f"{FIND}; docker start web job")
    settled(host)
    assert record(host)["outcome"] == "rolled_back"
    assert shell(host, STATE) == before


def test_root_on_the_host_can_end_a_failing_rollback(host: lab.Guest, tmp_path: Path) -> None:
    settled(host)
    before = shell(host, STATE)
    left_unconfirmed(host, tmp_path, "77M")
    said = shell(host, "journalctl --unit 'hardener-guard-*' --output=cat")
    command = [text for text in said.splitlines() if "abandon" in text][-1].partition("as it is: ")[2]
    done = shell(host, command)
    assert f"  {DAEMON_JSON}: " in done
    settled(host)
    assert (record(host)["outcome"], "77M" in shell(host, f"cat {DAEMON_JSON}")) == ("abandoned", True)
    shell(host, FIND)
    assert hardener("rollback", host.inventory).returncode == 0
    settled(host)
    assert shell(host, STATE) == before
