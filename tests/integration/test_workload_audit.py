"""The audit of workloads on a real engine: what each container has, by the kernel's word."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker import runtimes
from ansible_collections.hardener.docker.plugins.module_utils.record import describe

from hardener.comparison import container_changes
from hardener.snapshot import Snapshot
from hardener.workload.artefacts import artefacts
from hardener.workload.audit import ContainerAudit, audit
from hardener.workload.profile import make
from hardener.workload.recording import build
from hardener.workload.use import made, use
from tests.integration.collecting import collect, judge, named, on_this_host
from tests.integration.dockerd import Dockerd
from tests.integration.waiting import until
from tests.unit.workload.recordings import document

ALLOW = "SCMP_ACT_ALLOW"
EVERYTHING = json.dumps({"defaultAction": ALLOW})
SECOND = 1_000_000_000
LEAST: dict[str, Any] = {
    "User": "65534:65534",
    "host_config": {
        "CapDrop": ["ALL"],
        "CgroupnsMode": "private",
        "Memory": 32 << 20,
        "NanoCpus": SECOND // 2,
        "PidsLimit": 64,
        "ReadonlyRootfs": True,
        "SecurityOpt": ["no-new-privileges"],
    },
}
# Too few for the runtime of some engine would be a container that does not start.
CALLS = """
    access arch_prctl brk capget capset chdir clock_nanosleep clone close close_range dup2 epoll_ctl
    epoll_pwait execve exit exit_group faccessat2 fchown fcntl fstat fstatfs futex getcwd getdents64 getegid
    geteuid getgid getpid getppid getrandom gettid getuid ioctl kill lseek madvise mmap mprotect munmap
    nanosleep newfstatat openat openat2 poll prctl prlimit64 pselect6 read readlink readlinkat rseq
    rt_sigaction rt_sigprocmask rt_sigreturn sched_yield setgid setgroups set_robust_list set_tid_address
    setuid sigaltstack socket stat statfs statx sysinfo tgkill uname wait4 write
"""


def profile(option: object) -> dict[str, Any]:
    return {"SecurityOpt": [f"seccomp={option if isinstance(option, str) else json.dumps(option)}"]}


def engines_default(engine: Dockerd, container: str) -> dict[str, Any]:
    """The default profile, as the engine has resolved it for a container."""
    tasks = engine.containerd_socket.parent / "daemon" / "io.containerd.runtime.v2.task" / "moby"
    found: dict[str, Any] = json.loads((tasks / container / "config.json").read_bytes())["linux"]["seccomp"]
    return found


def rewritten(default: dict[str, Any]) -> dict[str, Any]:
    """The same profile, one rule a call, in the opposite order."""
    rules = [
        {**rule, "names": [name]}
        for rule in reversed(default["syscalls"])
        for name in reversed(rule["names"])
    ]
    return {**default, "syscalls": rules}


def points(found: ContainerAudit) -> dict[str, int]:
    return {each.key: each.points for each in found.excess}


def flawed(engine: Dockerd, own: dict[str, Any], folder: Path) -> dict[str, dict[str, Any]]:
    """What each container is asked for, beside the engine's defaults."""
    calls = CALLS.split()
    own_user_namespace = {"index": 0, "value": 0x7E020000, "op": "SCMP_CMP_MASKED_EQ"}
    flat = [{"names": calls, "action": ALLOW}]
    narrow = [
        {"names": sorted({*calls} - {"clone", "socket"}), "action": ALLOW},
        {"names": ["clone"], "action": ALLOW, "args": [own_user_namespace]},
    ]
    writer = {
        "ReadonlyRootfs": True,
        "Tmpfs": {"/scratch": ""},
        "Binds": [f"{folder}:/site", f"{folder}:/read:ro"],
        "Mounts": [{"Type": "volume", "Source": "data", "Target": "/data"}],
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}],
    }
    return {
        "copied": profile(rewritten(own)),
        "flat": profile({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": flat}),
        "narrow": profile({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": narrow}),
        "allow-all": profile(EVERYTHING),
        "unconfined": profile("unconfined"),
        "privileged": {"Privileged": True},
        "privileged-filtered": {"Privileged": True, **profile(own)},
        "host-net": {"NetworkMode": "host"},
        "host-pid": {"PidMode": "host", "CapAdd": ["SYS_PTRACE"]},
        "socket": {"Binds": [f"{engine.socket}:/docker.sock"]},
        "writer": writer,
        "sidecar": {"NetworkMode": "container:default"},
    }


@pytest.fixture
def found(engine: Dockerd, tmp_path: Path) -> dict[str, ContainerAudit]:
    """The audit of containers, each with one flaw; two more do not run."""
    own = engines_default(engine, engine.run("default"))
    asked = {name: {"host_config": options} for name, options in flawed(engine, own, tmp_path).items()}
    with ThreadPoolExecutor(8) as pool:
        named = {**asked, "least": LEAST, "entered": LEAST, "ended": {"command": ["true"]}}
        list(pool.map(lambda name: engine.run(name, **named[name]), named))
    engine.create("created")
    enter = {"Cmd": ["sleep", "1000000"], "Privileged": True, "User": "0"}
    execution = engine.api("POST", "/containers/entered/exec", enter)["Id"]
    engine.api("POST", f"/exec/{execution}/start", {"Detach": True})
    assert until(lambda: engine.api("GET", f"/exec/{execution}/json")["Pid"] > 0)
    assert until(lambda: not engine.api("GET", "/containers/ended/json")["State"]["Running"])
    audited = audit(collect(engine))
    assert audited.error == ""
    assert audited.complete, [each.has.unknown for each in audited.containers]
    return {each.name: each for each in audited.containers}


def test_privileges_of_containers_of_a_real_engine_are_listed_with_their_risk(
    engine: Dockerd, found: dict[str, ContainerAudit]
) -> None:
    version = engine.api("GET", "/version")["Version"]
    # who runs
    assert "created" not in found
    assert "ended" not in found
    # filters, by meaning
    kinds = {name: each.has.seccomp.kind.value for name, each in found.items()}
    filtered = "default" if int(version.partition(".")[0]) >= 27 else "none"
    assert kinds == {
        **dict.fromkeys(found, "default"),
        "flat": "wider",
        "narrow": "narrower",
        "allow-all": "wide",
        "unconfined": "none",
        "privileged": "none",
        "privileged-filtered": filtered,
        "entered": kinds["entered"],
    }
    assert found["flat"].has.seccomp.unlimited[0] == "clone"
    default = found["default"].has.seccomp
    assert default.calls is not None
    assert default.calls > 250
    assert found["narrow"].has.seccomp.default_calls == default.calls
    # capabilities
    assert found["default"].has.capabilities.effective == found["default"].has.capabilities.bounding
    assert len(found["default"].has.capabilities.held) == 14
    assert found["least"].has.capabilities.bounding == frozenset()
    assert "SYS_ADMIN" in found["privileged"].has.capabilities.held
    assert "SYS_ADMIN" in found["entered"].has.capabilities.held, "a process that came by docker exec"
    assert found["entered"].has.user.host_root
    # namespaces
    assert "net" in found["host-net"].has.host_namespaces
    assert "pid" in found["host-pid"].has.host_namespaces
    assert found["host-pid"].level == "critical"
    assert found["sidecar"].has.joined_namespaces["net"] == ("default",)
    assert found["default"].has.joined_namespaces["net"] == ("sidecar",)
    # where they can write
    writable = {each.path: each.kind for each in found["writer"].has.writable}
    assert writable == {"/data": "volume", "/scratch": "tmpfs", "/site": "bind"}
    assert {each.path for each in found["default"].has.writable} == {"/"}
    assert found["least"].has.writable == ()
    # the rest
    assert found["writer"].has.devices == ("has /dev/null (rwm)",)
    assert found["socket"].level == "critical"
    assert points(found["socket"])["runtime-socket"] == 100
    assert found["least"].has.limits.pids == 64
    assert found["least"].has.no_new_privs
    assert found["least"].level == "low"
    order = list(found)
    assert order[-1] == "least"
    assert {"privileged", "privileged-filtered", "host-pid", "socket", "entered"} == set(order[:5])


def test_the_command_shows_privileges_of_containers(engine: Dockerd, tmp_path: Path) -> None:
    """Without an inventory, on the engine that docker on this machine talks to."""
    engine.run("web")
    engine.run("backup", host_config={"Privileged": True})
    file = tmp_path / "found.json"
    environment = {**os.environ, "DOCKER_HOST": engine.host, "HARDENER_HOME": str(tmp_path / "home")}
    command = on_this_host(sys.executable, "-m", "hardener", "workload", "audit", "--json", str(file))
    result = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "2 containers on 1 host: 1 critical, 1 medium" in result.stdout
    assert result.stdout.index("backup") < result.stdout.index("web")
    (host,) = json.loads(file.read_text())["hosts"]
    assert host["engine"] == engine.api("GET", "/version")["Version"]
    assert [container["name"] for container in host["containers"]] == ["backup", "web"]


def recorded(engine: Dockerd, container: str, default: dict[str, Any]) -> dict[str, Any]:
    """What a recording of a container says; what it was seen to do is made up."""
    inspected = engine.api("GET", f"/containers/{container}/json")
    versions = engine.api("GET", "/version")
    name = inspected["HostConfig"]["Runtime"]
    data = document()
    data["container"] = describe.container(inspected)
    data["host"] |= {
        "kernel": os.uname().release,
        "architecture": os.uname().machine,
        "engine": versions["Version"],
        "runtime": {"name": name, "version": runtimes.version(name, engine.api("GET", "/info"), versions)},
        "lsm": [],
    }
    calls = {call: {"phases": ["serve"], "programs": ["sleep"]} for call in CALLS.split()}
    data["calls"] = {data["host"]["architecture"]: calls}
    data["granted"] = {"capabilities": ["CAP_CHOWN"], "seccomp": default}
    return data


def test_a_newer_image_under_an_old_profile_is_reported_as_another_image(
    engine: Dockerd, tmp_path: Path
) -> None:
    """Drift names the image; the controls judge the profile that is still the first one's."""
    default = engines_default(engine, engine.run("default"))
    images = []
    for version in "12":
        engine.build(f"app:{version}", f"FROM busybox:test\nLABEL version={version}\n")
        images.append(engine.api("GET", f"/images/app:{version}/json")["Id"])
    original = engine.run("app", image="app:1", env=["TOKEN=planted"], host_config={"NetworkMode": "none"})
    recording = recorded(engine, original, default)
    for name, text in artefacts(make([("app", build(recording, name="app"))]).document).items():
        (tmp_path / name).write_text(text)

    def under_the_profile(image: str, *options: str) -> Snapshot:
        engine.docker("rm", "--force", "app")
        run = f"docker --host {engine.host} run --detach --name app --network none --env TOKEN=planted"
        run += f" {' '.join(options)} $(tr '\\n' ' ' < docker-run.txt) {image} sleep 1000000"
        subprocess.run(["sh", "-c", f'eval "{run}"'], cwd=tmp_path, check=True, capture_output=True)
        return collect(engine)

    first, second = (under_the_profile(f"app:{version}") for version in "12")
    (moved,) = container_changes(first, second)
    assert (moved.container, moved.profiled) == ("app", ("app",))
    assert [(axis.name, *axis.texts) for axis in moved.axes] == [("image digest", *images)]
    # The same by the profile's own word, without an earlier run.
    known = (made(tmp_path),)
    for snapshot, expected in ((first, []), (second, ["image digest"])):
        audited = {each.name: each for each in audit(snapshot, use=lambda one: use(one, known)).containers}
        found = audited["app"].use
        assert found is not None
        assert [axis.name for axis in found.moved] == expected
        assert set(found.unknown) <= {"entrypoint", "command"}  # where the host has no key of its own
        assert audited["default"].use is None
    again = under_the_profile("app:2", "--env", "NEW=planted", "--sysctl", "net.core.somaxconn=64")
    assert "planted" not in repr(container_changes(second, again))
    assert [(axis.name, axis.texts[1]) for axis in container_changes(second, again)[0].axes] == [
        ("sysctls", "net.core.somaxconn=64"),
        ("environment", "NEW"),
    ]
    # What the controls say of it.
    remarks = judge("container-seccomp-enabled", second).evidence
    assert any(
        re.fullmatch(r"container app: own profile: \d+ calls, default \d{3}", each) for each in remarks
    )
    assert (
        "container app: keeps 1 of the 14 default capabilities: CHOWN"
        in judge("container-capabilities", second).evidence
    )
    places = [each for each in judge("container-readonly-rootfs", second).evidence if "container app" in each]
    assert places == ["container app: writable paths: /run (tmpfs)"]
    assert named(judge("container-no-new-privileges", second)) == {"default"}
