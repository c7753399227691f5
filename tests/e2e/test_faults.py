"""An engine whose configuration is not as a role expects it, and one that is part of a swarm.

What is possible happens; what is not is blocked with its reason, and costs nobody a container.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from tests.e2e.test_converge import CONTAINER, Run, running, shell
from tests.e2e.test_firewall import NEIGHBOUR, SERVICES, reached
from tests.e2e.test_guard import CONTAINERS, DAEMON_JSON, STATE, settled
from tests.e2e.waiting import until

Hardener = Callable[..., "subprocess.CompletedProcess[str]"]

SLUG = "daemon-no-new-privileges"
PRESENT = '{"live-restore": true}'
# Immutable, and not any more: a guest has no chattr.
IMMUTABLE = r"""
import fcntl, os, struct, sys
handle = os.open(sys.argv[1], os.O_RDONLY)
(flags,) = struct.unpack("I4x", fcntl.ioctl(handle, 0x80086601, bytes(8)))
fcntl.ioctl(handle, 0x40086602, struct.pack("I4x", flags ^ 0x10))
"""
TOGGLE = "python3 /root/immutable.py"
# What somebody has made of daemon.json since the engine started, what takes it back, and why nothing is done.
UNFIT = {
    "a key twice": (
        f"""echo '{{"live-restore": true, "debug": false, "debug": false}}' >{DAEMON_JSON}""",
        f"echo '{PRESENT}' >{DAEMON_JSON}",
        'the key "debug" stands there twice; remove one',
    ),
    "a key that this engine does not know": (
        f"""echo '{{"live-restore": true, "no-such-key": 1}}' >{DAEMON_JSON}""",
        f"echo '{PRESENT}' >{DAEMON_JSON}",
        "don't match any configuration option: no-such-key",
    ),
    "no JSON": (
        f"echo '{{' >{DAEMON_JSON}",
        f"echo '{PRESENT}' >{DAEMON_JSON}",
        "not JSON",
    ),
    "immutable": (
        f"{TOGGLE} {DAEMON_JSON}",
        f"{TOGGLE} {DAEMON_JSON}",
        f"somebody has made {DAEMON_JSON} immutable: chattr -i it first",
    ),
    "in an immutable folder": (
        f"{TOGGLE} /etc/docker",
        f"{TOGGLE} /etc/docker",
        "somebody has made /etc/docker immutable: chattr -i it first",
    ),
    "a link to nowhere": (
        f"rm {DAEMON_JSON}; ln -s /srv/gone/daemon.json {DAEMON_JSON}",
        f"rm {DAEMON_JSON}; echo '{PRESENT}' >{DAEMON_JSON}",
        "the symbolic link points to /srv/gone/daemon.json, whose folder does not exist",
    ),
}


@pytest.fixture(scope="module")
def host(guest: lab.Guest) -> lab.Guest:
    """A guest with two containers that outlive their engine."""
    shell(guest, f"mkdir -p /etc/docker && echo '{PRESENT}' >{DAEMON_JSON} && systemctl restart docker")
    shell(guest, CONTAINER)
    guest.ssh("tee", "/root/immutable.py", stdin=IMMUTABLE)
    return guest


@pytest.fixture
def hardener(host: lab.Guest, tmp_path: Path) -> Hardener:
    """Runs the command line on the host."""

    def run(verb: str, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hardener", verb, "-i", str(host.inventory), *options],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=1800,
        )

    return run


def findings(folder: Path) -> dict[str, dict[str, Any]]:
    """What a report says of the host."""
    (host,) = json.loads((folder / "report.json").read_text())["hosts"]
    return {each["slug"]: each for each in host["findings"]}


@pytest.mark.parametrize("fault", UNFIT)
def test_a_file_that_cannot_be_changed_is_left_as_it_is(
    host: lab.Guest, hardener: Hardener, tmp_path: Path, fault: str
) -> None:
    make, undo, reason = UNFIT[fault]
    shell(host, make)
    before, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    assert len(containers) == 2
    done = hardener("harden", "--only", SLUG, "--only", "file-etc-docker-mode", "--json", "report.json")
    after, still = shell(host, STATE), running(shell(host, CONTAINERS))
    shell(host, undo)
    assert done.returncode == 3, done.stderr
    assert reason in done.stderr
    assert findings(tmp_path)[SLUG]["status"] == "fail"
    assert (after, still) == (before, containers)


def test_the_file_that_a_link_points_to_is_changed_and_the_link_stays(
    host: lab.Guest, hardener: Hardener
) -> None:
    settled(host)
    shell(
        host,
        f"mkdir -p /srv/site && mv {DAEMON_JSON} /srv/site/engine && ln -s /srv/site/engine {DAEMON_JSON}",
    )
    before, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    done = hardener("harden", "--only", SLUG)
    assert done.returncode == 0, done.stderr
    assert shell(host, f"readlink {DAEMON_JSON}") == "/srv/site/engine\n"
    assert json.loads(shell(host, "cat /srv/site/engine")) == {
        "live-restore": True,
        "no-new-privileges": True,
    }
    assert "name=no-new-privileges" in shell(host, "docker info --format '{{.SecurityOptions}}'")
    assert running(shell(host, CONTAINERS)) == containers
    back = hardener("rollback")
    assert back.returncode == 0, back.stderr
    settled(host)
    assert (shell(host, STATE), shell(host, "cat /srv/site/engine").strip()) == (before, PRESENT)
    assert running(shell(host, CONTAINERS)) == containers
    shell(host, f"rm {DAEMON_JSON}; mv /srv/site/engine {DAEMON_JSON}")


# An engine that its unit does not let start with what is new.
VETO = "/etc/systemd/system/docker.service.d/veto.conf"
PREVENT = rf"""
mkdir -p /etc/systemd/system/docker.service.d
cat >{VETO} <<'END'
[Service]
ExecStartPre=/bin/sh -c '! grep -q no-new-privileges {DAEMON_JSON}'
END
systemctl daemon-reload
"""


def test_an_engine_that_does_not_start_with_the_new_file_gets_the_old_one_back(
    host: lab.Guest, hardener: Hardener, tmp_path: Path
) -> None:
    settled(host)
    shell(host, PREVENT)
    before, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    done = hardener("harden", "--only", SLUG, "--json", "report.json")
    settled(host)
    after, still = shell(host, STATE), running(shell(host, CONTAINERS))
    shell(host, f"rm {VETO} && systemctl daemon-reload")
    assert done.returncode == 5, done.stderr
    reason = "docker.service does not start: Job for docker.service failed because the control process exited"
    assert f"rolled back, everything is as it was before: {reason}" in done.stderr
    assert findings(tmp_path)[SLUG]["status"] == "fail"
    assert (after, still) == (before, containers)
    audit = hardener("audit", "--only", SLUG)
    assert "rolled back: docker.service does not start" in audit.stdout


SWARM = rf"""
set -eu
docker rm --force $(docker ps --all --quiet)
rm -f {DAEMON_JSON}
systemctl restart docker
docker swarm init --advertise-addr 10.0.2.15
docker service create --detach --no-resolve-image --name shop --replicas 2 --publish 8080:80 \
  busybox:web httpd -f -p 80 -h /www
"""
REPLICAS = "docker service ls --format '{{.Name}} {{.Replicas}}'"
TASKS = "docker ps --no-trunc --format '{{.ID}} {{.Names}}' | sort"
ALL = ("--only", "daemon", "--only", "host-firewall-docker-user", "--json", "report.json")


@pytest.mark.long
def test_a_swarm_manager_gets_all_but_what_a_swarm_excludes(
    host: lab.Guest, hardener: Hardener, tmp_path: Path
) -> None:
    shell(host, f"docker rm --force web job; {SERVICES}")
    shell(host, NEIGHBOUR)
    done = host.ssh("sh", "-c", SWARM, check=False)
    assert done.returncode == 0, done.stderr
    until(host, f"{REPLICAS} | grep -q 2/2")
    before, tasks = shell(host, STATE), shell(host, TASKS)
    assert reached(host)["10.77.0.1:8080"] == "hello"

    held = hardener("harden", *ALL)
    assert held.returncode == 3, held.stderr
    assert "would stop 2 containers (shop.1." in held.stderr
    assert "allow containers-stop to have it done" in held.stderr
    assert "restart policy" not in held.stderr  # the swarm itself starts them anew
    assert "this host is part of a swarm, whose state would stay behind" in held.stderr
    live_restore = findings(tmp_path)["daemon-live-restore"]
    assert live_restore["status"] == "not_applicable"
    assert "swarm mode is on, which excludes live-restore" in live_restore["actual"]
    assert (shell(host, STATE), shell(host, TASKS)) == (before, tasks)

    done = hardener("harden", *ALL, "--allow", "containers-stop")
    assert done.returncode == 3, done.stderr
    until(host, f"{REPLICAS} | grep -q 2/2")
    after = findings(tmp_path)
    open_still = {slug for slug, each in after.items() if each["status"] == "fail"}
    assert open_still == {"daemon-userns-remap", "daemon-authz-plugin"}
    assert "live-restore" not in shell(host, f"cat {DAEMON_JSON}")
    assert reached(host)["10.77.0.1:8080"] == "hello"
    before, tasks = shell(host, STATE), shell(host, TASKS)
    again = hardener("harden", *ALL, "--allow", "containers-stop")
    assert findings(tmp_path) == after, again.stderr
    assert (shell(host, STATE), shell(host, TASKS)) == (before, tasks)


@pytest.mark.long
def test_a_role_that_wants_live_restore_of_a_swarm_says_why_not(host: lab.Guest, tmp_path: Path) -> None:
    done = Run(host, tmp_path, ("docker_daemon",)).result("--check")
    fates = {each["name"]: (each["state"], each["reason"]) for each in done["documents"]}
    reason = "this host is part of a swarm, which excludes live-restore"
    assert fates["docker_daemon_live_restore"] == ("refused", reason)
