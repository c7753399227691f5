"""Who listens: with a real kernel's records and a real engine's events.

This machine's kernel may have no AppArmor: its denials are in ``tests/e2e/test_activity.py``. Seccomp is real
here: a profile that logs chdir, which a shell does itself, so that the process is there to be asked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import netlink
from ansible_collections.hardener.docker.plugins.module_utils.host.audit import (
    SECCOMP,
    AuditSocket,
    Gaps,
    serial,
)
from ansible_collections.hardener.docker.plugins.module_utils.render.program import FILES

from tests.integration.dockerd import Dockerd, engine_inside
from tests.integration.namespaces import OwnNetwork
from tests.integration.sshd import Sshd
from tests.integration.waiting import until
from tests.unit.plugins.loading import COLLECTIONS

# The kernel's audit records are heard there alone.
pytestmark = pytest.mark.usefixtures("machine_network")

ROOT = Path(__file__).parents[2]
BESIDE = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}
PROGRAM = "ansible_collections.hardener.docker.plugins.module_utils.activity"
# Listens until all that its input asks for was counted, or for a minute: then its clock is an hour ahead.
LISTEN = f"""\
import json, sys, threading, time
from {PROGRAM} import main

tallies, asked = [], []
class Counted(main.Tally):
    def __init__(self):
        super().__init__()
        tallies.append(self)
main.Tally = Counted

def wait():
    wanted = json.loads(sys.stdin.readline() or "[]")
    asked.append((wanted, time.monotonic() + 60))
threading.Thread(target=wait, daemon=True).start()

def happened(wanted, least):
    entries = tallies[0].data(None)
    same = (each for each in entries if all(each[key] == value for key, value in wanted.items()))
    return sum(each["count"] for each in same) >= least

def clock():
    now = time.monotonic()
    over = any(now > last or all(happened(*each) for each in wanted) for wanted, last in asked)
    return now + 3600 * over

arguments = {{**json.loads(sys.argv[1]), "seconds": 600}}
print(json.dumps(main.listen(arguments, clock)))
"""
# The collector, which writes its record at once and not every minute.
COLLECT = f"from {PROGRAM} import resident; resident._WRITE = 0.1; resident.main()"
LEAST = ("setpriv", "--bounding-set=-all,+audit_read")  # as in the unit
NOTHING = ("setpriv", "--bounding-set=-all")
PROFILE = json.dumps(
    {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["chdir"], "action": "SCMP_ACT_LOG"},
            {"names": ["sethostname"], "action": "SCMP_ACT_KILL_PROCESS"},
        ],
    }
)
WATCHED = {"SecurityOpt": [f"seccomp={PROFILE}"]}


def run(engine: Dockerd, name: str, *, host_config: Mapping[str, Any], **options: Any) -> str:
    """A container without a network: what is heard of it comes from the kernel and the engine."""
    return engine.run(name, host_config={"NetworkMode": "none", **host_config}, **options)


def run_moving(engine: Dockerd, name: str, *, times: int, host_config: Mapping[str, Any] = WATCHED) -> str:
    """A container that has changed its folder so many times, and stays."""
    script = f"i=0; while [ $i -lt {times} ]; do cd /; i=$((i+1)); done; exec sleep 1000"
    identity = run(engine, name, command=["sh", "-c", script], host_config=host_config)
    assert until(lambda: "sleep 1000" in engine.docker("top", name))
    return identity


@contextmanager
def listening(
    engine: Dockerd, folder: Path, *, wrapped: tuple[str, ...] = ()
) -> Iterator[Callable[..., Any]]:
    """Listens in a process of its own; what is yielded ends that and gives its answer.

    It takes entries, and how often they must be counted before: kernel and engine report in their own time.
    """
    arguments = json.dumps({"socket": str(engine.socket), "folder": str(folder)})
    with subprocess.Popen(
        [*wrapped, sys.executable, "-c", LISTEN, arguments],
        env=BESIDE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the first sign of life: it listens

        def answer(*wanted: tuple[dict[str, Any], int]) -> Any:
            output, _ = process.communicate(json.dumps(wanted) + "\n", timeout=120)
            return json.loads(output.strip().splitlines()[-1])

        yield answer


def found(entries: list[dict[str, Any]], **wanted: Any) -> list[dict[str, Any]]:
    return [each for each in entries if all(each[key] == value for key, value in wanted.items())]


EVENTS = {
    ("strong", "started privileged"),
    ("strong", "started in the host's process namespace"),
    ("mover", "command run inside"),
}


@pytest.mark.parametrize("wrapped", [(), LEAST], ids=["root", "least capabilities"])
def test_every_denial_is_counted_and_attributed_to_its_container(
    engine: Dockerd, tmp_path: Path, wrapped: tuple[str, ...]
) -> None:
    with listening(engine, tmp_path, wrapped=wrapped) as answer:
        identity = run_moving(engine, "mover", times=300)
        run(engine, "strong", host_config={"Privileged": True, "PidMode": "host"})
        engine.docker("exec", "mover", "true", "--password=geheim")
        heard = answer(
            ({"container": identity, "source": "seccomp", "verdict": "logged"}, 300),
            *(({"name": name, "kind": kind, "source": "docker"}, 1) for name, kind in EVENTS),
        )
    seen = found(heard["entries"], container=identity, source="seccomp", verdict="logged")
    # runc changes its folder too, before it becomes the container's process.
    assert sum(each["count"] for each in seen) >= 300
    assert {each["image"] for each in seen} == {"busybox:test"}
    assert {each["attributed_by"] for each in seen} == {"process"}
    events = {(each["name"], each["kind"]) for each in found(heard["entries"], source="docker")}
    assert events >= EVENTS
    assert "geheim" not in json.dumps(heard)
    assert {name: count for name, count in heard["lost"].items() if count} == {}
    assert (heard["lost"]["kernel"] is None) is bool(wrapped)  # that may only be asked with CAP_AUDIT_CONTROL
    assert heard["deaf"] == []


def test_a_killed_process_is_recorded_by_the_kernel_and_by_the_engine(
    engine: Dockerd, tmp_path: Path
) -> None:
    with listening(engine, tmp_path) as answer:
        run(
            engine,
            "namer",
            command=["hostname", "x"],
            image=engine.build("namer:test", NAMER),
            host_config=WATCHED,
        )
        ended = {"name": "namer", "severity": "high", "source": "docker"}
        heard = answer(({"verdict": "killed"}, 1), (ended, 1))
    (killed,) = found(heard["entries"], verdict="killed")
    assert (killed["source"], killed["kind"], killed["commands"]) == ("seccomp", "sethostname", ["hostname"])
    (told,) = found(heard["entries"], **ended)
    assert "exit code 159" in told["kind"]


NAMER = 'FROM busybox:test\nRUN ["/bin/busybox", "ln", "-s", "busybox", "/bin/hostname"]\n'


def test_a_missing_capability_and_a_missing_engine_are_reported(tmp_path: Path) -> None:
    class NoEngine:
        socket = tmp_path / "no.sock"

    nobody: Any = NoEngine()
    with listening(nobody, tmp_path, wrapped=NOTHING) as answer:
        heard = answer()
    assert heard["entries"] == []
    kernel, no_engine = heard["deaf"]
    assert kernel.startswith("the kernel's audit records cannot be received (Operation not permitted)")
    assert "No such file or directory" in no_engine


def test_records_that_the_kernel_drops_are_counted(engine: Dockerd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "_BUFFER", 4096)
    audit, gaps = AuditSocket(), Gaps(grace=0.0)
    try:
        run_moving(engine, "mover", times=500)
        got = drain(audit, gaps)
        assert audit.overruns >= 1
        run_moving(engine, "again", times=1)
        got += drain(audit, gaps)
        gaps.expire(time.monotonic() + 1)
        assert got < 500
        assert got + gaps.lost >= 500
    finally:
        audit.close()


def drain(audit: AuditSocket, gaps: Gaps) -> int:
    """Take what is there; how many records of seccomp it was."""
    records = list(audit.receive())
    for record in records:
        gaps.note(serial(record.text), time.monotonic())
    return sum(record.kind == SECCOMP for record in records)


def test_the_audited_apparmor_profile_denies_the_same_as_docker_default() -> None:
    program = shutil.which("dockerd")
    assert program
    template = re.compile(rb"profile {{\.Name}} flags=(\(.*?\)) {\n(.*?)\n}\n", re.DOTALL)
    found = template.search(Path(program).read_bytes())
    assert found
    flags, engines = found[1].decode(), found[2].decode().replace("{{.Name}}", "docker-default-audited")
    twins = (FILES / "docker-default-audited").read_text()
    assert f"profile docker-default-audited flags={flags} {{" in twins
    # Its daemon's own profile is the engine's to know; unconfined, which it is, stands in the twin.
    wanted = {rule for rule in rules(engines) if "{{" not in rule}
    assert wanted == {rule.replace("audit deny", "deny") for rule in rules(twins)}


def rules(profile: str) -> list[str]:
    """The rules of a profile, without comments and what is only for the eye."""
    lines = (line.partition("#")[0].strip() for line in profile.splitlines())
    return [re.sub(r"\s+", " ", line).replace(", ", ",") for line in lines if line.endswith(",")]


# --- the command --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sshd(machine_network: None) -> Iterator[Sshd]:
    with Sshd() as server:
        yield server


def hardener(inventory: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hardener", "activity", "-i", str(inventory), *options]
    wide = {**os.environ, "COLUMNS": "200"}
    return subprocess.Popen(
        command, cwd=ROOT, env=wide, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def hosts(path: Path, **variables: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps({"all": {"hosts": variables}}))
    return path


def listeners() -> int:
    """How many listen to the kernel's audit group: protocol 9, group 1."""
    lines = [line.split() for line in Path("/proc/net/netlink").read_text().splitlines()[1:]]
    return sum(line[1] == "9" and int(line[3], 16) & 1 for line in lines)


def test_the_command_shows_denials_and_unavailable_sources(
    engine: Dockerd, sshd: Sshd, tmp_path: Path
) -> None:
    before = listeners()
    inventory = hosts(
        tmp_path / "hosts.json",
        web1={**sshd.variables(), "activity_socket": str(engine.socket)},
        lost={"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1},
    )
    report = tmp_path / "activity.json"
    strong = engine.create("strong", host_config={"NetworkMode": "none", "Privileged": True})
    with hardener(inventory, "--for", "12s", "--json", str(report)) as process:
        assert until(lambda: listeners() > before)
        engine.api("POST", f"/containers/{strong}/start")
        output, said = process.communicate(timeout=300)
    assert process.returncode == 3, said
    assert "docker: started privileged (seen)" in output
    assert "lost: unreachable" in said
    (host,) = json.loads(report.read_text())["hosts"]
    assert host["host"] == "web1"
    assert until(lambda: listeners() == before)


def test_an_interrupt_leaves_no_listening_process(engine: Dockerd, sshd: Sshd, tmp_path: Path) -> None:
    before = listeners()
    web = {**sshd.variables(), "activity_socket": str(engine.socket)}
    with hardener(hosts(tmp_path / "hosts.json", web1=web), "--for", "10m") as process:
        assert until(lambda: listeners() > before)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in said) == (130, False)
    assert until(lambda: listeners() == before)


# --- the resident collector ---------------------------------------------------------------------------------


@contextmanager
def collector(engine: Dockerd, folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The collector, with the capabilities of its unit; it has written its record once when this begins."""
    command = [
        *LEAST,
        sys.executable,
        "-c",
        COLLECT,
        "--socket",
        str(engine.socket),
    ]
    record = folder / "record.json"
    stamp = record.stat().st_mtime_ns if record.exists() else 0
    with subprocess.Popen(
        [*command, "--folder", str(folder), *options], env=BESIDE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert until(lambda: record.exists() and record.stat().st_mtime_ns > stamp)
            yield process
        finally:
            process.terminate()
            process.wait(timeout=60)


def recorded(folder: Path, **wanted: Any) -> list[dict[str, Any]]:
    """What the collector has written."""
    return found(json.loads((folder / "record.json").read_text())["entries"], **wanted)


def test_the_collector_learns_usual_events_and_continues_after_a_restart(
    engine: Dockerd, tmp_path: Path
) -> None:
    folder = tmp_path / "activity"
    old = {"name": "old", "source": "seccomp"}
    with collector(engine, folder):
        run_moving(engine, "old", times=5)
        assert until(lambda: sum(each["count"] for each in recorded(folder, **old)) >= 5)
    record = json.loads((folder / "record.json").read_text())
    (usual,) = found(record["entries"], **old)
    assert usual["unusual"] is False

    with collector(engine, folder, "--learn-hours=0"):
        run_moving(engine, "new", times=5, host_config={**WATCHED, "Privileged": True})
        assert until(lambda: recorded(folder, name="new", kind="started privileged"))
    record = json.loads((folder / "record.json").read_text())
    kinds = {(each["name"], each["kind"]): each["unusual"] for each in record["entries"]}
    assert kinds["new", "started privileged"] is True
    assert found(record["entries"], **old)[0]["count"] == usual["count"]
    assert (folder.stat().st_mode & 0o777, (folder / "record.json").stat().st_mode & 0o777) == (0o700, 0o600)

    with listening(engine, folder) as answer:
        engine.docker("exec", "new", "true")
        heard = answer(({"kind": "command run inside"}, 1))
    assert heard["record"]["began"] == record["began"]
    assert found(heard["entries"], kind="command run inside")[0]["unusual"] is True


def connections(engine: Dockerd) -> int:
    """How many clients are connected to the engine's API socket."""
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return sum(line[5] == "03" and line[7:] == [str(engine.socket)] for line in lines)


def test_the_collector_survives_a_stopped_engine_and_a_damaged_record(
    own_network: OwnNetwork, tmp_path: Path
) -> None:
    folder = tmp_path / "activity"
    folder.mkdir(mode=0o700)
    (folder / "record.json").write_text("{")
    with engine_inside(own_network) as engine:
        engine.ensure_image()
        with collector(engine, folder) as process:
            engine.stop()
            with own_network.inside():
                engine.start()
            assert until(lambda: connections(engine))
            run(engine, "after", host_config={"Privileged": True})
            assert until(lambda: recorded(folder, kind="started privileged"))
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(timeout=60) == 0
            assert process.stderr is not None
            assert "starting a new record" in process.stderr.read()
    record = json.loads((folder / "record.json").read_text())
    assert record["lost"]["engine_cuts"] >= 1
    assert found(record["entries"], kind="started privileged")
