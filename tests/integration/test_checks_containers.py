"""Sections 4 and 5 on a real engine: each badly configured container, and no other, is named.

Every container here is the hardened twin with one flaw, so that a check that names too many fails as well as
one that names too few.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import Snapshot
from tests.integration.collecting import collect, judge, named
from tests.integration.dockerd import IMAGE, Dockerd
from tests.unit.snapshots import merge, only

SECOND = 1_000_000_000
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

# What every container of this file has; a flaw is laid over it.
TWIN: dict[str, Any] = {
    "User": "65534:65534",
    # The first probe comes soon, and then none any more: 30 containers share two processors with others.
    "Healthcheck": {
        "Test": ["CMD", "/bin/true"],
        "Interval": 3600 * SECOND,
        "Timeout": 60 * SECOND,
        "StartPeriod": 600 * SECOND,
        "StartInterval": SECOND,
    },
    "host_config": {
        "CapDrop": ["ALL"],
        "CgroupnsMode": "private",  # with version 1 of cgroups, the host's is the default
        "Memory": 32 << 20,
        "NanoCpus": SECOND // 2,
        "NetworkMode": "app",
        "PidsLimit": 64,
        "ReadonlyRootfs": True,
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
        "SecurityOpt": ["no-new-privileges"],
    },
}


def host(**host_config: Any) -> dict[str, Any]:
    """A flaw in the host configuration."""
    return {"host_config": host_config}


def bind(source: str, *, read_only: bool = False, propagation: str = "") -> dict[str, Any]:
    """A flaw by a bind mount."""
    mount = {"Type": "bind", "Source": source, "Target": "/host", "ReadOnly": read_only}
    return host(Mounts=[{**mount, "BindOptions": {"Propagation": propagation}} if propagation else mount])


def publish(address: str, port: int) -> dict[str, Any]:
    """A flaw by a published port."""
    bindings = {"80/tcp": [{"HostIp": address, "HostPort": str(port)}]}
    return {"ExposedPorts": {"80/tcp": {}}, **host(PortBindings=bindings)}


@dataclass(frozen=True)
class Ports:
    """Free ports of this machine."""

    twin: int
    everywhere: int
    everywhere6: int
    listener: int
    low: int


def flaws(engine: Dockerd, ports: Ports) -> dict[str, dict[str, Any]]:
    """One container for each way to be wrong."""
    probe_fails = {
        "Test": ["CMD", "/bin/busybox", "false"],
        "StartPeriod": 0,
        "Interval": SECOND,
        "Retries": 1,
    }
    listens = ["httpd", "-f", "-p", f"0.0.0.0:{ports.listener}"]
    return {
        "privileged": host(Privileged=True),
        "all-capabilities": host(CapAdd=["ALL"], CapDrop=[]),
        "raw-sockets": host(CapDrop=[]),
        "no-seccomp": host(SecurityOpt=["no-new-privileges", "seccomp=unconfined"]),
        "new-privileges": host(SecurityOpt=["no-new-privileges=false"]),
        "host-network": {"command": listens, "host_config": {"NetworkMode": "host"}},
        "borrowed-network": host(NetworkMode="container:host-network"),
        "host-pid": host(PidMode="host"),
        "host-ipc": host(IpcMode="host"),
        "host-uts": host(UTSMode="host"),
        "host-cgroups": host(CgroupnsMode="host"),
        "system-paths": host(MaskedPaths=[], ReadonlyPaths=[]),
        "default-bridge": host(NetworkMode="bridge"),
        "api-socket": bind(str(engine.socket)),
        "linked-socket": bind(str(engine.root / "harmless")),
        "run-mounted": bind("/run", read_only=True),
        "etc-mounted": bind("/etc", read_only=True),
        "etc-volume": host(Mounts=[{"Type": "volume", "Source": "etc", "Target": "/host"}]),
        "shared-mount": bind(str(engine.root / "shared"), propagation="rshared"),
        "writable": host(ReadonlyRootfs=False),
        "device": host(
            Devices=[{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}]
        ),
        "no-memory-limit": host(Memory=0),
        "no-cpu-limit": host(NanoCpus=0),
        "default-shares": host(NanoCpus=0, CpuShares=1024),
        "no-pids-limit": host(PidsLimit=-1),
        "ulimit-raised": host(Ulimits=[{"Name": "nofile", "Soft": 1024, "Hard": 2048}]),
        "cgroup-parent": host(CgroupParent="/elsewhere"),
        "restart-always": host(RestartPolicy=only({"Name": "always"})),
        "root-user": {"User": "0:0"},
        "ssh-server": {"command": ["/usr/sbin/sshd"]},
        "no-healthcheck": {"Healthcheck": only({"Test": ["NONE"]})},
        "unhealthy": {"Healthcheck": probe_fails},
        "port-everywhere": publish("0.0.0.0", ports.everywhere),
        "port-everywhere6": publish("::", ports.everywhere6),
        "low-port": publish("127.0.0.1", ports.low),
        "old-image": {"image": "moving:1"},
    }


# Control to the containers that break it; the twin and all others must not be named.
EXPECTED: dict[str, set[str]] = {
    "container-not-privileged": {"privileged", "created-privileged"},
    "container-capabilities": {"privileged", "created-privileged", "all-capabilities", "raw-sockets"},
    "container-seccomp-enabled": {"privileged", "created-privileged", "no-seccomp"},
    "container-no-host-devices": {"privileged", "created-privileged", "device"},
    "container-no-new-privileges": {"new-privileges"},
    "container-no-host-network": {"host-network", "borrowed-network"},
    "container-no-host-pid": {"host-pid"},
    "container-no-host-ipc": {"host-ipc"},
    "container-no-host-uts": {"host-uts"},
    "container-cgroups-private": {"privileged", "created-privileged", "host-cgroups"},
    "container-kernel-paths-hidden": {"privileged", "created-privileged", "system-paths"},
    "container-not-default-bridge": {"default-bridge"},
    "container-no-docker-sock": {"api-socket", "linked-socket", "run-mounted"},
    "container-no-sensitive-mounts": {"run-mounted", "etc-mounted", "etc-volume"},
    "container-no-shared-propagation": {"shared-mount"},
    "container-readonly-rootfs": {"writable"},
    "container-memory-limit": {"no-memory-limit"},
    "container-cpu-limit": {"no-cpu-limit", "default-shares"},
    "container-pids-limit": {"no-pids-limit"},
    "container-ulimits": {"ulimit-raised"},
    "container-cgroup-parent": {"cgroup-parent"},
    "container-restart-policy": {"restart-always"},
    "container-no-sshd": {"ssh-server"},
    "container-health-running": {"no-healthcheck", "unhealthy"},
    "container-no-privileged-ports": {"low-port"},
    "container-only-needed-ports": {"host-network", "low-port", "port-everywhere", "port-everywhere6"},
    "container-bind-specific-interface": {"host-network", "port-everywhere", "port-everywhere6"},
    "image-latest-pulled": {"old-image"},
    "image-non-root-user": {"root-user"},
}

IMAGES = {
    "good:1": """
        FROM busybox:test
        COPY apt-get /bin/apt-get
        RUN apt-get update && apt-get install -y nginx
        USER 1000
        HEALTHCHECK CMD ["/bin/true"]
    """,
    "lone-update:1": """
        FROM good:1
        USER 0
        RUN apt-get update
        USER 1000
    """,
    "added:1": """
        FROM good:1
        ADD apt-get /bin/other
    """,
    "unverified:1": """
        FROM good:1
        USER 0
        RUN apt-get install -y --allow-unauthenticated nginx
        USER 1000
    """,
    "setuid:1": """
        FROM good:1
        USER 0
        RUN busybox ln -s busybox /bin/chmod && chmod u+s /bin/busybox
        USER 1000
    """,
    "root:1": """
        FROM good:1
        USER 0
    """,
    "no-check:1": """
        FROM good:1
        HEALTHCHECK NONE
    """,
    "secret:1": f"""
        FROM good:1
        ENV AWS_SECRET_ACCESS_KEY={SECRET}
    """,
}

# Control to the images of this file that break it.
EXPECTED_IMAGES: dict[str, set[str]] = {
    "image-no-lone-update": {"lone-update:1"},
    "image-copy-not-add": {"added:1"},
    "image-verified-packages": {"unverified:1"},
    "image-non-root-user": {"root:1"},
    "image-healthcheck": {"no-check:1"},
    "image-no-secrets": {"secret:1"},
}


def _free_port(held: ExitStack, low: int = 0, high: int = 0) -> int:
    """A port that nobody listens on, on any address; any the kernel chooses, or the first in a range.

    It is no other's until the context ends that holds it.
    """
    for port in range(low, high) if low else (0,):
        trial = held.enter_context(socket.socket(socket.AF_INET6))
        try:
            trial.bind(("::", port))
        except OSError:
            continue
        return int(trial.getsockname()[1])
    raise AssertionError(f"no free port in {low}-{high}")


def _build_images(engine: Dockerd) -> None:
    scripts: Mapping[str, bytes | str] = {
        "apt-get": b"#!/bin/sh\nexit 0\n",
        "sshd": b"#!/bin/sh\nwhile :; do sleep 1000; done\n",
    }
    for tag, dockerfile in IMAGES.items():
        engine.build(tag, dockerfile, scripts)
    engine.build("workload:1", "FROM busybox:test\nCOPY sshd /usr/sbin/sshd\nUSER 1000\n", scripts)
    engine.docker("tag", "workload:1", "moving:1")


def _run(engine: Dockerd, name: str, flaw: Mapping[str, Any], *, start: bool = True) -> None:
    options = {"image": "workload:1", **merge(TWIN, flaw)}
    (engine.run if start else engine.create)(name, **options)


def _wait_for_health(engine: Dockerd) -> None:
    deadline = time.monotonic() + 120
    waiting = True
    while waiting:
        states = [container["Status"] for container in engine.api("GET", "/containers/json")]
        waiting = any("health: starting" in state for state in states)
        assert time.monotonic() < deadline, states
        time.sleep(0.2)


@pytest.fixture(scope="module")
def ports() -> Ports:
    with ExitStack() as held:
        twin, everywhere, everywhere6, listener = (_free_port(held) for _ in range(4))
        return Ports(twin, everywhere, everywhere6, listener, low=_free_port(held, 600, 1000))


@pytest.fixture(scope="module")
def snapshot(seen: tuple[Snapshot, dict[str, set[str]]]) -> Snapshot:
    return seen[0]


def _really(engine: Dockerd) -> dict[str, set[str]]:
    """What the engine does, by the control that it decides: names of containers and images."""
    containers = [
        engine.api("GET", f"/containers/{each['Id']}/json")
        for each in engine.api("GET", "/containers/json?all=1")
    ]
    images = {each["Id"]: each["RepoTags"] for each in engine.api("GET", "/images/json")}
    current = {tag: identity for identity, tags in images.items() for tag in tags}
    used = {each["Image"] for each in containers}
    health, outdated, stopped = set(), set(), set()
    for each in containers:
        name = each["Name"].removeprefix("/")
        if not each["State"]["Running"]:
            stopped.add(name)
        elif each["State"].get("Health", {}).get("Status") != "healthy":
            health.add(name)
        if current[each["Config"]["Image"]] != each["Image"]:
            outdated.add(name)
    unprobed = set()
    for tag in IMAGES:
        probe = engine.run(image=tag, command=["sleep", "1000"])
        if "Health" not in engine.api("GET", f"/containers/{probe}/json")["State"]:
            unprobed.add(tag)
        engine.api("DELETE", f"/containers/{probe}?force=1")
    return {
        "container-health-running": health,
        "image-latest-pulled": outdated,
        "ops-container-sprawl": stopped,
        # moving:1 is another name of good:1
        "ops-image-sprawl": {tag for each in images.keys() - used for tag in images[each]} - {"moving:1"},
        "image-healthcheck": unprobed,
    }


def test_verdicts_match_the_state_of_containers_and_images(
    seen: tuple[Snapshot, dict[str, set[str]]],
) -> None:
    snapshot, really = seen
    policy = {"max_unused_images": 0, "max_stopped_containers": 0}
    strict = Snapshot({**snapshot.raw, "policy": policy})
    for slug, names in really.items():
        verdict = judge(slug, strict)
        found = named(verdict) or named(verdict, "image")
        if slug == "image-healthcheck":
            found &= IMAGES.keys()
        assert names, slug
        assert found == names, slug


@pytest.fixture(scope="module")
def seen(ports: Ports) -> tuple[Snapshot, dict[str, set[str]]]:
    """This machine with all the containers and images of this file, collected once; and what is true."""
    ulimits = {"nofile": {"Name": "nofile", "Soft": 512, "Hard": 1024}}
    with Dockerd(config={"default-ulimits": ulimits}) as engine:
        engine.ensure_image()
        _build_images(engine)
        (engine.root / "harmless").symlink_to(engine.socket)
        shared = engine.root / "shared"
        shared.mkdir()
        subprocess.run(["mount", "--bind", shared, shared], check=True)
        subprocess.run(["mount", "--make-shared", shared], check=True)
        engine.api("POST", "/networks/create", {"Name": "app"})
        etc = {"type": "none", "o": "bind", "device": "/etc"}
        engine.api("POST", "/volumes/create", {"Name": "etc", "DriverOpts": etc})
        _run(engine, "twin", publish("127.0.0.1", ports.twin))
        for name, flaw in flaws(engine, ports).items():
            _run(engine, name, flaw)
        _run(engine, "created-privileged", host(Privileged=True), start=False)
        _run(
            engine,
            "hostile",
            {"labels": {"\x1b[2J<b>": "\x00" * 1000 + "A" * 1_000_000}, "env": ["A=\x1b]0;x\x07"]},
        )
        engine.docker("exec", "--detach", "--user", "0", "twin", "sleep", "1000")
        engine.docker("tag", "good:1", "moving:1")
        _wait_for_health(engine)
        return collect(engine, policy={"published_ports": [f"twin:{ports.twin}"]}), _really(engine)


@pytest.mark.parametrize(("slug", "names"), EXPECTED.items())
def test_only_badly_configured_containers_are_named(snapshot: Snapshot, slug: str, names: set[str]) -> None:
    verdict = judge(slug, snapshot)
    assert verdict.status is Status.FAIL, verdict
    assert named(verdict) == names, verdict.offenders


def test_without_user_remapping_every_container_fails_the_user_namespace_control(snapshot: Snapshot) -> None:
    verdict = judge("container-no-host-userns", snapshot)
    assert verdict.status is Status.FAIL
    assert len(named(verdict)) == len(snapshot.containers)


def test_a_created_container_is_judged_by_its_configuration(snapshot: Snapshot) -> None:
    verdict = judge("container-seccomp-enabled", snapshot)
    detail = next(each.detail for each in verdict.offenders if each.name == "created-privileged")
    assert detail == (
        "is set to run without a seccomp filter: it is privileged (not running: judged by its configuration)"
    )


def test_a_root_process_started_by_exec_is_evidence(snapshot: Snapshot) -> None:
    verdict = judge("exec-not-root-user", snapshot)
    assert verdict.status is Status.MANUAL
    assert "container twin: 1 exec session open now" in verdict.evidence
    assert "container twin: runs sleep as root, but its first process as uid 65534" in verdict.evidence


def test_a_container_in_the_hosts_network_is_reported_only_for_its_own_ports(
    snapshot: Snapshot, ports: Ports
) -> None:
    verdict = judge("container-only-needed-ports", snapshot)
    details = {each.name: each.detail for each in verdict.offenders}
    assert details["host-network"] == f"listens, through the host's network, on 0.0.0.0:{ports.listener}/tcp"


@pytest.mark.parametrize(("slug", "names"), EXPECTED_IMAGES.items())
def test_only_badly_built_images_are_named(snapshot: Snapshot, slug: str, names: set[str]) -> None:
    verdict = judge(slug, snapshot)
    assert verdict.status is Status.FAIL, verdict
    assert named(verdict, "image") & IMAGES.keys() == names, verdict.offenders


def test_setuid_bits_in_the_build_history_are_reported(snapshot: Snapshot) -> None:
    verdict = judge("image-no-setuid", snapshot)
    details = {each.name: each.detail for each in verdict.offenders}
    assert verdict.status is Status.MANUAL
    assert "chmod u+s /bin/busybox" in details["setuid:1"]
    assert details["good:1"] == "sets no set-uid or set-gid bit in its build history"


def test_a_secret_of_a_container_is_not_in_the_snapshot(snapshot: Snapshot) -> None:
    assert SECRET not in str(snapshot.raw)


def test_an_imported_image_does_not_fail_the_control_of_add_instructions(snapshot: Snapshot) -> None:
    """The root filesystem it was imported from is not an ADD of a Dockerfile."""
    assert IMAGE not in named(judge("image-copy-not-add", snapshot), "image")


@pytest.mark.parametrize("slug", ["ops-image-sprawl", "ops-container-sprawl"])
def test_without_limits_a_person_decides_how_many_unused_images_and_containers_stay(
    snapshot: Snapshot, slug: str
) -> None:
    assert judge(slug, snapshot).status is Status.MANUAL
