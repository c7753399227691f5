"""Configurations of an engine, and programs around it, that no generator of the oracles makes.

Each case starts a real engine, shows what is true, and what the collector and the judges say of it. They were
written by somebody who had not written the judges.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hardener.checks.lib.settings import Settings, api_hosts
from hardener.model import Status
from hardener.snapshot import FactUnavailable, Snapshot
from tests.integration.collecting import collect, judge, named
from tests.integration.dockerd import Dockerd, EngineError
from tests.integration.relay import RELAY
from tests.integration.waiting import until
from tests.leftovers import tied

pytestmark = pytest.mark.slow

LEVEL, LIMITS, TLS = "daemon-log-level-info", "daemon-default-ulimits", "daemon-tls-verify"
PORT = 23750


class Wrapped(Dockerd):
    """An engine whose command line is changed at the last moment."""

    def __init__(self, change: Callable[[list[str]], list[str]], **options: Any) -> None:
        self._change = change
        super().__init__(**options)

    @property
    def command(self) -> list[str]:
        """The command that starts it."""
        return self._change(super().command)


def instead_of_the_file(words: list[str], path: str) -> list[str]:
    """A command line that names another path for daemon.json."""
    place = words.index("--config-file") + 1
    return [*words[:place], path, *words[place + 1 :]]


def by_a_descriptor(words: list[str]) -> list[str]:
    file = words[words.index("--config-file") + 1]
    return ["sh", "-c", 'exec 3<"$0"; exec "$@"', file, *instead_of_the_file(words, "/proc/self/fd/3")]


def by_a_relative_path(words: list[str]) -> list[str]:
    folder = Path(words[words.index("--config-file") + 1]).parent
    return ["sh", "-c", 'cd "$0"; exec "$@"', str(folder), *instead_of_the_file(words, "daemon.json")]


def by_a_pipe(words: list[str]) -> list[str]:
    file = words[words.index("--config-file") + 1]
    inner = 'file=$0; exec 3< <(cat "$file"); exec "$@"'
    return ["bash", "-c", inner, file, *instead_of_the_file(words, "/dev/fd/3")]


def renamed(words: list[str]) -> list[str]:
    """The program has the name that NixOS gives it."""
    root = Path(words[words.index("--config-file") + 1]).parent
    program = root / ".dockerd-wrapped"
    if not program.exists():
        shutil.copy(Path(words[0]).resolve(), program)
    return [str(program), *words[1:]]


def with_spaces(words: list[str]) -> list[str]:
    return [word.replace("--host=", "--host= ") for word in words]


def unchanged(words: list[str]) -> list[str]:
    return words


def status(slug: str, expected: Status) -> Callable[[Dockerd, Snapshot], bool]:
    """A verdict."""

    def said(_: Dockerd, snapshot: Snapshot) -> bool:
        try:
            return judge(slug, snapshot).status is expected
        except FactUnavailable:
            return expected is Status.ERROR

    return said


def declares(key: str, value: Any) -> Callable[[Dockerd, Snapshot], bool]:
    return lambda _, snapshot: Settings(snapshot).get(key).value == value


@dataclass(frozen=True)
class Case:
    """One start of an engine.

    Args:
        name: of the case.
        config: content of daemon.json.
        said: what the collector and the judges must say.
        reality: what is true.
        change: of the command line.
        flags: more of it.
        before: makes something before the engine starts.
        around: makes something around the engine, once it runs.
    """

    name: str
    config: Mapping[str, Any] | str
    said: Callable[[Dockerd, Snapshot], bool]
    reality: Callable[[Dockerd], bool]
    change: Callable[[list[str]], list[str]] = unchanged
    flags: tuple[str, ...] = ()
    before: Callable[[Dockerd], object] = lambda _: None
    around: Callable[[Dockerd, ExitStack], object] = lambda *_: None


def is_not(reality: Callable[[Dockerd], bool]) -> Callable[[Dockerd], bool]:
    return lambda engine: not reality(engine)


def logs_no_info(engine: Dockerd) -> bool:
    """It does not say what every engine says at level info."""
    return "Daemon has completed initialization" not in engine.log.read_text()


def limits(engine: Dockerd) -> dict[str, str]:
    """The hard limits of a container's process, or which of them this machine does not let it have."""
    identity = engine.create()
    try:
        engine.api("POST", f"/containers/{identity}/start")
    except EngineError as error:
        refused = re.findall(r"error setting rlimit type (\d+): operation not permitted", str(error))
        return {_LIMITS[int(number)]: "beyond" for number in refused}
    pid = engine.api("GET", f"/containers/{identity}/json")["State"]["Pid"]
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return {line[:26].rstrip(): line[26:].split()[1] for line in lines}


_LIMITS = {6: "Max processes", 7: "Max open files"}
_NO_LIMIT = ("beyond", "unlimited", str(1 << 40), str((1 << 64) - 5))


def has_no_limit(name: str) -> Callable[[Dockerd], bool]:
    return lambda engine: limits(engine).get(name) in _NO_LIMIT


def answers(port: int, address: str = "127.0.0.1") -> Callable[[Dockerd], bool]:
    """Whoever connects there may use an API, without a certificate."""

    def ask(_: Dockerd) -> bool:
        deadline = time.monotonic() + 30
        while True:
            try:
                with socket.create_connection((address, port), timeout=10) as client:
                    client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                    return b"200 OK" in client.recv(4096)
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.05)

    return ask


def no_proxy(engine: Dockerd) -> bool:
    """It forwards a published port without the help of a process."""
    ports = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18081"}]}
    engine.run("published", host_config={"PortBindings": ports}, ExposedPorts={"80/tcp": {}})
    shown = subprocess.run(["ps", "-eo", "ppid,comm"], check=True, capture_output=True, text=True).stdout
    return f"{engine.pid} docker-proxy" not in " ".join(shown.split())


def relay(*words: str, inside: bool = False) -> Callable[[Dockerd, ExitStack], object]:
    def start(engine: Dockerd, stack: ExitStack) -> None:
        folder = engine.root / "bin"
        folder.mkdir()
        program = folder / words[0]
        program.write_text(RELAY.replace("{python}", sys.executable))
        program.chmod(0o755)
        (engine.root / "alias.sock").symlink_to(engine.socket)
        command = tied(str(program), *words[1:])
        process = subprocess.Popen(command, cwd=engine.root if inside else "/")
        stack.callback(process.wait)
        stack.callback(process.kill)

    return start


def another_engine(engine: Dockerd, stack: ExitStack) -> None:
    flags = [f"--host=tcp://127.0.0.1:{PORT}", "--tls=false", "--bridge=none", "--iptables=false"]
    stack.enter_context(Dockerd(flags=flags))


def older_file_moved_there(engine: Dockerd, _: ExitStack) -> None:
    # More than the difference of two clocks later: see keys.changed_since.
    time.sleep(4)
    engine.config_file.with_name("new").rename(engine.config_file)


def prepared(engine: Dockerd) -> None:
    """An older file, for the case that moves it into the place of daemon.json."""
    new = engine.config_file.with_name("new")
    new.write_text('{"log-level": "info"}')
    os.utime(new, (1, 1))


def removed(engine: Dockerd, _: ExitStack) -> None:
    engine.config_file.unlink()


def forwards(engine: Dockerd) -> bool:
    """A rule of the kernel's filter leads a published port to its container."""
    ports = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18082"}]}
    engine.run("published", host_config={"PortBindings": ports}, ExposedPorts={"80/tcp": {}})
    return "--dport 18082" in _printed("iptables", "-t", "nat", "-S")


def routes(engine: Dockerd) -> bool:
    """The kernel takes a packet of the network to a container."""
    identity = engine.run("routed")
    networks = engine.api("GET", f"/containers/{identity}/json")["NetworkSettings"]["Networks"]
    return bool(_printed("ip", "route", "get", networks["bridge"]["IPAddress"], "from", _AWAY, "iif", "eth0"))


def without_forwarding(_: Dockerd, stack: ExitStack) -> None:
    switch = Path("/proc/sys/net/ipv4/ip_forward")
    stack.callback(switch.write_text, "1")
    switch.write_text("0")


def names_forwarding(expected: bool) -> Callable[[Dockerd, Snapshot], bool]:
    def said(_: Dockerd, snapshot: Snapshot) -> bool:
        return ("net.ipv4.ip_forward" in named(judge("host-carries-docker", snapshot), "setting")) is expected

    return said


def _printed(*words: str) -> str:
    return subprocess.run(words, check=False, capture_output=True, text=True).stdout


_AWAY, _LINE = "192.0.2.77", b"a line of a container"


def logs_leave(engine: Dockerd) -> bool:
    """What a container prints is sent away from the host."""
    command = ["ip", "neighbour", "replace", _AWAY, "lladdr", "02:00:00:00:00:77", "dev", "eth0"]
    subprocess.run(command, check=True)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as wire:
        wire.bind(("elsewhere", 0))
        wire.settimeout(1)
        engine.run("talking", command=["sh", "-c", f"while :; do echo {_LINE.decode()}; sleep 1; done"])
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with suppress(TimeoutError):
                if _LINE in wire.recv(2048):
                    return True
    return False


def logging_to(driver: str, address: str) -> dict[str, Any]:
    return {"log-driver": driver, "log-opts": {f"{driver}-address": f"udp://{address}:12201"}}


def own_disk(engine: Dockerd) -> None:
    engine.data_root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", engine.data_root], check=True)


def shares_a_disk(engine: Dockerd) -> bool:
    return engine.data_root.stat().st_dev == engine.root.stat().st_dev


def as_another_user(*words: str) -> bool:
    """Whether a command of a user without privileges succeeds."""
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    return subprocess.run([*user, *words], check=False, capture_output=True).returncode == 0


def connects(engine: Dockerd) -> bool:
    code = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    return as_another_user("/usr/bin/python3", "-c", code, str(engine.socket))


def writes(path: str) -> Callable[[Dockerd], bool]:
    return lambda engine: as_another_user("sh", "-c", ': >>"$0"', str(engine.root / path))


def opened(*modes: tuple[str, int]) -> Callable[[Dockerd, ExitStack], object]:
    """The modes of paths of the engine, whose folder everybody reaches."""

    def change(engine: Dockerd, _: ExitStack) -> None:
        engine.root.chmod(0o755)
        for path, mode in modes:
            (engine.root / path).chmod(mode)

    return change


def devices(engine: Dockerd) -> None:
    (engine.root / "cdi").mkdir(mode=0o755)


def everybody_reaches(expected: bool) -> Callable[[Dockerd, Snapshot], bool]:
    def said(_: Dockerd, snapshot: Snapshot) -> bool:
        users = named(judge("docker-group-trusted-users", snapshot), "user")
        return ("every local user" in users) is expected

    return said


_POLICIES = ("no", "always", "unless-stopped", "on-failure", *(f"on-failure:{most}" for most in (2, 5, 9)))


def failing_containers(engine: Dockerd, _: ExitStack) -> None:
    for number, policy in enumerate(_POLICIES):
        name, _colon, most = policy.partition(":")
        restarts = {"Name": name, "MaximumRetryCount": int(most or 0)}
        engine.run(f"c{number}", command=["sh", "-c", "exit 1"], host_config={"RestartPolicy": restarts})


def restarted_often(engine: Dockerd) -> set[str]:
    """The containers that are started more than five times again."""

    def state(name: str) -> str:
        container = engine.api("GET", f"/containers/{name}/json")
        return "often" if container["RestartCount"] > 5 else str(container["State"]["Status"])

    names = {f"c{number}" for number in range(len(_POLICIES))}
    assert until(lambda: {state(name) for name in names} <= {"often", "exited"})
    return {name for name in names if state(name) == "often"}


def real_sshd(engine: Dockerd, _: ExitStack) -> None:
    key = engine.root / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    binds = [
        "/usr:/usr:ro",
        "/usr/lib:/lib:ro",
        "/lib64:/lib64:ro",
        "/etc/passwd:/etc/passwd:ro",
        f"{key}:/key:ro",
    ]
    command = ["/usr/sbin/sshd", "-D", "-f", "/dev/null", "-h", "/key", "-p", "2222"]
    engine.run("with", command=command, host_config={"Binds": binds, "Tmpfs": {"/run/sshd": "mode=755"}})
    engine.run("without", command=["httpd", "-f", "-p", "2222"])


def speaking_ssh(engine: Dockerd) -> set[str]:
    """The containers that greet a client as an SSH server does."""

    def greets(name: str) -> bool:
        networks = engine.api("GET", f"/containers/{name}/json")["NetworkSettings"]["Networks"]
        address = networks["bridge"]["IPAddress"]
        with suppress(OSError), socket.create_connection((address, 2222), timeout=5) as client:
            return client.recv(4) == b"SSH-"
        return False

    assert until(lambda: greets("with"))
    return {name for name in ("with", "without") if greets(name)}


def names_those(slug: str, really: Callable[[Dockerd], set[str]]) -> Callable[[Dockerd, Snapshot], bool]:
    """A verdict that names the containers of which something is true."""
    return lambda engine, snapshot: named(judge(slug, snapshot)) == really(engine)


SURROGATE = '{"labels": ["a=\\ud800"], "log-level": "warn"}'
WARN = {"log-level": "warn"}
TCP = (f"--host=tcp://127.0.0.1:{PORT}", "--tls=false")
LOGGING, OWN = "daemon-central-logging", "file-engine-own"
DEVICES = {"features": {"cdi": True}, "cdi-spec-dirs": ["{root}/cdi"]}
PASSES, FAILS, UNDECIDED = Status.PASS, Status.FAIL, Status.MANUAL
CASES = (
    Case("descriptor", WARN, status(LEVEL, FAILS), logs_no_info, by_a_descriptor),
    Case("relative-path", WARN, status(LEVEL, FAILS), logs_no_info, by_a_relative_path),
    Case("pipe", WARN, status(LEVEL, Status.ERROR), logs_no_info, by_a_pipe),
    Case("removed", WARN, status(LEVEL, Status.ERROR), logs_no_info, around=removed),
    Case(
        "older-file",
        WARN,
        status(LEVEL, UNDECIDED),
        logs_no_info,
        before=prepared,
        around=older_file_moved_there,
    ),
    Case("half-a-character", SURROGATE, status(LEVEL, FAILS), logs_no_info),
    Case("groups", {"mine": {"userland-proxy": False}}, declares("userland-proxy", False), no_proxy),
    Case(
        "group-of-switches",
        {"mine": {"live-restore": "true"}},
        declares("live-restore", True),
        lambda engine: bool(engine.api("GET", "/info")["LiveRestoreEnabled"]),
    ),
    Case(
        "repeated-object",
        '{"default-ulimits": {"nofile": {"Name": "nofile", "Hard": -1, "Soft": -1}},'
        ' "default-ulimits": {"nproc": {"Name": "nproc", "Hard": 500, "Soft": 400}}}',
        status(LIMITS, FAILS),
        has_no_limit("Max open files"),
    ),
    Case(
        "case-of-names",
        {"default-ulimits": {"nproc": {"Name": "nproc", "HARD": -1, "soFT": -1}}},
        status(LIMITS, FAILS),
        has_no_limit("Max processes"),
    ),
    Case(
        "negative-limit",
        {},
        status(LIMITS, FAILS),
        has_no_limit("Max processes"),
        flags=("--default-ulimit=nproc=-5",),
    ),
    Case(
        "huge-limit",
        {"default-ulimits": {"nproc": {"Name": "nproc", "Hard": 1 << 40, "Soft": 1 << 40}}},
        status(LIMITS, FAILS),
        has_no_limit("Max processes"),
    ),
    Case(
        "spaces",
        {},
        lambda engine, snapshot: api_hosts(snapshot, Settings(snapshot)) == (engine.host,),
        lambda engine: engine.api("GET", "/_ping") == "OK",
        with_spaces,
    ),
    Case("renamed-program", {}, status(TLS, FAILS), answers(PORT), renamed, TCP),
    Case(
        "port-of-metrics",
        {"metrics-addr": f"127.0.0.2:{PORT}"},
        status(TLS, FAILS),
        answers(PORT),
        flags=TCP,
    ),
    Case("another-engine", {}, status(TLS, FAILS), answers(PORT), around=another_engine),
    Case(
        "relay-through-a-link",
        {},
        status(TLS, FAILS),
        answers(PORT),
        around=relay("socat", f"TCP-LISTEN:{PORT},fork", "UNIX-CONNECT:alias.sock", inside=True),
    ),
    Case(
        "relay-of-another-name",
        {},
        status(TLS, FAILS),
        answers(PORT),
        around=relay("socat1", f"TCP-LISTEN:{PORT},fork", "UNIX-CONNECT:docker.sock", inside=True),
    ),
    Case("filter", {}, status("daemon-iptables-managed", PASSES), forwards),
    Case("no-filter", {"iptables": False}, status("daemon-iptables-managed", FAILS), is_not(forwards)),
    Case("forwarding", {}, names_forwarding(False), routes),
    Case("no-forwarding", {}, names_forwarding(True), is_not(routes), around=without_forwarding),
    Case("logs-leave", logging_to("syslog", _AWAY), status(LOGGING, PASSES), logs_leave),
    Case(
        "logs-on-loopback", logging_to("syslog", "127.0.0.1"), status(LOGGING, UNDECIDED), is_not(logs_leave)
    ),
    Case("logs-to-itself", logging_to("syslog", "192.0.2.2"), status(LOGGING, UNDECIDED), is_not(logs_leave)),
    Case("logs-nowhere", {"log-driver": "none"}, status(LOGGING, FAILS), is_not(logs_leave)),
    Case("logs-in-files", {}, status(LOGGING, UNDECIDED), is_not(logs_leave)),
    Case("own-disk", {}, status("host-separate-partition", PASSES), is_not(shares_a_disk), before=own_disk),
    Case("shared-disk", {}, status("host-separate-partition", FAILS), shares_a_disk),
    Case("closed-socket", {}, everybody_reaches(False), is_not(connects), around=opened()),
    Case("open-socket", {}, everybody_reaches(True), connects, around=opened(("docker.sock", 0o666))),
    Case("own-files", {}, status(OWN, PASSES), is_not(writes("docker.pid")), around=opened()),
    Case("open-files", {}, status(OWN, FAILS), writes("docker.pid"), around=opened(("docker.pid", 0o666))),
    Case(
        "devices",
        DEVICES,
        status("file-cdi-specs", PASSES),
        is_not(writes("cdi/new.json")),
        before=devices,
        around=opened(),
    ),
    Case(
        "open-devices",
        DEVICES,
        status("file-cdi-specs", FAILS),
        writes("cdi/new.json"),
        before=devices,
        around=opened(("cdi", 0o777)),
    ),
    Case(
        "restarts",
        {},
        names_those("container-restart-policy", restarted_often),
        lambda engine: len(restarted_often(engine)) == 4,
        around=failing_containers,
    ),
    Case(
        "ssh-server",
        {},
        names_those("container-no-sshd", speaking_ssh),
        lambda engine: speaking_ssh(engine) == {"with"},
        around=real_sshd,
    ),
)


@contextmanager
def started(case: Case) -> Iterator[Dockerd]:
    """The engine of a case, and what is around it."""
    with ExitStack() as stack:
        engine = Wrapped(case.change, flags=case.flags)
        stack.callback(engine.close)
        config = case.config if isinstance(case.config, str) else json.dumps(case.config)
        engine.configure(config.replace("{root}", str(engine.root)))
        case.before(engine)
        engine.start()
        engine.ensure_image()
        case.around(engine, stack)
        yield engine


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_snapshot_and_verdicts_describe_the_real_state_of_an_engine(case: Case) -> None:
    with started(case) as engine:
        assert case.reality(engine)
        snapshot = collect(engine)
        json.dumps(snapshot.raw, ensure_ascii=False).encode()
        assert case.said(engine, snapshot), snapshot.daemon_config
