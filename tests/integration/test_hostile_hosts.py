"""Hosts that give no answer, or far too much of one: each costs itself and no other host anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.integration.hostile_sshd import HostileSshd, listener
from tests.integration.sshd import Sshd
from tests.leftovers import folder
from tests.unit.fleet.forging import GONE, STATS

SECONDS = 30  # the deadline, by Ansible's own setting, which a good host keeps on a busy machine too
HARDENER = (sys.executable, "-m", "hardener")
GIGABYTE = 1 << 30

# What a host does, and what is said of it. `ready` and `answer` are of hostile_sshd.
NO_ANSWER = {
    "never_ends": "time.sleep(100000)",
    "takes_the_script": "ready(); time.sleep(100000)",
    "trickles": "while True: say(b'x'); time.sleep(1)",
    "trickles_lines": "while True: say(b'x\\n'); time.sleep(0.2)",
    "trickles_errors": "while True: os.write(2, b'x'); time.sleep(0.3)",
    "stops": "ready(); say(b'half'); os.kill(os.getpid(), signal.SIGSTOP)",
    "stops_at_once": "os.kill(os.getpid(), signal.SIGSTOP)",
    "closes_its_output": "os.close(1); time.sleep(100000)",
    "closes_everything": "os.close(0); os.close(1); os.close(2); time.sleep(100000)",
    "leaves_a_child": "os.fork() and os._exit(0); time.sleep(100000)",
    "half_an_answer": "ready(); say(b'\\nhost-script-'); time.sleep(100000)",
}
# A host that answers at once, however busy this machine is.
QUICK = 'answer(b\'{"result":{"schema":"hardener/snapshot/2","sources":{}}}\')'
TOO_MUCH = {
    "endless": ("while True: say_all(b'x' * 65536)", "sent more than 32 MB"),
    "endless_errors": ("while True: os.write(2, b'x' * 65536)", "sent more than 32 MB"),
    "endless_lines": ("while True: say_all(b'x\\n' * 30000)", "sent more than 32 MB"),
    "answer_then_endless": (
        "answer(b'{\"result\":{}}')\nwhile True: say_all(b'x' * 65536)",
        "sent more than 32 MB",
    ),
    "objects": ("answer(b'{\"result\":[' + b'{},' * 60_000_000 + b'{}]}')", "is larger than"),
    "small_objects": ("answer(b'{\"result\":[' + b'{},' * 20_000_000 + b'{}]}')", "values"),
    "numbers": ("answer(b'{\"result\":[' + b'1,' * 30_000_000 + b'1]}')", "values"),
    "keys": ("answer(b'{\"result\":{\"\":' * 3_000_000 + b'1' + b'}}' * 3_000_000)", "values"),
    "deep": ("answer(b'[' * 1_900_000)", "cannot be read"),
    "wide_text": (
        "answer(b'{\"result\":\"' + b'a' * 60_000_000 + '\\U0001f600'.encode() + b'\"}')",
        "memory",
    ),
    "long_header": ("answer(b'{\"result\":{}}', head=b'[' + b'{},' * 7_000_000 + b'1]')", "cannot be read"),
    "not_finite": ('answer(b\'{"result":{"sources":{},"at":1e999}}\')', "cannot be read"),
}

Hardener = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    if os.geteuid() != 0:
        pytest.fail("tests against an ssh server need root", pytrace=False)
    with Sshd() as server:
        yield server


@pytest.fixture(scope="module")
def hostile(sshd: Sshd) -> HostileSshd:
    return HostileSshd(sshd)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tmp").mkdir()
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "SSH_"))}
    return {**inherited, "TMPDIR": str(tmp_path / "tmp"), "NO_COLOR": "1"}


def audit(
    hosts: Mapping[str, Any], environment: Mapping[str, str], tmp_path: Path, **more: Any
) -> tuple[int, dict[str, dict[str, Any]]]:
    """Audit hosts; the exit code, and the hosts of the report."""
    inventory, report = tmp_path / "inventory.json", tmp_path / "report.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    ended = subprocess.run(
        [*HARDENER, "audit", "-i", str(inventory), "--json", str(report)],
        cwd=tmp_path,
        env={"ANSIBLE_FORKS": str(len(hosts)), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        **more,
    )
    assert "Traceback" not in ended.stderr
    found = {host["host"]: host for host in json.loads(report.read_text())["hosts"]}
    assert list(found) == list(hosts), ended.stderr
    return ended.returncode, found


def ssh_processes(marker: str) -> list[str]:
    """The ssh clients that have this in their command line or title."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if marker in line and (entry / "comm").read_text().strip() == "ssh":
                found.append(line)
    return found


def test_hosts_that_give_no_answer_are_unreachable_and_the_others_are_audited(
    sshd: Sshd, hostile: HostileSshd, environment: dict[str, str], tmp_path: Path
) -> None:
    with listener() as silent, listener(b"SSH-2.0-OpenSSH_9.9\r\n") as banner:
        hosts = {
            "good1": hostile.host("good1", QUICK),
            "silent": sshd.variables(ansible_port=silent),
            "banner": sshd.variables(ansible_port=banner),
            "sudo": hostile.host("sudo", NO_ANSWER["trickles"], ansible_become=True),
            **{name: hostile.host(name, code) for name, code in NO_ANSWER.items()},
            "good2": hostile.host("good2", QUICK),
        }
        began = time.monotonic()
        code, found = audit(hosts, {**environment, "ANSIBLE_TASK_TIMEOUT": str(SECONDS)}, tmp_path)
        took = time.monotonic() - began
    assert [each for each in ssh_processes(f"{sshd.root}/cp-") if "/cp-good" not in each] == []
    assert ssh_processes(f"Port={silent}") == ssh_processes(f"Port={banner}") == []
    assert code in (3, 4)
    assert (found["good1"]["unreachable"], found["good2"]["unreachable"]) == (None, None)
    for name in (*NO_ANSWER, "sudo"):
        assert "gave no answer within" in found[name]["unreachable"], name
    for name in ("silent", "banner"):  # ssh gives up by itself, after ten seconds
        assert found[name]["unreachable"], name
    assert took < SECONDS + 40


def enter(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))


@contextmanager
def memory(limit: int) -> Iterator[Callable[[], None]]:
    """A cgroup with so much memory; what is called in a process to be in it."""
    top = Path("/sys/fs/cgroup")
    old = top / "memory"
    parent = old if old.is_dir() else top
    group = parent / folder("memory").name
    group.mkdir()
    try:
        if old.is_dir():
            (group / "memory.limit_in_bytes").write_text(str(limit))
        else:
            (group / "memory.max").write_text(str(limit))
            (group / "memory.swap.max").write_text("0")
        yield lambda: enter(group)
    finally:
        for _ in range(100):
            with suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.05)


def good(sshd: Sshd, *names: str) -> dict[str, Any]:
    return {name: sshd.variables() for name in names}


@pytest.mark.parametrize("name", ["endless", "objects", "wide_text"])
def test_a_host_that_answers_too_much_costs_three_others_nothing(
    name: str, sshd: Sshd, hostile: HostileSshd, environment: dict[str, str], tmp_path: Path
) -> None:
    code, said = TOO_MUCH[name]
    hosts = {
        **good(sshd, "good1"),
        "hostile": hostile.host(f"one_{name}", code),
        **good(sshd, "good2", "good3"),
    }
    with memory(GIGABYTE) as limited:
        exit_code, found = audit(hosts, environment, tmp_path, preexec_fn=limited)
    assert exit_code in (3, 4)
    assert said in found.pop("hostile")["unreachable"]
    assert {name: host["unreachable"] for name, host in found.items()} == dict.fromkeys(found)
    assert ssh_processes(f"{sshd.root}/cp-one_{name}") == [] or name != "endless"


def test_no_answer_is_too_much_for_the_control_node(
    sshd: Sshd, hostile: HostileSshd, environment: dict[str, str], tmp_path: Path
) -> None:
    bad = {name: hostile.host(name, code) for name, (code, _) in TOO_MUCH.items()}
    hosts = {**good(sshd, "good1"), **bad, **good(sshd, "good2")}
    with memory(GIGABYTE) as limited:
        _, found = audit(hosts, {**environment, "ANSIBLE_FORKS": "2"}, tmp_path, preexec_fn=limited)
    assert (found["good1"]["unreachable"], found["good2"]["unreachable"]) == (None, None)
    for name, (_, said) in TOO_MUCH.items():
        assert said in found[name]["unreachable"], name


def test_a_host_reports_on_no_other_host(
    sshd: Sshd, hostile: HostileSshd, environment: dict[str, str], tmp_path: Path
) -> None:
    says = {
        "ends_the_run": f"{STATS}\nx",
        "blames_another": GONE,
        "asks_for_a_password": "\nBECOME password: \n" * 100,
    }
    hosts = {
        name: hostile.host(name, f"ready(); os.write(2, {text.encode()!r}); sys.exit(255)")
        for name, text in says.items()
    }
    # It answers last, so that what is said of it before is false.
    hosts["db1"] = hostile.host("db1", f"time.sleep(5)\n{QUICK}")
    _, found = audit(hosts, environment, tmp_path)
    assert found.pop("db1")["unreachable"] is None
    for name, host in found.items():
        assert host["unreachable"], name
