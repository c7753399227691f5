"""Hosts that give no answer, or far too much of one: each costs itself and no other host anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.plugin_utils import host_time

from hardener.content import collections_path
from hardener.fleet import fleet as fleet_module
from tests.integration.hostile_sshd import (
    HARDENER,
    QUICK,
    HostileSshd,
    listener,
    ssh_processes,
)
from tests.integration.namespaces import OwnNetwork
from tests.integration.sshd import Sshd, own_environment
from tests.leftovers import scratch
from tests.unit.fleet.forging import GONE, STATS

SECONDS = 30  # the deadline, by Ansible's own setting, which a good host keeps on a busy machine too
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
BEGUN = '{"result":{"schema":"hardener/snapshot/2","sources":{}'
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
    "deep": ("answer(b'[' * 1_900_000)", "levels deep"),
    "wide_text": (
        "answer(b'{\"result\":\"' + b'a' * 60_000_000 + '\\U0001f600'.encode() + b'\"}')",
        "memory",
    ),
    "long_header": ("answer(b'{\"result\":{}}', head=b'[' + b'{},' * 7_000_000 + b'1]')", "cannot be read"),
    # What only hardener itself parses, for which the host has to begin as a snapshot does.
    "no_snapshot": ('answer(b\'{"result":{"sources":{}}}\')', "gave no snapshot"),
    "not_finite": (f"answer(b'{BEGUN},\"at\":1e999}}}}')", "1e999 is not a number"),
    "not_closed": (f"answer(b'{BEGUN},\"at\":[}}}}')", "the answer of the host is not JSON"),
    "deep_inside": (f"answer(b'{BEGUN},\"at\":' + b'[' * 1_900_000 + b'}}}}')", "levels deep"),
}

Hardener = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def hostile(sshd: Sshd) -> HostileSshd:
    return HostileSshd(sshd)


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return own_environment(tmp_path_factory.mktemp("tmp"))


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


@pytest.mark.slow
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
        code, found = audit(hosts, {**environment, "ANSIBLE_TASK_TIMEOUT": str(SECONDS)}, tmp_path)
    assert [each for each in ssh_processes(f"{sshd.root}/cp-") if "/cp-good" not in each] == []
    assert ssh_processes(f"Port={silent}") == ssh_processes(f"Port={banner}") == []
    assert code == 4, "nothing fails, and some hosts could not be audited"
    assert (found["good1"]["unreachable"], found["good2"]["unreachable"]) == (None, None)
    for name in (*NO_ANSWER, "sudo"):
        assert f"gave no answer within {SECONDS} s" in found[name]["unreachable"], name
    for name in ("silent", "banner"):  # ssh gives up by itself, after ten seconds
        assert found[name]["unreachable"], name


# What a host does before its packets vanish, and after it; `cut` is made to have them dropped, both ways.
VANISHES = {
    "before_it_takes_the_script": "cut(); time.sleep(100000)",
    "once_it_has_the_script": "ready(); cut(); time.sleep(100000)",
    "amid_the_answer": "ready(); say(b'\\nhost-script-' * 9000); cut(); say_all(b'x' * 100_000_000)",
    "amid_an_error": "ready(); os.write(2, b'x' * 5000); cut(); os.write(2, b'x'); sys.exit(1)",
    "with_the_answer": QUICK.replace("answer(", "cut(); answer("),
}
_CUT = """
import subprocess
def cut():
    rules = "table inet cut_{port} {{ chain c {{ type filter hook input priority 0; tcp dport {port} drop; "
    rules += "tcp sport {port} drop; }}; }}"
    subprocess.run(["/usr/sbin/nft", "-f", "-"], input=rules.encode() + b"\\n", check=True)
"""


@pytest.mark.slow
def test_hosts_that_drop_packets_are_unreachable_and_the_others_are_audited(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with OwnNetwork(), ExitStack() as servers:
        hosts = {}
        for name, program in {"good1": QUICK, **VANISHES, "good2": QUICK}.items():
            server = servers.enter_context(Sshd())
            cut = _CUT.format(port=server.port) if name in VANISHES else ""
            hosts[name] = HostileSshd(server).host(name, f"{cut}\n{program}")
        code, found = audit(hosts, {**environment, "ANSIBLE_TASK_TIMEOUT": str(SECONDS)}, tmp_path)
        rules = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        left = [each for name in VANISHES for each in ssh_processes(f"/cp-{name}")]
    assert rules.count("cut_") == len(VANISHES)  # each has come as far as that
    assert left == []
    assert code == 4, "nothing fails, and some hosts could not be audited"
    assert (found["good1"]["unreachable"], found["good2"]["unreachable"]) == (None, None)
    for name in VANISHES:
        assert f"gave no answer within {SECONDS} s" in found[name]["unreachable"], name


# How a host may end a session; what it says then is no answer.
_WAIT = "time.sleep(100000)"
ENDS = {
    "says_nothing": "ready()",
    "fails_without_a_word": "ready(); sys.exit(255)",
    "is_killed": "ready(); os.kill(os.getpid(), signal.SIGKILL)",
    "is_terminated": "ready(); os.kill(os.getpid(), signal.SIGTERM)",
    "says_its_python_is_old": "ready(); os.write(2, b'/bin/x is Python 2.7\\n'); sys.exit(86)",
    "has_no_python": "ready(); sys.exit(87)",
    "says_that_its_time_is_over": "ready(); sys.exit(142)",
    "reads_nothing": "os.close(0)",
    "reads_a_byte_and_ends": "os.read(0, 1)",
    "begins_an_answer": "ready(); say(b'\\nhost-script-')",
    "repeats_what_it_was_sent": "say_all(ready().encode()[:1000000])",
    "answers_another_question": "ready(); m = b'\\nhost-script-01234567 '; say(m + b'{}\\ne30=\\n' + m)",
    "answers_no_base64": "m = marker(); say(m + b' {}\\n!!!\\n' + m)",
    "answers_cut_base64": "m = marker(); say(m + b' {}\\neJyrVk\\n' + m)",
    "answers_no_zlib": "m = marker(); say(m + b' {}\\naGVsbG8=\\n' + m)",
    "answers_half_of_zlib": "answer(b'{\"result\":7}', cut=9)",
    "answers_a_list": "answer(b'[]')",
    "answers_a_number": "answer(b'7')",
    "answers_null": "answer(b'null')",
    "answers_no_utf_8": 'answer(b\'{"result":"\\xff\\xfe"}\')',
    "answers_half_of_a_pair": 'answer(b\'{"result":{"sources":{"\\\\ud800":{}}}}\')',
    "answers_the_largest_number": "answer(b'{\"result\":{\"sources\":' + b'9' * 100000 + b'}}')",
    "answers_with_its_error": 'answer(b\'{"error":{"a":[1]},"traceback":7}\')',
    "answers_a_long_error": "answer(b'{\"error\":\"' + b'x' * 5000000 + b'\"}')",
    "answers_a_text": 'answer(b\'{"result":"text"}\')',
    "answers_other_sources": 'answer(b\'{"result":{"sources":[[[]]]}}\')',
}
# It has answered, and the session goes on for ever.
STAYS = {
    "answers_and_stays": f"{QUICK}; {_WAIT}",
    "answers_and_leaves_a_child": f"{QUICK}; os.fork() and os._exit(0); {_WAIT}",
    "answers_and_goes_on_to_say_nothing": f"{QUICK}\nwhile True: say(b'\\n'); time.sleep(0.5)",
}


def test_hosts_that_fail_in_any_way_do_not_affect_others(
    hostile: HostileSshd, environment: dict[str, str], tmp_path: Path
) -> None:
    odd = {**ENDS, **STAYS}
    hosts = {
        "good1": hostile.host("odd_good1", QUICK),
        **{name: hostile.host(f"odd_{number}", code) for number, (name, code) in enumerate(odd.items())},
        "good2": hostile.host("odd_good2", QUICK),
    }
    limited = {**environment, "ANSIBLE_TASK_TIMEOUT": str(2 * SECONDS), "ANSIBLE_FORKS": "8"}
    code, found = audit(hosts, limited, tmp_path)
    assert code == 4, "nothing fails, and some hosts could not be audited"
    assert (found["good1"]["unreachable"], found["good2"]["unreachable"]) == (None, None)
    for name in odd:
        said = found[name]["unreachable"]
        assert said, name
        assert len(said) < 1000, name
        assert said.isprintable(), name
        assert "too long for Unix domain socket" not in said, name  # that would be the test's own fault
    for name in STAYS:
        assert f"gave no answer within {2 * SECONDS} s" in found[name]["unreachable"], name


SLOWLY = """\
- hosts: all
  gather_facts: false
  tasks:
    - name: Work
      ansible.builtin.raw: "true"
      loop: [1, 2, 3, 4]
    - name: Work again
      ansible.builtin.raw: "true"
    - name: Be there still
      ansible.builtin.raw: "true"
"""


@pytest.mark.slow
def test_a_host_that_has_used_up_its_total_time_is_skipped(
    hostile: HostileSshd, environment: dict[str, str], tmp_path: Path
) -> None:
    quick = "say(b'here')"
    hosts = {
        "good": hostile.host("slowly_good", quick),
        "slow": hostile.host("slowly", f"time.sleep(4); {quick}"),
        "spent": hostile.host("slowly_spent", quick),
    }
    (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    (tmp_path / "play.yml").write_text(SLOWLY)
    times = tmp_path / "times"
    times.mkdir()
    known = {name: times / sha256(name.encode()).hexdigest() for name in hosts}
    known["slow"].write_text(json.dumps([0, host_time.ORDINARY - 15]))
    known["spent"].write_text(json.dumps([host_time.RUN + 1, 0]))
    script = Path(fleet_module.__file__).with_name("ansible_playbook.py")
    done = subprocess.run(
        [sys.executable, "-P", script, tmp_path / "pid", "022", "-i", "inventory.json", "play.yml"],
        cwd=tmp_path,
        env={
            **environment,
            "HARDENER_HOST_TIMES": str(times),
            "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
            "ANSIBLE_LOCAL_TEMP": environment["TMPDIR"],
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    ended = {line.split()[0]: line for line in done.stdout.splitlines() if "unreachable=" in line}
    assert "ok=3" in ended["good"], done.stdout
    assert "unreachable=0" in ended["good"]
    assert "ok=0" in ended["slow"]
    assert "unreachable=1" in ended["slow"]
    assert "unreachable=1" in ended["spent"]
    assert done.stdout.count("no more tasks are run") >= 2
    whole, ordinary = json.loads(known["good"].read_text())
    assert 0 < ordinary == whole < 60


def enter(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))


@contextmanager
def memory(limit: int) -> Iterator[Callable[[], None]]:
    """A cgroup with so much memory; what is called in a process to be in it."""
    top = Path("/sys/fs/cgroup")
    old = top / "memory"
    with scratch("memory", parent=old if old.is_dir() else top) as group:
        if old.is_dir():
            (group / "memory.limit_in_bytes").write_text(str(limit))
        else:
            (group / "memory.max").write_text(str(limit))
            (group / "memory.swap.max").write_text("0")
        yield lambda: enter(group)


def good(sshd: Sshd, *names: str) -> dict[str, Any]:
    return {name: sshd.variables() for name in names}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["endless", "objects", "wide_text"])
def test_a_host_with_endless_output_does_not_affect_others(
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


def test_answers_that_are_too_large_are_refused_within_a_gigabyte_of_memory(
    sshd: Sshd, hostile: HostileSshd, environment: dict[str, str], tmp_path: Path
) -> None:
    bad = {name: hostile.host(name, code) for name, (code, _) in TOO_MUCH.items()}
    hosts = {**good(sshd, "good1"), **bad, **good(sshd, "good2")}
    with memory(GIGABYTE) as limited:
        _, found = audit(hosts, {**environment, "ANSIBLE_FORKS": "2"}, tmp_path, preexec_fn=limited)
    assert (found["good1"]["unreachable"], found["good2"]["unreachable"]) == (None, None)
    for name, (_, said) in TOO_MUCH.items():
        assert said in found[name]["unreachable"], name


@pytest.mark.slow
def test_a_host_cannot_report_on_another_host(
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
