"""Twins on a host that is reached by ssh are exercised by ports of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record.worker import AFTER

from hardener.errors import ExitCode
from hardener.workload.exercise import Exercise
from hardener.workload.proof import ProofDocument
from hardener.workload.recording import load
from hardener.workload.tunnel import _STALL, Tunnel, TunnelError
from tests.integration.dockerd import Dockerd
from tests.integration.sshd import Sshd
from tests.integration.twinning import BESIDE, leaves_nothing, names
from tests.integration.waiting import until

pytestmark = pytest.mark.xdist_group("recorder")  # the kernel has one list of programs

PAGE = 'curl -fsS --max-time 10 "http://$HARDENER_ADDR_80/page" >&2'
# Ends the ssh process that forwards the ports: a child of hardener, as this shell is.
END_OF_SSH = """
for each in $(cat /proc/$PPID/task/*/children); do
    case "$(tr '\\0' ' ' </proc/$each/cmdline)" in *ExitOnForwardFailure=yes*) kill $each ;; esac
done
sleep 1
"""
DONE = Exercise(1.0)
FAILED = Exercise(1.0, "the command ended with code 7")


@pytest.fixture(scope="module")
def server(dockerd: Dockerd) -> Iterator[str]:
    """A container that serves a page."""
    dockerd.run(
        "tunnelled",
        command=["sh", "-c", "echo here >/www/page; exec httpd -f -p 80 -h /www"],
        host_config={"PortBindings": {"80/tcp": [{}], "53/udp": [{}]}, "Tmpfs": {"/www": "rw"}},
    )
    yield "tunnelled"
    dockerd.api("DELETE", "/containers/tunnelled?force=1")


@pytest.fixture
def command(sshd: Sshd, dockerd: Dockerd, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `hardener workload` for a host that is reached by ssh."""
    host = sshd.variables(ansible_python_interpreter=sys.executable, collect_socket=str(dockerd.socket))

    def run(
        verb: str,
        *words: str,
        meanwhile: Callable[[subprocess.Popen[str]], object] = lambda _process: None,
        **more: str,
    ) -> subprocess.CompletedProcess[str]:
        inventory = tmp_path / "hosts.json"
        inventory.write_text(json.dumps({"all": {"hosts": {"web1": {**host, **more}}}}))
        reached = () if verb == "profile" else ("-i", str(inventory))
        with subprocess.Popen(
            [sys.executable, "-m", "hardener", "workload", verb, *reached, *words],
            cwd=tmp_path,
            env={**BESIDE, "HARDENER_HOME": str(tmp_path / "home")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            meanwhile(process)
            stdout, stderr = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    return run


def tunnels(port: int) -> list[int]:
    """The ssh processes that forward ports over a server."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = each.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "-L" in words and any(str(port) in word for word in words) and words[0].endswith("ssh"):
            found.append(int(each.parent.name))
    return found


@pytest.mark.slow
def test_a_container_on_another_host_is_recorded_and_proven_by_a_command_here(
    command: Callable[..., subprocess.CompletedProcess[str]],
    dockerd: Dockerd,
    server: str,
    sshd: Sshd,
    tmp_path: Path,
) -> None:
    before = names(dockerd)
    done = command("record", server, "--run", PAGE)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "53/udp is not forwarded: ssh forwards TCP only" in done.stderr
    assert "here\n" in done.stderr
    (path,) = tmp_path.glob("recording-*.json")
    assert {phase.name for phase in load(path).phases if phase.exercised} >= {"serve"}
    assert command("profile", str(path), "--out", "profile").returncode == 0
    done = command("prove", "profile", "--run", PAGE, "--starts", "3")
    assert done.returncode == 0, done.stderr + done.stdout
    proof = ProofDocument.model_validate_json((tmp_path / "profile" / "proof.json").read_text())
    assert proof.verdict == "safe"
    assert "53/udp is not forwarded: ssh forwards TCP only" in proof.missing
    assert names(dockerd) == before
    assert tunnels(sshd.port) == []


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"ansible_connection": "community.docker.docker"}, "community.docker.docker"),
        ({"ansible_password": "planted-secret"}, "the connection uses a password"),
    ],
)
def test_a_connection_that_cannot_forward_ports_is_refused_before_a_twin_exists(
    command: Callable[..., subprocess.CompletedProcess[str]],
    server: str,
    variables: dict[str, str],
    reason: str,
) -> None:
    done = command("record", server, "--run", PAGE, **variables)
    assert done.returncode not in (0, 1), done.stderr
    assert reason in done.stderr
    assert "planted-secret" not in done.stderr + done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["record", "prove"])
def test_a_connection_that_ends_during_the_exercise_decides_nothing(
    command: Callable[..., subprocess.CompletedProcess[str]],
    dockerd: Dockerd,
    server: str,
    tmp_path: Path,
    verb: str,
) -> None:
    before = names(dockerd)
    if verb == "prove":
        assert command("record", server, "--run", PAGE).returncode == 0
        (path,) = tmp_path.glob("recording-*.json")
        assert command("profile", str(path), "--out", "profile").returncode == 0
    what = server if verb == "record" else "profile"
    done = command(verb, what, "--run", END_OF_SSH)
    assert done.returncode == ExitCode.INCOMPLETE, done.stderr + done.stdout
    if verb == "record":
        (path,) = tmp_path.glob("recording-*.json")
        (serve,) = [phase for phase in load(path).phases if phase.name == "serve"]
        assert not serve.exercised
        assert "the ssh connection to the twins ended" in serve.reason
    else:
        assert "web1: the ssh connection to the twins ended" in done.stderr
        assert not (tmp_path / "profile" / "proof.json").exists()
    assert names(dockerd) == before


def test_a_signal_during_the_exercise_leaves_no_ssh_and_no_twin(
    command: Callable[..., subprocess.CompletedProcess[str]],
    dockerd: Dockerd,
    server: str,
    sshd: Sshd,
    tmp_path: Path,
) -> None:
    before = names(dockerd)
    begun = tmp_path / "begun"

    def terminate(process: subprocess.Popen[str]) -> None:
        assert until(lambda: begun.exists() or process.poll() is not None, seconds=300)
        if process.poll() is None:
            assert len(tunnels(sshd.port)) == 1
            process.terminate()

    done = command("record", server, "--run", f"touch {begun}; sleep 1000", meanwhile=terminate)
    assert done.returncode == ExitCode.INTERRUPTED, done.stderr
    assert "there is no result; all twins are removed" in done.stderr
    assert names(dockerd) == before
    assert tunnels(sshd.port) == []


# A Python that runs the program of a host with less time for the next stage to arrive.
IMPATIENT = """#!{python}
import subprocess, sys, zlib
from binascii import a2b_base64, b2a_base64
begin, limit, end = zlib.decompress(a2b_base64(sys.stdin.buffer.read())).partition(b"AFTER = {after}")
assert limit, "the program has another limit"
sent = b2a_base64(zlib.compress(begin + b"AFTER = 1" + end))
sys.exit(subprocess.run(["{python}", *sys.argv[1:]], input=sent).returncode)
"""


@pytest.mark.slow
def test_a_killed_hardener_leaves_nothing_on_another_host_after_the_time_limit(
    command: Callable[..., subprocess.CompletedProcess[str]],
    dockerd: Dockerd,
    server: str,
    sshd: Sshd,
    tmp_path: Path,
) -> None:
    before, begun, python = names(dockerd), tmp_path / "begun", tmp_path / "python"
    python.write_text(IMPATIENT.format(python=sys.executable, after=AFTER))
    python.chmod(0o755)

    def kill(process: subprocess.Popen[str]) -> None:
        assert until(lambda: begun.exists() or process.poll() is not None, seconds=300)
        assert names(dockerd) - before
        process.kill()

    run = f"echo $$ >{begun}; exec sleep 1000 >/dev/null 2>&1"
    with leaves_nothing():
        done = command(
            *("record", server, "--run", run, "--for", "10s"),
            meanwhile=kill,
            ansible_python_interpreter=str(python),
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        os.kill(int(begun.read_text()), signal.SIGKILL)  # the exercise is the user's, and goes on
        assert until(lambda: tunnels(sshd.port) == [])
        assert until(lambda: names(dockerd) == before)
    assert not list(tmp_path.glob("recording-*.json"))


@contextmanager
def web_server() -> Iterator[str]:
    """The address of a web server."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{process.stdout.readline().split(' port ')[1].split()[0]}"
        finally:
            process.kill()


def ssh(server: Sshd, *options: str) -> list[str]:
    """The command that connects to a server."""
    variables = server.variables()
    common = str(variables["ansible_ssh_common_args"]).split()
    key = str(variables["ansible_ssh_private_key_file"])
    return ["ssh", *options, *common, "-i", key, "-p", str(server.port), "-l", "root", "127.0.0.1"]


def answers(address: str) -> bool:
    return (
        subprocess.run(["curl", "-fsS", f"http://{address}/"], capture_output=True, check=False).returncode
        == 0
    )


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No exercise is repeated because the machine is busy."""
    monkeypatch.setattr("hardener.workload.tunnel._STALL", 60)


@pytest.mark.usefixtures("patient")
def test_each_name_of_an_address_leads_to_it_until_the_tunnel_is_closed(sshd: Sshd) -> None:
    with web_server() as one, web_server() as other:
        with Tunnel(ssh(sshd), {"80": one, "web_80": one, "81": other, "53_udp": "127.0.0.1:53"}) as tunnel:
            assert tunnel.addresses.keys() == {"80", "web_80", "81"}
            assert tunnel.addresses["80"] == tunnel.addresses["web_80"] != tunnel.addresses["81"]
            assert all(answers(address) for address in tunnel.addresses.values())
            assert tunnel.missing == ("53/udp is not forwarded: ssh forwards TCP only",)
            assert tunnel.exercised(lambda _: DONE) == DONE
            assert tunnel.exercised(lambda _: FAILED) == FAILED
        assert not any(answers(address) for address in tunnel.addresses.values())
    assert tunnels(sshd.port) == []


def test_a_tunnel_without_ssh_leaves_the_addresses_as_they_are() -> None:
    with Tunnel([], {"80": "127.0.0.1:1", "53_udp": "127.0.0.1:2"}) as tunnel:
        assert tunnel.addresses == {"80": "127.0.0.1:1", "53_udp": "127.0.0.1:2"}
        assert tunnel.missing == ()
        assert tunnel.reliable
        assert tunnel.exercised(lambda _: FAILED) == FAILED


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            ["-o", "UserKnownHostsFile=none", "-o", "StrictHostKeyChecking=yes"],
            "Host key verification failed",
        ),
        # A proxy that ends before it reads gives one of two errors.
        (["-o", "ProxyCommand=sed -n q"], "Connection closed by UNKNOWN port"),
    ],
)
def test_an_error_of_ssh_is_told(sshd: Sshd, options: list[str], reason: str) -> None:
    with (
        pytest.raises(TunnelError, match=f"ssh does not forward the ports of the twins: {reason}") as raised,
        Tunnel(ssh(sshd, *options), {"80": "127.0.0.1:1"}),
    ):
        raise AssertionError
    assert raised.value.exit_code == ExitCode.INCOMPLETE


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("late", [False, True], ids=["in time", "late"])
def test_the_refusal_of_a_server_to_forward_explains_a_failed_exercise(
    sshd: Sshd, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if late:  # the thread that reads ssh's messages
        monkeypatch.setattr(Tunnel, "_read_messages", lambda _self, process: process.wait())
    keys = sshd.root / "authorized_keys"
    usual = keys.read_text()
    keys.write_text(f"restrict {usual}")
    try:
        with Tunnel(ssh(sshd), {"80": "127.0.0.1:1"}) as tunnel:
            problem = tunnel.exercised(lambda found: DONE if answers(found["80"]) else FAILED).problem
            assert problem.startswith("the command ended with code 7 (ssh: ")
            assert "administratively prohibited" in problem
            assert tunnel.exercised(lambda _: FAILED) == FAILED  # this has nothing to do with ssh
            assert tunnel.reliable
    finally:
        keys.write_text(usual)


def children(server: Sshd) -> list[int]:
    """The processes of a server's connections."""
    assert server._process is not None
    found = [server._process.pid]
    for each in found:
        for path in Path(f"/proc/{each}/task").glob("*/children"):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                found += map(int, path.read_text().split())
    return found[1:]


def let_stall(tunnel: Tunnel) -> None:
    """Wait until one request has been without an answer for longer than counts as a stall."""
    began = asked = time.monotonic()
    while time.monotonic() < asked + _STALL + 0.5:
        assert time.monotonic() < began + 120
        time.sleep(0.02)
        if not tunnel._asking.locked():  # nobody waits for an answer
            asked = time.monotonic()


@pytest.mark.parametrize(("stalls", "reliable"), [(1, True), pytest.param(3, False, marks=pytest.mark.slow)])
def test_an_exercise_that_fails_while_the_connection_stalls_is_repeated(
    sshd: Sshd, stalls: int, reliable: bool
) -> None:
    tries: list[float] = []

    def exercise(_addresses: Mapping[str, str]) -> Exercise:
        tries.append(time.monotonic())
        if len(tries) > stalls:
            return DONE
        stopped = children(sshd)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        let_stall(tunnel)
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        return FAILED

    with Tunnel(ssh(sshd), {"80": "127.0.0.1:1"}) as tunnel:
        found = tunnel.exercised(exercise)
        assert tunnel.reliable is reliable
    assert len(tries) == min(stalls + 1, 3)
    assert ("the host did not answer for" in found.problem) is not reliable


HOLD = """
import json, sys, time
from hardener.workload.tunnel import Tunnel
with Tunnel(json.loads(sys.argv[1]), {"80": "127.0.0.1:1"}):
    print("open", flush=True)
    time.sleep(1000)
"""


def test_ssh_ends_when_the_process_that_holds_the_tunnel_is_killed(sshd: Sshd) -> None:
    words = [sys.executable, "-c", HOLD, json.dumps(ssh(sshd))]
    with subprocess.Popen(words, env=BESIDE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        assert len(tunnels(sshd.port)) == 1
        os.kill(process.pid, signal.SIGKILL)
    assert until(lambda: tunnels(sshd.port) == [])
