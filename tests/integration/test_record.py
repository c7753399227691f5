"""Containers of a real engine, recorded by twins under the kernel's eyes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import processes
from ansible_collections.hardener.docker.plugins.module_utils.record import main, observe, workspace
from ansible_collections.hardener.docker.plugins.module_utils.record.engine import Engine
from ansible_collections.hardener.docker.plugins.module_utils.record.recorder import unified_cgroups

from hardener.workflows.twins import this_process
from hardener.workload import kernel
from hardener.workload.artefacts import artefacts
from hardener.workload.profile import make
from hardener.workload.profile_document import NAME
from hardener.workload.recording import Recording, load
from hardener.workload.shapes import PHASES
from tests.integration.dockerd import BUSYBOX, Dockerd
from tests.integration.planting import Planted, pieces
from tests.integration.twinning import (
    BESIDE,
    begin,
    end,
    leaves_nothing,
    names,
    programs,
    runs,
    twins,
    worker,
    workload,
)
from tests.integration.waiting import until

pytestmark = pytest.mark.xdist_group("recorder")  # the kernel has one list of programs

FILE = "planted-name"  # of a file in a volume
# A file gets an owner, which takes a capability; a web server answers, and reads its settings anew on SIGHUP.
SCRIPT = """
    echo "$TOKEN" >"/data/NAME"
    [ -e /data/page ] || echo first-start >/data/page
    busybox touch /mine; busybox chown 33 /mine
    exec httpd -f -p 80 -h /data
"""


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted()


@pytest.fixture(scope="module")
def shop(dockerd: Dockerd, planted: Planted) -> Iterator[str]:
    """A container that serves, with a volume that is in use, of an image that declares another one."""
    image = dockerd.build("spool:test", "FROM busybox:test\nVOLUME /spool\n")
    name = dockerd.run(
        "shop",
        image=image,
        command=["sh", "-c", SCRIPT.replace("NAME", FILE), planted("argument")],
        env=[f"TOKEN={planted('environment and content of a file')}"],
        labels={"com.docker.compose.project": "p", "x": planted("label")},
        host_config={
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Mounts": [{"Type": "volume", "Source": "shop", "Target": "/data"}],
            "RestartPolicy": {"Name": "always"},
        },
        Healthcheck={"Test": ["CMD", "true"], "Interval": 3600 * 10**9},
    )
    folder = volume(dockerd)
    assert until((folder / "page").exists)
    (folder / "page").write_text("used\n")
    yield name
    dockerd.api("DELETE", f"/containers/{name}?force=1&v=1")
    dockerd.api("DELETE", "/volumes/shop")


def volume(engine: Dockerd) -> Path:
    return Path(engine.api("GET", "/volumes/shop")["Mountpoint"])


def fetch(address: str) -> str:
    return subprocess.run(
        ["curl", "-fsS", "--max-time", "10", f"http://{address}/page"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@contextmanager
def untouched(engine: Dockerd, container: str) -> Iterator[None]:
    """Container, volume and engine are afterwards as before, and the kernel has no program of ours."""

    def state() -> tuple[Any, ...]:
        found = engine.api("GET", f"/containers/{container}/json")
        found["Mounts"].sort(key=lambda mount: str(mount["Destination"]))  # the engine has them in no order
        files = sorted((str(path), path.lstat().st_mtime_ns) for path in volume(engine).rglob("*"))
        return found, files, names(engine)

    before = state()
    with leaves_nothing():
        yield
    assert state() == before


def same_sets(one: Recording, other: Recording) -> None:
    """All that a profile is made of is the same."""
    parts = ("container", "calls", "capabilities", "capset", "file_capabilities", "setuid", "identities")
    for part in (*parts, "network", "files", "granted", "exercised"):
        assert getattr(one, part) == getattr(other, part), part


@pytest.fixture(scope="module")
def recorded(
    dockerd: Dockerd, shop: str, planted: Planted, tmp_path_factory: pytest.TempPathFactory
) -> Recording:
    """The container, recorded by `workload record`, with a command that exercises it."""
    folder = tmp_path_factory.mktemp("recorded")
    command = f'curl -fsS "http://$HARDENER_ADDR_80/page?{planted("exercise")}" >{folder}/page'
    with untouched(dockerd, shop):
        done = workload(
            dockerd, "record", "shop", "--run", command, "--out", str(folder / "out"), written=folder
        )
    assert done.returncode == 0, done.stderr
    assert (folder / "page").read_text() == "used\n"  # a copy of the volume, in which nothing is new
    (path,) = (folder / "out").iterdir()
    assert re.fullmatch(r"recording-shop@\d{8}T\d{6}Z-[0-9a-f]{8}\.json", path.name)
    assert planted.leaks(pieces(folder)) == {}
    return load(path)


def test_system_calls_are_recorded_with_their_phase_and_program(recorded: Recording) -> None:
    assert recorded.recorder.complete, recorded.recorder.missing
    assert recorded.exercised == PHASES
    calls = recorded.calls["x86_64"]
    assert set(recorded.calls) == {"x86_64"}
    assert [name for name, call in calls.items() if call.phases == ("serve-empty", "serve")]
    assert calls["bind"].programs == ("httpd",)
    assert "true" in calls["exit_group"].programs  # the health check
    assert "pivot_root" not in calls


def test_used_and_held_capabilities_are_recorded(recorded: Recording) -> None:
    uses = {(use.name, use.program) for use in recorded.capabilities}
    # At the later starts the file has another owner when its times are set.
    assert uses == {("CAP_CHOWN", "busybox"), ("CAP_FOWNER", "busybox")}
    held = {(each.program, each.uid, each.seccomp_mode, len(each.effective)) for each in recorded.identities}
    assert held == {("httpd", 0, 2, 14)}


def test_calls_of_the_engine_and_the_runtime_are_recorded(recorded: Recording) -> None:
    base = recorded.runtime_base
    assert base is not None
    assert {"execve", "close", "futex"} <= set(base.no_new_privileges)
    assert {"setgroups", "capset"} <= set(base.calls) - set(base.no_new_privileges)
    assert len(recorded.granted.capabilities) == 14
    assert recorded.granted.seccomp is not None
    assert recorded.granted.seccomp.defaultAction == "SCMP_ACT_ERRNO"


def test_files_and_ports_are_recorded(recorded: Recording) -> None:
    assert {"/mine", "/data/page", f"/data/{FILE}"} <= set(recorded.files.created)
    assert recorded.files.owners["/mine"].uid == 33
    assert "/bin/busybox" in recorded.files.executed
    assert [(each.protocol, each.port) for each in recorded.network.listens] == [("tcp6", 80)]
    assert recorded.container.environment == ("PATH", "TOKEN")


def test_two_recordings_of_one_exercise_are_equal(dockerd: Dockerd, shop: str, recorded: Recording) -> None:
    with untouched(dockerd, shop):
        begun = begin(dockerd, "shop", starts=1, repeats=True)
        assert begun["empty"] is True
        assert fetch(begun["addresses"]["80"]) == "first-start\n"
        main.fill({"run": begun["run"], "exercise": {"seconds": 1.0, "problem": ""}})
        assert fetch(begun["addresses"]["80"]) == "used\n"
        found = end(begun)
    same_sets(found, recorded)
    assert confining(found) == confining(recorded)


def confining(recording: Recording) -> dict[str, str]:
    """The files of a recording's profile that confine a container."""
    files = artefacts(make([("recording.json", recording)]).document)
    del files[NAME]  # names the recording by its digest
    return files


@pytest.fixture
def made(dockerd: Dockerd) -> Iterator[Callable[..., str]]:
    """Makes containers that are removed afterwards."""
    identities = []

    def make(name: str, **options: Any) -> str:
        options.setdefault("host_config", {"NetworkMode": "none"})
        identities.append(dockerd.create(name, **options))
        return name

    yield make
    for identity in identities:
        dockerd.api("DELETE", f"/containers/{identity}?force=1&v=1")


def test_no_bpf_program_stays_attached_after_the_recorder_is_killed(
    dockerd: Dockerd, made: Callable[..., str]
) -> None:
    name = made("idle")
    before, attached = names(dockerd), programs()
    begun = begin(dockerd, name)
    attached = programs() - attached  # other runs of the tests may have some, too
    assert len(attached) >= 3
    os.kill(worker(begun["run"]), signal.SIGKILL)
    assert until(lambda: not programs() & attached)  # by the kernel: nothing else is there to do it
    assert names(dockerd) - before  # the twin goes on
    assert workspace.sweep(Engine(str(dockerd.socket))) == []  # as the next run begins
    assert names(dockerd) == before
    with pytest.raises(Exception, match="the recorder does not answer"):
        end(begun)


def test_executed_programs_are_recorded_by_the_targets_of_links(
    dockerd: Dockerd, made: Callable[..., str]
) -> None:
    script = "ln -s /bin/busybox /sleep; exec /sleep 1000"
    name = made("linked", command=["./sh", "-c", script], WorkingDir="/bin")
    with leaves_nothing():
        found = end(begin(dockerd, name, starts=1))
    # Debian's busybox executes its own commands by /proc/self/exe.
    assert set(found.files.executed) - {"/proc/self/exe"} == {"/bin/busybox"}


def test_an_abandoned_recording_leaves_nothing_behind(
    dockerd: Dockerd, shop: str, made: Callable[..., str]
) -> None:
    name = made("idle")
    with untouched(dockerd, shop):
        assert main.abandon({"run": begin(dockerd, name)["run"]}) is None
    with untouched(dockerd, shop):
        begun = begin(dockerd, name)
        os.kill(worker(begun["run"]), signal.SIGTERM)
        assert until(lambda: begun["run"] not in runs())


def test_what_cannot_be_removed_is_reported_until_the_next_recording(
    dockerd: Dockerd, shop: str, made: Callable[..., str]
) -> None:
    name, visitor = made("idle", host_config={}), made("visitor", host_config={})
    dockerd.api("POST", f"/containers/{visitor}/start")
    with untouched(dockerd, shop):
        begun = begin(dockerd, name)
        network = f"{workspace.prefix(begun['run'])}-0"
        dockerd.api("POST", f"/networks/{network}/connect", {"Container": visitor})
        with pytest.raises(Exception, match=f"remains of the run: .*{network}"):
            main.abandon({"run": begun["run"]})
        dockerd.api("POST", f"/networks/{network}/disconnect", {"Container": visitor})
        begun = begin(dockerd, name)
        network = f"{workspace.prefix(begun['run'])}-0"
        dockerd.api("POST", f"/networks/{network}/connect", {"Container": visitor})
        ended = main.end({"run": begun["run"], "exercise": {"seconds": 1.0, "problem": ""}})
        assert len(ended["recordings"]) == 1
        (problem,) = ended["problems"]
        assert problem.startswith("remains of the run: ")
        assert network in problem
        dockerd.api("POST", f"/networks/{network}/disconnect", {"Container": visitor})
        main.abandon({"run": begin(dockerd, name)["run"]})
        killed = begin(dockerd, name)["run"]
        os.kill(worker(killed), signal.SIGKILL)
        assert until(lambda: not workspace.lives(killed))
        assert workspace.remains(killed) == "the recorder was killed"
        shutil.rmtree(workspace.folder(killed))  # as a reboot does
        main.abandon({"run": begin(dockerd, name)["run"]})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("moment", ["begins", "serves"])
def test_an_interrupted_recording_leaves_nothing_behind(
    dockerd: Dockerd, shop: str, tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    said = tmp_path / "said"
    with untouched(dockerd, shop):
        before = names(dockerd)
        with said.open("w") as file:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "hardener",
                    "workload",
                    "record",
                    "shop",
                    "--out",
                    str(tmp_path / "out"),
                ],
                env={**BESIDE, "DOCKER_HOST": dockerd.host},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        if moment == "begins":
            assert until(lambda: names(dockerd) != before)
        else:
            assert until(lambda: "HARDENER_ADDR_80" in said.read_text())
        process.send_signal(number)
        process.wait(60)
        assert until(lambda: names(dockerd) == before)
    assert not (tmp_path / "out").exists()
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "there is no result; all twins are removed" in said.read_text()


# What a runtime does before it executes a program of the container.
ENTERS = """
import ctypes, os, sys, time
assert ctypes.CDLL(None).setns(os.open(f"/proc/{sys.argv[1]}/ns/mnt", os.O_RDONLY), 0) == 0
print("entered", flush=True)
time.sleep(1000)
"""


def test_a_runtime_of_any_name_is_no_program_of_the_container(
    dockerd: Dockerd, made: Callable[..., str], tmp_path: Path
) -> None:
    tool = shutil.copy("/usr/bin/busybox", tmp_path / "busybox")
    mounted = {"NetworkMode": "none", "Binds": [f"{tool}:{tool}:ro"]}
    for name, program in (("own", "busybox"), ("mounted", str(tool))):
        made(name, command=[program, "sleep", "1000"], host_config=mounted)
        dockerd.api("POST", f"/containers/{name}/start")
        pid = int(dockerd.api("GET", f"/containers/{name}/json")["State"]["Pid"])
        assert not observe.runs_file_of_host(pid)
    command = [sys.executable, "-c", ENTERS, str(pid)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as runtime:
        assert runtime.stdout is not None
        assert runtime.stdout.readline() == "entered\n"
        assert observe.runs_file_of_host(runtime.pid)
        runtime.kill()


@pytest.mark.parametrize(("place", "shell"), [("/usr/bin/sh", True), ("/busybox", False)])
def test_whether_an_image_has_a_shell_is_recorded(
    dockerd: Dockerd, made: Callable[..., str], place: str, shell: bool
) -> None:
    image = dockerd.build(
        f"{'with' if shell else 'without'}-shell:test",
        f"FROM scratch\nCOPY busybox {place}\n",
        {"busybox": BUSYBOX.read_bytes()},
    )
    words = [place, "-c", "sleep 1000"] if shell else [place, "sleep", "1000"]
    found = end(begin(dockerd, made("image", image=image, command=words)))
    assert found.files.shell is shell


def test_a_container_that_ends_at_once_is_recorded(dockerd: Dockerd, made: Callable[..., str]) -> None:
    found = end(begin(dockerd, made("short", command=["true"])))
    assert "exit_group" in found.calls["x86_64"]
    assert found.phases[0].reason == "it ended by itself with code 0"
    assert found.exercised == ("start-empty", "start-used")
    assert any("ends by itself" in sentence for sentence in found.recorder.missing)


def test_a_container_without_a_filter_is_recorded_from_its_first_program_on(
    dockerd: Dockerd, made: Callable[..., str]
) -> None:
    options = {"NetworkMode": "none", "SecurityOpt": ["seccomp=unconfined"]}
    name = made("free", command=["sleep", "1000"], host_config=options)
    found = end(begin(dockerd, name, run_in=["cat", "/etc/passwd"]))
    assert "cat" in found.calls["x86_64"]["exit_group"].programs
    assert "pivot_root" not in found.calls["x86_64"]  # the runtime's
    assert {each.seccomp_mode for each in found.identities} == {0}
    assert "serve" in found.exercised


def test_the_profile_and_the_limit_that_a_container_has_already_are_recorded(
    dockerd: Dockerd, made: Callable[..., str]
) -> None:
    refused = {"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}
    own = json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]})
    options = {"NetworkMode": "none", "SecurityOpt": [f"seccomp={own}"], "PidsLimit": 20}
    found = end(begin(dockerd, made("narrow", host_config=options), starts=1))
    assert found.granted.seccomp is not None
    assert found.granted.chosen is not None
    assert found.granted.chosen.defaultAction == "SCMP_ACT_ALLOW"
    (rule,) = found.granted.chosen.syscalls
    assert (set(rule.names), rule.action, rule.errnoRet) == ({"chmod", "fchmodat"}, "SCMP_ACT_ERRNO", 13)
    assert found.pids_limit == 20


def test_a_program_with_the_name_of_the_runtime_is_recorded(
    dockerd: Dockerd, made: Callable[..., str]
) -> None:
    script = "echo -n runc >/proc/self/comm; umask 077; sleep 1000; :"
    found = end(begin(dockerd, made("named", command=["sh", "-c", script])))
    assert found.calls["x86_64"]["umask"].programs == ("runc",)
    assert "umask" not in found.runtime_calls
    assert {each.program for each in found.identities} == {"runc", "sleep"}


def test_the_twin_has_no_device_no_socket_and_no_pipe_of_the_host(
    dockerd: Dockerd, made: Callable[..., str], tmp_path: Path
) -> None:
    pipe = tmp_path / "a/b/pipe"
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    with socket.socket(socket.AF_UNIX) as server, os.fdopen(reader, "rb", buffering=0) as messages:
        server.bind(str(tmp_path / "s"))
        device = {"PathOnHost": "/dev/null", "PathInContainer": "/dev/data", "CgroupPermissions": "rwm"}
        options = {
            "NetworkMode": "none",
            "Binds": [f"{tmp_path}:/host:ro"],
            "Devices": [{**device, "PathOnHost": "/dev/loop-control"}],
        }
        name = made("reaching", command=["sh", "-c", "sleep 1000"], host_config=options)
        script = "[ ! -e /host/s ] && [ ! -e /dev/data ] && { echo x <>/host/a/b/pipe >&0; }"
        found = end(begin(dockerd, name, run_in=["sh", "-c", script]))
        assert messages.read() is None
    assert "serve" in found.exercised, found.phases
    assert any("/dev/data" in each for each in found.recorder.missing)


def test_labels_of_the_image_are_empty_in_the_twin(dockerd: Dockerd, made: Callable[..., str]) -> None:
    labels = 'LABEL traefik.enable="true" com.docker.compose.project="p"'
    image = dockerd.build("labelled:test", f"FROM busybox:test\n{labels}\n")
    begun = begin(dockerd, made("labelled", image=image))
    (twin,) = twins(dockerd, begun["run"])
    assert twin["Config"]["Labels"] == {
        "hardener.twin": begun["run"],
        "traefik.enable": "",
        "com.docker.compose.project": "",
    }
    assert main.abandon({"run": begun["run"]}) is None


def test_a_twin_of_a_container_in_the_hosts_network_has_a_network_of_its_own(
    dockerd: Dockerd, made: Callable[..., str]
) -> None:
    script = "echo here >/page; exec httpd -f -p 80 -h /"
    options = {"host_config": {"NetworkMode": "host"}, "ExposedPorts": {"80/tcp": {}}}
    begun = begin(dockerd, made("on-the-host", command=["sh", "-c", script], **options))
    (twin,) = twins(dockerd, begun["run"])
    networks = [Path(f"/proc/{each}/ns/net").readlink() for each in (twin["State"]["Pid"], "thread-self")]
    assert networks[0] != networks[1]
    assert fetch(begun["addresses"]["80"]) == "here\n"
    found = end(begun)
    assert (found.container.network_mode, found.twin.network) == ("host", "own")
    difference = "The original uses the network of the host, its twin has a network of its own."
    assert difference in found.recorder.missing
    # The engine lets every user of its own networks have low ports, and the host does not.
    assert ("CAP_NET_BIND_SERVICE", "bind") in {(use.name, use.call) for use in found.capabilities}


def test_the_twin_of_a_privileged_container_has_the_rights_of_its_original_at_each_start(
    dockerd: Dockerd, made: Callable[..., str]
) -> None:
    name = made("privileged", host_config={"NetworkMode": "none", "Privileged": True})
    for _ in range(2):  # some engines confine it otherwise at its second start
        dockerd.api("POST", f"/containers/{name}/restart")
    original = observe.Sampler(processes.label_file())
    pid = dockerd.api("GET", f"/containers/{name}/json")["State"]["Pid"]
    original.follow(pid, observe.Cgroup(pid, unified_cgroups() or ""))
    original.look()
    found = end(begin(dockerd, name))
    (expected,) = original.identities()
    (twin,) = found.identities
    assert {"start-empty", "start-used", "crash-restart"} <= set(twin.phases)
    assert twin.seccomp_mode == expected["seccomp_mode"]
    assert twin.seccomp_filters == expected["seccomp_filters"]
    assert twin.no_new_privileges == expected["no_new_privileges"]
    assert twin.lsm == expected["lsm"]  # says nothing on a kernel without AppArmor
    for name in ("effective", "permitted", "inheritable", "bounding", "ambient"):
        assert set(getattr(twin, name)) == set(kernel.capabilities(expected[name])), name
    assert len(twin.effective) > 14


HEALTH = ["busybox", "true"]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ([], "no connection reached the twin"),
        (HEALTH, "no connection reached the twin"),
        (
            ["sh", "-c", "true"],
            "`sh -c true` was executed in idle itself, and not in its twin: give it by --run-in",
        ),
    ],
)
def test_an_exercise_that_does_not_reach_the_twin_does_not_count(
    dockerd: Dockerd, made: Callable[..., str], command: list[str], reason: str
) -> None:
    name = made("idle", Healthcheck={"Test": ["CMD", *HEALTH], "Interval": int(3.6e12)})
    dockerd.api("POST", f"/containers/{name}/start")
    begun = begin(dockerd, name)
    if command:
        identity = dockerd.api("POST", f"/containers/{name}/exec", {"Cmd": command})["Id"]
        dockerd.api("POST", f"/exec/{identity}/start", {"Detach": True})
    (serve,) = (phase for phase in end(begun).phases if phase.name == "serve")
    assert (serve.exercised, serve.reason) == (False, reason)


@pytest.mark.parametrize("by", ["address", "published port"])
@pytest.mark.parametrize("own", [True, False])
def test_an_exercise_that_connects_to_the_original_does_not_count(
    dockerd: Dockerd, made: Callable[..., str], by: str, *, own: bool
) -> None:
    ports = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}}
    name = made("asked", command=["httpd", "-f", "-p", "80"], host_config=ports, ExposedPorts={"80/tcp": {}})
    dockerd.api("POST", f"/containers/{name}/start")
    settings = dockerd.api("GET", f"/containers/{name}/json")["NetworkSettings"]
    (network,) = settings["Networks"].values()
    address, port = network["IPAddress"], 80
    if by != "address":
        address, port = "127.0.0.1", int(settings["Ports"]["80/tcp"][0]["HostPort"])
    asking = ["sh", "-c", f"read _; (busybox nc -w 2 {address} {port} </dev/null)"]
    if not own:  # a client of the original
        client = subprocess.Popen(asking, stdin=subprocess.PIPE)
    begun = begin(dockerd, name, owner=this_process())
    host, _, number = begun["addresses"]["80"].partition(":")
    socket.create_connection((host, int(number))).close()
    if own:
        client = subprocess.Popen(asking, stdin=subprocess.PIPE)
    client.communicate(b"\n", timeout=20)
    assert client.returncode == 0
    (serve,) = (phase for phase in end(begun).phases if phase.name == "serve")
    said = f"the exercise connected to asked itself ({address}, port {port}), and not to its twin"
    assert serve.exercised is not own
    assert (said in serve.reason) is own


def test_clients_that_hang_up_and_handled_signals_are_recorded_and_are_no_exercise(
    dockerd: Dockerd, made: Callable[..., str]
) -> None:
    script = "trap ': >/rotated' USR1; trap ': >/read' HUP; httpd -p 80; while :; do sleep 0.1; done"
    ports = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}}
    name = made("ordinary", command=["sh", "-c", script], host_config=ports)
    found = end(begin(dockerd, name, run_in=["true"]))
    (reload,) = (phase for phase in found.phases if phase.name == "reload")
    assert (reload.exercised, reload.reason) == (True, "by SIGUSR1 and SIGHUP")
    assert {"/rotated", "/read"} <= {*found.files.created}
    calls = found.calls["x86_64"].values()
    assert [use for use in calls if use.programs == ("httpd",) and use.phases == ("reload",)]
    assert [port.reached for port in found.network.ports] == [False]


def test_a_missing_container_is_reported(dockerd: Dockerd) -> None:
    with pytest.raises(AssertionError, match="there is no container nothing"):
        begin(dockerd, "nothing")
