"""The guard on real hosts: whatever dies on the way, a host ends as it was or as planned, and says which."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hardener import lab
from tests.e2e.reboot import wait_for_reboot
from tests.e2e.test_converge import CONTAINER, PLAYBOOK, ROLES, killed, running, shell
from tests.e2e.waiting import until

Boot = Callable[[str], lab.Guest]
Document = dict[str, Any]

TIMEOUT = 40  # seconds to confirm: a guest is slow
SHORT = 20  # where nobody is to confirm: the shortest that there is
UNIT = "/etc/systemd/system/hardener-guard.service"
DAEMON_JSON = "/etc/docker/daemon.json"

# All that a run changes or may break; what the guard itself needs is not to be among it afterwards.
STATE = r"""
find /etc -type f -exec sha256sum {} + | sort -k2
find /etc/systemd/system /usr/local -printf '%p %m %u %g %l\n' | sort
systemctl is-active docker ssh
systemctl list-units --all --plain --no-legend 'hardener-*' | awk '{print $1}'
docker ps --all --format '{{.Names}} {{.State}}' | sort
docker info --format '{{.LiveRestoreEnabled}} {{.LoggingDriver}}'
iptables -S INPUT; iptables-save | grep -c HARDENER
"""
CONTAINERS = r"""docker ps -aq |
  xargs docker inspect --format '{{.Name}} {{.State.Running}} {{.State.StartedAt}} {{.State.Pid}}' | sort"""


def engine(**keys: Any) -> Document:
    """What costs a restart of the engine."""
    docker = {
        "name": "docker",
        "when": [DAEMON_JSON],
        "config": DAEMON_JSON,
        "dockerd": "/usr/sbin/dockerd",
        "argv": ["/usr/sbin/dockerd", "-H", "fd://"],
        "flags": {"host": ["fd://"]},
        "socket": "/run/docker.sock",
        "unit": "docker.service",
    }
    resource = {"kind": "json", "path": DAEMON_JSON, "keys": {"live-restore": True, **keys}}
    return {
        "name": "engine",
        "impact": "daemon-restart",
        "resources": [resource],
        "activations": [docker],
    }


def packet_filter(*rules: str) -> Document:
    """The rules of the role firewall, as somebody would have them who did not think of ssh."""
    text = "\n".join(["*filter", ":HARDENER-INPUT - [0:0]", *rules, "COMMIT", ""])
    files = ROLES / "firewall" / "files"
    paths = {
        "/etc/hardener/firewall/inbound.ipv4": (text, "0600"),
        "/usr/local/sbin/hardener-firewall": ((files / "hardener-firewall").read_text(), "0755"),
        "/etc/systemd/system/hardener-firewall.service": (
            (files / "hardener-firewall.service").read_text(),
            "0644",
        ),
    }
    return {
        "name": "packet_filter",
        "impact": "connectivity",
        "resources": [
            {"kind": "file", "path": path, "content": content, "mode": mode}
            for path, (content, mode) in paths.items()
        ],
        "activations": [
            {"name": "systemd-reload", "when": list(paths)},
            {"name": "firewall", "when": list(paths)},
        ],
    }


LOCKED_OUT = {
    "and whoever is in stays": [
        "-A HARDENER-INPUT -i lo -j RETURN",
        "-A HARDENER-INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
        "-A HARDENER-INPUT -p tcp -m tcp --dport 22 -j DROP",
    ],
    "and whoever is in is thrown out": [
        "-A HARDENER-INPUT -i lo -j RETURN",
        "-A HARDENER-INPUT -p tcp -m tcp --dport 22 -j DROP",
    ],
}


class Play:
    """A run of documents on a guest by plain ansible-playbook."""

    def __init__(
        self, guest: lab.Guest, folder: Path, *documents: Document, timeout: float = TIMEOUT
    ) -> None:
        self._guest = guest
        self._result = folder / "result.json"
        self._result.unlink(missing_ok=True)
        self._play = folder / "play.yml"
        converge = {"documents": list(documents), "allow": "connectivity"}
        keep = {"content": "{{ result | to_json }}", "dest": str(self._result), "mode": "0600"}
        tasks = [
            {"name": "Converge", "converge": converge, "register": "result", "ignore_errors": True},
            {"name": "Keep", "copy": keep, "delegate_to": "localhost", "become": False},
        ]
        play = {
            "hosts": "all",
            "gather_facts": False,
            "roles": ["converge"],
            "tasks": tasks,
            "vars": {"converge_confirm_timeout": timeout},
        }
        self._play.write_text(yaml.safe_dump([play]))

    def start(self) -> subprocess.Popen[str]:
        """Start it, in a process group of its own."""
        return subprocess.Popen(
            [PLAYBOOK, "--inventory", self._guest.inventory, self._play],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "ANSIBLE_ROLES_PATH": str(ROLES), "ANSIBLE_PIPELINING": "1"},
            cwd=self._play.parent,
            start_new_session=True,
        )

    def result(self, process: subprocess.Popen[str] | None = None) -> dict[str, Any]:
        """Run it to its end."""
        with process or self.start() as playing:
            output, _ = playing.communicate(timeout=1800)
        assert self._result.exists(), output
        found: dict[str, Any] = json.loads(self._result.read_text())
        return found


@pytest.fixture(scope="module")
def host(pristine: Boot) -> Iterator[lab.Guest]:
    """A host whose engine runs containers; every test leaves it as it found it."""
    guest = pristine("13")
    shell(guest, "mkdir -p /etc/docker && echo '{\"live-restore\": true}' >/etc/docker/daemon.json")
    shell(guest, "systemctl restart docker")
    shell(guest, CONTAINER)
    yield guest
    guest.stop()


def record(guest: lab.Guest) -> dict[str, Any]:
    """How the last run on a host ended."""
    text = shell(guest, "cat $(ls -d /var/lib/hardener/backups/* | tail -n 1)/result.json")
    found: dict[str, Any] = json.loads(text)
    return found


def settled(guest: lab.Guest) -> None:
    """Wait until nothing is left to be confirmed or taken back."""
    until(guest, "test ! -e /var/lib/hardener/journal.json")
    lock = "/var/lib/hardener/lock"
    until(guest, f"test ! -e {lock} || flock --nonblock {lock} true")
    until(guest, "test -z \"$(systemctl list-units --all --plain --no-legend 'hardener-*')\"")


def background(guest: lab.Guest, script: str) -> None:
    """Have the guest do something by itself, whatever becomes of us."""
    guest.ssh("systemd-run", "--quiet", "--collect", "sh", "-c", script)


def once(condition: str) -> str:
    """Shell that waits for a condition."""
    return f"until {condition}; do sleep 0.05; done 2>/dev/null"


def hardener(guest: lab.Guest, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hardener", words[0], "-i", guest.inventory, *words[1:]],
        check=False,
        capture_output=True,
        text=True,
    )


JOURNAL = "test -e /var/lib/hardener/journal.json"
UNCONFIRMED = "grep -q '\"unconfirmed\"' /var/lib/hardener/journal.json"


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param(rules, id=who, marks=() if "thrown out" in who else pytest.mark.long)
        for who, rules in LOCKED_OUT.items()
    ],
)
def test_rules_that_lock_us_out_are_taken_back_by_the_host_itself(
    host: lab.Guest, tmp_path: Path, rules: list[str]
) -> None:
    before, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    assert len(containers) == 2
    done = Play(host, tmp_path, packet_filter(*rules), timeout=SHORT).result()
    assert (done["outcome"], done["failed"]) == ("rolled_back", True), done
    assert f"not confirmed within {SHORT} s: " in done["reason"]
    assert "rolled back, everything is as it was before" in done["msg"]
    settled(host)
    assert shell(host, STATE) == before
    assert running(shell(host, CONTAINERS)) == containers
    assert record(host)["outcome"] == "rolled_back"
    audit = hardener(host, "audit", "--exit-zero")
    assert f"rolled back: not confirmed within {SHORT} s" in audit.stdout


def test_a_run_is_confirmed_and_leaves_nothing_armed(host: lab.Guest, tmp_path: Path) -> None:
    before, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    done = Play(host, tmp_path, engine(**{"default-shm-size": "63M"})).result()
    assert done["outcome"] == "changed", done
    settled(host)
    assert running(shell(host, CONTAINERS)) == containers
    assert record(host)["confirmed"]
    assert shell(host, "ls /var/lib/hardener/backups/*/guard.pyz; systemctl cat hardener-guard.service") == ""

    listed = hardener(host, "rollback", "--list")
    assert f"  {done['run']}  " in listed.stdout, listed
    predicted = hardener(host, "rollback", "--check", "--diff")
    assert '-  "default-shm-size": "63M"' in predicted.stdout, predicted
    back = hardener(host, "rollback")
    assert back.returncode == 0, back
    assert f"back to before run {done['run']}" in back.stderr
    settled(host)
    assert shell(host, STATE) == before
    assert running(shell(host, CONTAINERS)) == containers
    assert "taken back on request of" in record(host)["reason"]


# Moments of a run, in their order, as the host sees them.
MOMENTS = {
    "nothing has begun": "true",
    "the lock is taken": "test -e /var/lib/hardener/lock",
    "the backup begins": "test -e /var/lib/hardener/backups",
    "the journal is written": JOURNAL,
    "the guard is armed": f"test -e {UNIT}",
    "the file is written": f"grep -q {{value}} {DAEMON_JSON}",
    "the engine is about to restart": "grep -q 'stage.*restart' /var/lib/hardener/journal.json",
    "the engine restarts": "! systemctl is-active --quiet docker",
    "it waits to be confirmed": UNCONFIRMED,
    "it is confirmed": "grep -q confirmed.: $(ls -d /var/lib/hardener/backups/* | tail -n 1)/result.json",
}


# Before, in, and after what can hurt; `make test-long` has the others.
OFTEN = ("the guard is armed", "the engine restarts", "it waits to be confirmed")


@pytest.mark.parametrize(
    "moment", [pytest.param(moment, marks=() if moment in OFTEN else pytest.mark.long) for moment in MOMENTS]
)
def test_a_controller_that_is_killed_leaves_a_host_as_it_was_or_as_planned(
    host: lab.Guest, tmp_path: Path, moment: str
) -> None:
    value = f"{100 + list(MOMENTS).index(moment)}M"
    condition = MOMENTS[moment].replace("{value}", value)
    shell(host, "rm -rf /var/lib/hardener")
    before, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    confirmed_later = moment in ("it waits to be confirmed", "it is confirmed")
    timeout = TIMEOUT if confirmed_later else SHORT
    process = Play(host, tmp_path, engine(**{"default-shm-size": value}), timeout=timeout).start()
    guest_waits = host.ssh("sh", "-c", once(f"{{ {condition}; }}"), check=False)
    assert guest_waits.returncode == 0
    killed(process)
    if moment == "it waits to be confirmed":
        second = Play(host, tmp_path, engine(**{"default-shm-size": "1M"})).result()
        assert second["outcome"] == "refused", second
        assert "waits to be confirmed" in second["reason"]
    time.sleep(5)  # what had hardly begun may still begin
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


NOT_HERE = {"metrics-addr": "203.0.113.1:9323"}  # nobody can know before the engine tries


def test_an_engine_that_does_not_start_is_put_right_when_everybody_is_dead(
    host: lab.Guest, tmp_path: Path
) -> None:
    settled(host)
    before, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    process = Play(host, tmp_path, engine(**NOT_HERE), timeout=SHORT).start()
    moment = once("grep -q 'stage.*restart' /var/lib/hardener/journal.json")
    kill = "systemctl kill --signal=KILL 'hardener-*.scope'"
    written = shell(host, f"{moment}; cat {DAEMON_JSON}; {kill}")
    killed(process)
    assert "metrics-addr" in written
    settled(host)
    assert shell(host, STATE) == before
    assert running(shell(host, CONTAINERS)) == containers
    assert record(host)["outcome"] == "rolled_back"


def test_a_second_controller_is_turned_away_and_says_why(host: lab.Guest, tmp_path: Path) -> None:
    settled(host)
    before, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    first = Play(host, tmp_path, engine(**{"default-shm-size": "55M"}), timeout=1800)
    process = first.start()
    host.ssh("sh", "-c", once(JOURNAL))
    shell(host, "systemctl kill --signal=STOP 'hardener-*.scope'")
    report = tmp_path / "report.json"
    only = ["--only", "daemon-no-new-privileges", "--json", str(report)]
    second = hardener(host, "harden", *only)
    shell(host, "systemctl kill --signal=CONT 'hardener-*.scope'")
    assert second.returncode == 3, second.stderr
    assert "another run is changing this host (pid " in second.stderr
    assert "try again later" in second.stderr
    (finding,) = json.loads(report.read_text())["hosts"][0]["findings"]
    assert finding["status"] == "fail"
    assert first.result(process)["outcome"] == "changed"
    assert hardener(host, "rollback").returncode == 0
    settled(host)
    assert shell(host, STATE) == before
    assert running(shell(host, CONTAINERS)) == containers


@pytest.mark.parametrize(
    ("seconds", "outcome"), [(30, "changed"), pytest.param(100, "rolled_back", marks=pytest.mark.long)]
)
def test_a_network_that_is_cut_while_the_host_changes(
    host: lab.Guest, tmp_path: Path, seconds: int, outcome: str
) -> None:
    containers = running(shell(host, CONTAINERS))
    drop = "iptables --wait {} INPUT --protocol tcp --dport 22 --jump DROP"
    cut = f"{drop.format('--insert')}; sleep {seconds}; {drop.format('--delete')}"
    settled(host)
    background(host, f"{once(JOURNAL)}; {cut}")
    done = Play(host, tmp_path, engine(**{"default-shm-size": f"{seconds}M"})).result()
    assert done["outcome"] == outcome, done
    assert (f"{seconds}M" in shell(host, f"cat {DAEMON_JSON}")) is (outcome == "changed")
    settled(host)
    assert running(shell(host, CONTAINERS)) == containers
    assert record(host)["outcome"] == outcome


@pytest.mark.parametrize("jump", ["+1 day", pytest.param("-1 day", marks=pytest.mark.long)])
def test_a_clock_that_jumps_neither_hurries_the_guard_nor_holds_it_up(
    host: lab.Guest, tmp_path: Path, jump: str
) -> None:
    settled(host)
    before = shell(host, STATE)
    process = Play(host, tmp_path, engine(**{"default-shm-size": "77M"})).start()
    host.ssh("sh", "-c", once(UNCONFIRMED))
    killed(process)
    shell(host, f"date --set '{jump}'")
    begun = time.monotonic()
    assert "77M" in shell(host, f"cat {DAEMON_JSON}")
    settled(host)
    assert TIMEOUT / 3 < time.monotonic() - begun < 3 * TIMEOUT
    back = "-1 day" if jump == "+1 day" else "+1 day"
    shell(host, f"date --set '{back}'")
    assert shell(host, STATE) == before
    assert record(host)["reason"] == f"not confirmed within {TIMEOUT} s"


READ_ONLY = {
    "/etc": f"{DAEMON_JSON} is on a file system that is mounted read-only",
    "/etc/systemd": "the guard cannot be armed: /etc/systemd/system",
}


@pytest.mark.parametrize("folder", READ_ONLY)
def test_a_read_only_etc_is_left_alone(host: lab.Guest, tmp_path: Path, folder: str) -> None:
    before = shell(host, STATE)
    shell(host, f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder}")
    try:
        done = Play(host, tmp_path, engine(**{"default-shm-size": "88M"})).result()
    finally:
        shell(host, f"umount {folder}")
    assert done["outcome"] == "refused", done
    assert READ_ONLY[folder] in done["reason"]
    settled(host)
    assert shell(host, STATE) == before


@pytest.mark.parametrize(
    "room",
    ["8k", pytest.param("24k", marks=pytest.mark.long), "64k", pytest.param("112k", marks=pytest.mark.long)],
)
def test_a_full_disk_wherever_it_is_full_changes_nothing(host: lab.Guest, tmp_path: Path, room: str) -> None:
    before, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    shell(host, f"mkdir -p /var/lib/hardener && mount -t tmpfs -o size={room} none /var/lib/hardener")
    try:
        done = Play(host, tmp_path, engine(**{"default-shm-size": "99M"})).result()
    finally:
        settled(host)
        shell(host, "umount /var/lib/hardener")
    assert done["outcome"] in ("refused", "rolled_back"), done
    assert "No space left on device" in done["reason"]
    assert shell(host, STATE) == before
    assert running(shell(host, CONTAINERS)) == containers


def test_a_host_that_loses_its_power_while_armed_comes_up_as_it_was(boot: Boot, tmp_path: Path) -> None:
    guest = boot("13")
    shell(guest, CONTAINER)
    shell(guest, "docker update --restart always web job")
    before = shell(guest, STATE)
    name = shell(guest, "cat /proc/sys/kernel/random/boot_id")
    background(guest, f"{once(UNCONFIRMED)}; reboot --force --force")
    locked_out = packet_filter(*LOCKED_OUT["and whoever is in is thrown out"])
    play = Play(guest, tmp_path, locked_out, engine(**{"default-shm-size": "66M"}))
    process = play.start()
    wait_for_reboot(guest, name)
    killed(process)
    until(guest, "test $(docker ps --quiet | wc -l) = 2")
    assert shell(guest, STATE) == before
    found = record(guest)
    assert found["outcome"] == "rolled_back"
    assert found["reason"] == "the host was started anew before the run was confirmed"
    assert shell(guest, f"ls {UNIT} /var/lib/hardener/journal.json") == ""
    log = shell(guest, "journalctl --boot --output=cat --unit=hardener-guard.service")
    assert "Failed" not in log, log


@pytest.mark.long
def test_a_soft_reboot_while_armed_ends_as_it_was_though_the_kernel_has_kept_the_rules(
    boot: Boot, tmp_path: Path
) -> None:
    guest = boot("13")
    shell(guest, CONTAINER)
    shell(guest, "docker update --restart always web job")
    before = shell(guest, STATE)
    background(guest, f"{once(UNCONFIRMED)}; systemctl soft-reboot")
    process = Play(guest, tmp_path, packet_filter(*LOCKED_OUT["and whoever is in is thrown out"])).start()
    until(guest, "test $(systemctl show --property=SoftRebootsCount --value) = 1")
    killed(process)
    until(guest, "test $(docker ps --quiet | wc -l) = 2")
    assert shell(guest, STATE) == before
    assert record(guest)["reason"] == "the host was started anew before the run was confirmed"
