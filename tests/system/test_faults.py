"""An engine whose configuration is not as a role expects it.

What is possible happens; what is not is blocked with its reason, and no container ends for it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from tests.hosts import command
from tests.hosts.command import Hardener
from tests.hosts.guard import STATE, settled
from tests.hosts.workload import CONTAINERS, DAEMON_JSON, running, shell, with_containers

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
# What daemon.json has become since the engine started, what undoes it, and why nothing is done.
UNFIT = {
    "a key twice": (
        f"""echo '{{"live-restore": true, "debug": false, "debug": false}}' >{DAEMON_JSON}""",
        f"echo '{PRESENT}' >{DAEMON_JSON}",
        'the key "debug" appears twice; remove one',
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
        f"{DAEMON_JSON} is immutable or append-only: chattr -i it first",
    ),
    "in an immutable folder": (
        f"{TOGGLE} /etc/docker",
        f"{TOGGLE} /etc/docker",
        "/etc/docker is immutable or append-only: chattr -i it first",
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
    with_containers(guest)
    guest.ssh("tee", "/root/immutable.py", stdin=IMMUTABLE)
    return guest


@pytest.fixture
def hardener(host: lab.Guest, tmp_path: Path) -> Hardener:
    """Runs the command line on the host."""
    return command.on(host.inventory, cwd=tmp_path)


def findings(folder: Path) -> dict[str, dict[str, Any]]:
    """What the last report says of the host."""
    return command.findings(folder / "report.json")


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
    assert done.returncode in (3, 9), done.stderr  # no step is possible, or the host refuses all of them
    assert reason in done.stderr
    assert findings(tmp_path)[SLUG]["status"] == "fail"
    assert (after, still) == (before, containers)


def test_the_target_of_a_link_is_changed_and_the_link_stays(host: lab.Guest, hardener: Hardener) -> None:
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


def test_a_file_with_which_the_engine_does_not_start_is_rolled_back(
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
