"""docker_daemon and seccomp on real hosts: an open API, logs that leave, a profile that was not asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from tests.hosts.fixtures import Boot
from tests.hosts.play import Run
from tests.hosts.production import ULIMITS
from tests.hosts.waiting import until
from tests.hosts.workload import CONTAINER, ENGINE, WHOLE_HOST, running, shell

API = "10.0.2.15:2375"
OPEN = rf"""
set -eu
mkdir -p /etc/systemd/system/docker.service.d
cat > /etc/systemd/system/docker.service.d/tcp.conf <<'END'
[Service]
ExecStart=
ExecStart=/usr/sbin/dockerd -H fd:// -H tcp://0.0.0.0:2375 --containerd=/run/containerd/containerd.sock
END
systemctl daemon-reload
systemctl restart docker
docker -H tcp://{API} version >/dev/null
"""
STARTS = "journalctl --unit docker --output cat | grep -c 'Daemon has completed initialization'"
CENTRAL: dict[str, Any] = {
    "docker_daemon_log_driver": "syslog",
    "docker_daemon_log_opts": {"syslog-address": "udp://10.0.2.15:5140"},
    "docker_daemon_log_level": "debug",
    "docker_daemon_tls": False,
}
UNCONFINE = r"""
sed -i 's/^{/{"seccomp-profile": "unconfined",/' /etc/docker/daemon.json
systemctl restart docker
docker run --detach --name bare busybox:test sleep 1000000
"""
# What a container writes goes to the process that holds this port.
RECEIVER = r"""
import socket
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("0.0.0.0", 5140))
while True:
    with open("/root/received", "ab") as file:
        file.write(receiver.recv(65536) + b"\n")
"""


@pytest.fixture(scope="module")
def busy(pristine: Boot) -> Iterator[lab.Guest]:
    """A host with two containers, whose API is open to everybody."""
    guest = pristine("13")
    shell(guest, CONTAINER)
    assert guest.ssh("sh", "-c", OPEN).returncode == 0
    until(guest, "docker start web job && test $(docker ps --quiet | wc -l) = 2")  # the engine restarts still
    yield guest
    guest.stop()


def converge(
    guest: lab.Guest, folder: Path, *options: str, roles: tuple[str, ...] = ("docker_daemon",), **more: Any
) -> dict[str, Any]:
    variables = {"docker_daemon_tls_directory": str(folder / "tls"), "docker_daemon_tls_names": ["10.0.2.15"]}
    return Run(guest, folder, roles, **{**variables, **ULIMITS, **more}).result(*options)


def becomes(result: dict[str, Any]) -> dict[str, str]:
    return {each["name"].removeprefix("docker_daemon_"): each["state"] for each in result["documents"]}


def client(guest: lab.Guest, *words: str) -> str:
    """What the docker client in the guest gets from the API on TCP."""
    ran = guest.ssh(
        "env", "DOCKER_CERT_PATH=/root/client", "docker", *words, "-H", f"tcp://{API}", "ps", check=False
    )
    return ran.stdout if ran.returncode == 0 else f"failed: {ran.stderr}"


def test_an_open_api_requires_certificates_after_one_restart(busy: lab.Guest, tmp_path: Path) -> None:
    containers = running(shell(busy, ENGINE))
    assert len(containers) == 2
    starts = int(shell(busy, STARTS))
    held = converge(busy, tmp_path, "--check", "--diff")
    assert becomes(held)["tls"] == "held"  # it would turn a client away
    predicted = converge(busy, tmp_path, "--check", "--diff", converge_allow="connectivity")
    assert predicted["outcome"] == "would_change"

    done = converge(busy, tmp_path, "--diff", converge_allow="connectivity")
    assert done["outcome"] == "changed", done
    assert done["plan"] == predicted["plan"]  # with the very certificates
    changed = {name for name, state in becomes(done).items() if state == "change"}
    assert {"tls", "icc", "live_restore", "no_new_privileges", "default_ulimits"} <= changed
    assert int(shell(busy, STARTS)) == starts + 1
    assert running(shell(busy, ENGINE)) == containers
    assert "PRIVATE" not in str(done)
    key = "/etc/docker/tls/key.pem"
    assert shell(busy, f"stat -c '%a %U' {key}; head -n 1 {key}") == "400 root\n-----BEGIN PRIVATE KEY-----\n"

    shell(busy, "mkdir -p /root/client")
    for file in (tmp_path / "tls/client").iterdir():
        busy.ssh("tee", f"/root/client/{file.name}", stdin=file.read_text())
    assert "web" in client(busy, "--tlsverify")
    assert client(busy).startswith("failed: ")
    shell(busy, "rm /root/client/key.pem /root/client/cert.pem")
    assert client(busy, "--tlsverify").startswith("failed: ")

    again = converge(busy, tmp_path, converge_allow="connectivity")
    assert (again["outcome"], again["changed"]) == ("unchanged", False)


def test_logs_are_sent_to_a_server_that_accepts_them(busy: lab.Guest, tmp_path: Path) -> None:
    containers = running(shell(busy, ENGINE))
    unheard = converge(busy, tmp_path, **CENTRAL)
    assert unheard["outcome"] == "changed", unheard
    assert becomes(unheard)["log_driver"] == "refused"
    assert becomes(unheard)["log_level"] == "change"  # its neighbour does not wait for it
    assert any("cannot reach udp://10.0.2.15:5140: Connection refused" in each for each in unheard["refused"])
    assert "json-file" in shell(busy, ENGINE)

    busy.ssh("tee", "/root/receiver.py", stdin=RECEIVER)
    shell(busy, "systemd-run --unit=receiver python3 /root/receiver.py")
    until(busy, "ss -uln | grep -q :5140")
    done = converge(busy, tmp_path, **CENTRAL)
    assert becomes(done)["log_driver"] == "change", done
    assert running(shell(busy, ENGINE)) == containers
    shell(busy, "docker run --rm busybox:test /bin/busybox echo hello from a container")
    until(busy, "grep -q 'hello from a container' /root/received")
    assert "hardener tests whether this log target can be reached" in shell(busy, "cat /root/received")


def test_a_bad_seccomp_profile_is_refused_before_any_change(busy: lab.Guest, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": "read", "action": "x"}]}')
    before = [line for line in shell(busy, WHOLE_HOST).splitlines() if "/var/lib/hardener" not in line]
    refused = converge(busy, tmp_path, roles=("seccomp",), seccomp_profile=str(profile))
    assert refused["outcome"] == "refused"
    assert "/etc/docker/seccomp.json has the unknown action 'x' (syscalls[0])" in refused["reason"]
    after = [line for line in shell(busy, WHOLE_HOST).splitlines() if "/var/lib/hardener" not in line]
    assert after == before


def test_a_custom_seccomp_profile_is_removed_and_containers_without_a_filter_are_named(
    busy: lab.Guest, tmp_path: Path
) -> None:
    converge(busy, tmp_path, converge_allow="connectivity", docker_daemon_tls=False)
    shell(busy, UNCONFINE)
    assert "profile=unconfined" in shell(busy, "docker info --format '{{.SecurityOptions}}'")
    containers = running(shell(busy, ENGINE))
    done = converge(busy, tmp_path, roles=("docker_daemon", "seccomp"), docker_daemon_tls=False)
    assert done["outcome"] == "changed", done
    assert any("bare run without a seccomp filter" in note for note in done["notes"])
    assert "profile=builtin" in shell(busy, "docker info --format '{{.SecurityOptions}}'")
    assert running(shell(busy, ENGINE)) == containers
    shell(busy, "docker rm --force bare")
    shell(busy, "docker run --detach --name bare busybox:test sleep 1000000")
    pid = shell(busy, "docker inspect --format '{{.State.Pid}}' bare").strip()
    assert shell(busy, f"grep ^Seccomp: /proc/{pid}/status").split() == ["Seccomp:", "2"]
    again = converge(busy, tmp_path, roles=("docker_daemon", "seccomp"), docker_daemon_tls=False)
    assert again["outcome"] == "unchanged"
    assert not any("seccomp filter" in note for note in again["notes"])


def test_a_runtime_with_which_no_container_starts_is_rolled_back(busy: lab.Guest, tmp_path: Path) -> None:
    containers = running(shell(busy, ENGINE))
    config = shell(busy, "cat /etc/docker/daemon.json")
    broken = {"runtimes": {"broken": {"path": "/bin/false"}}, "default-runtime": "broken"}
    done = converge(busy, tmp_path, converge_allow="connectivity", docker_daemon_extra=broken)
    assert done["outcome"] == "rolled_back", done
    assert done["reason"].startswith("a new container does not start any more: ")
    assert shell(busy, "cat /etc/docker/daemon.json") == config
    assert running(shell(busy, ENGINE)) == containers
    assert "hardener-try" not in shell(busy, "docker ps --all; docker images")
    shell(busy, "docker restart --time 0 web")
