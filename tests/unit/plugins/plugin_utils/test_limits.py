"""What a task may cost the control node: each limit ends the work, and leaves the process as it was."""

from __future__ import annotations

import json
import math
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible_collections.hardener.docker.plugins.plugin_utils import limits as kept

from tests.unit.processes import GROWING, ended

CONNECTION = SimpleNamespace()
PIPES: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
ENDLESS = "import sys\nwhile True: sys.stdout.write('x' * 65536)"


@pytest.fixture
def limits() -> Any:
    return kept


@pytest.fixture(autouse=True)
def _everything_is_as_it_was() -> Iterator[None]:
    before = (signal.getsignal(signal.SIGALRM), subprocess.Popen, resource.getrlimit(resource.RLIMIT_AS))
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    after = (signal.getsignal(signal.SIGALRM), subprocess.Popen, resource.getrlimit(resource.RLIMIT_AS))
    assert after == before


def started(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-ISc", code], stdout=subprocess.PIPE)


def test_no_process_is_left_after_the_time_limit(limits: Any, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    shell = f"sleep 1000 & echo $! >{pid}; wait"
    for seconds in GROWING:
        with (
            pytest.raises(AnsibleConnectionFailure, match=f"no answer within {math.ceil(seconds)} s"),
            limits.bounded(CONNECTION, seconds=seconds),
        ):
            subprocess.run(["/bin/sh", "-c", shell], check=False)
        if pid.exists() and pid.read_text().strip():
            break
    assert ended(int(pid.read_text()))


def test_error_handlers_do_not_catch_the_end_of_the_time_limit(limits: Any) -> None:
    tries: list[int] = []

    def retried() -> None:  # as the ssh connection does
        while len(tries) < 3:
            tries.append(1)
            with suppress(Exception):
                time.sleep(1000)

    for seconds in GROWING:
        with pytest.raises(AnsibleConnectionFailure), limits.bounded(CONNECTION, seconds=seconds):
            retried()
        if tries:
            break
    assert len(tries) == 1


def test_code_that_catches_the_interruption_is_interrupted_again(
    limits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def stubborn() -> None:
        while len(tries) < 3:
            tries.append(1)
            with suppress(BaseException):
                time.sleep(1000)

    for seconds in GROWING:
        tries.clear()
        monkeypatch.setattr(limits, "_AGAIN", seconds)
        with pytest.raises(AnsibleConnectionFailure), limits.bounded(CONNECTION, seconds=seconds):
            stubborn()
        if len(tries) == 3:  # otherwise it was interrupted between two of them
            break
    assert len(tries) == 3


def test_ansibles_earlier_timeout_ends_a_block_as_a_connection_failure_and_stays_set(limits: Any) -> None:
    def late(_number: int, _frame: object) -> None:
        raise TimeoutError("Ansible's own")

    handler = signal.signal(signal.SIGALRM, late)
    try:
        signal.setitimer(signal.ITIMER_REAL, 3.0)
        with limits.bounded(CONNECTION, seconds=100):
            pass
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 3.0
        with pytest.raises(AnsibleConnectionFailure), limits.bounded(CONNECTION, seconds=100):
            time.sleep(1000)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def test_a_program_with_output_beyond_the_limit_is_killed(
    limits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OUTPUT", 1 << 20)
    processes = []

    def work() -> None:
        processes.append(started(ENDLESS))
        assert processes[0].stdout
        processes[0].stdout.read()

    with (
        pytest.raises(AnsibleActionFail, match="sent more than 1 MB"),
        limits.bounded(CONNECTION, seconds=60),
    ):
        work()
    assert processes[0].wait() == -signal.SIGKILL
    assert processes[0].stdout
    processes[0].stdout.close()


def test_output_below_the_limit_is_complete(limits: Any) -> None:
    with limits.bounded(CONNECTION, seconds=60):
        process = started("print('x' * 3_000_000)")
        assert process.stdout
        assert len(process.stdout.read()) == 3_000_001
        assert subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True, check=True).stdout
        assert subprocess.check_output([sys.executable, "-c", "print('é')"], text=True) == "é\n"
        process.wait()
        process.stdout.close()


def test_error_output_of_a_local_program_is_passed_on_as_it_arrives(limits: Any, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    program = (
        "import os, sys, time\n"
        "sys.stderr.write('first\\n'); sys.stderr.flush()\n"
        f"while not os.path.exists({str(heard)!r}): time.sleep(0.01)\n"
        "sys.stdout.write(str(len(sys.stdin.read())) + 'x' * 3_000_000)\n"
        "sys.stderr.write('last\\n')\n"
    )
    pieces = []

    def said(piece: bytes) -> None:
        pieces.append(piece)
        heard.touch()

    with limits.bounded(CONNECTION, seconds=60, said=said):
        process = subprocess.Popen([sys.executable, "-ISc", program], **PIPES)
        output, errors = process.communicate(b"y" * 1_000_000)
    assert (output[:10], len(output)) == (b"1000000xxx", 3_000_007)
    assert errors == b"".join(pieces) == b"first\nlast\n"
    assert process.returncode == 0


def test_a_local_program_that_closes_its_input_has_a_complete_result(limits: Any) -> None:
    with limits.bounded(CONNECTION, seconds=60, said=lambda _: None):
        process = subprocess.Popen(["/bin/sh", "-c", "exec <&-; echo no >&2; exit 3"], **PIPES)
        assert process.communicate(b"y" * 1_000_000) == (b"", b"no\n")
    assert process.returncode == 3


def test_a_local_program_with_output_beyond_the_limit_is_an_error(
    limits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OUTPUT", 1 << 20)
    with (
        pytest.raises(AnsibleActionFail, match="sent more than 1 MB"),
        limits.bounded(CONNECTION, seconds=60, said=lambda _: None),
    ):
        subprocess.Popen([sys.executable, "-ISc", ENDLESS], **PIPES).communicate()


def test_the_memory_of_a_block_is_limited_and_that_of_programs_is_not(
    limits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MEMORY", 64 << 20)
    with (
        pytest.raises(AnsibleActionFail, match="more than 64 MB of memory"),
        limits.bounded(CONNECTION, seconds=60),
    ):
        bytes(256 << 20)
    # A program is not what the limit is for.
    command = [sys.executable, "-c", "import resource as r; print(r.getrlimit(r.RLIMIT_AS)[0])"]
    with limits.bounded(CONNECTION, seconds=60):
        assert int(subprocess.check_output(command)) == resource.getrlimit(resource.RLIMIT_AS)[1]


def test_errors_of_the_block_are_not_changed(limits: Any) -> None:
    with pytest.raises(ValueError, match="mine"), limits.bounded(CONNECTION, seconds=60):
        raise ValueError("mine")


class Module:
    """An action of Ansible's own whose module returned this."""

    def __init__(self, result: dict[str, Any]) -> None:
        self._connection = CONNECTION
        self._task = SimpleNamespace(timeout=0)
        self._result = result
        self.runs = 0

    def run(self, **_: Any) -> dict[str, Any]:
        self.runs += 1
        if "silent" in self._result:
            time.sleep(1000)
        return self._result

    def cleanup(self) -> None:
        self.runs += 100


def test_results_cannot_set_variables_or_add_hosts(limits: Any) -> None:
    module = Module(
        {
            "rc": 0,
            "stdout": "x",
            "add_host": {"host_name": "other", "host_vars": {"ansible_connection": "local"}},
            "add_group": "all",
            "ansible_stats": {"data": {"a": 1}},
            "ansible_facts": {
                "discovered_interpreter_python": "/usr/bin/python3",
                "discovered_interpreter_perl": "perl; id",
                "ansible_connection": "local",
                "converge_allow": "reboot",
                "harden_reviewed": {},
            },
        }
    )
    limits.hold(module)
    facts = {"discovered_interpreter_python": "/usr/bin/python3"}
    assert module.run(task_vars={}) == {"rc": 0, "stdout": "x", "ansible_facts": facts}
    module.cleanup()
    assert module.runs == 101
    nothing = Module({"changed": False, "ansible_facts": ["x"]})
    limits.hold(nothing)
    assert nothing.run() == {"changed": False}


def test_a_silent_host_is_not_waited_for_again(limits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TASK", 1)
    module = Module({"silent": True})
    limits.hold(module)
    for _ in range(2):  # the items of a loop
        with pytest.raises(AnsibleConnectionFailure, match="no answer"):
            module.run()
    module.cleanup()
    assert module.runs == 1


def test_an_action_with_its_own_limits_is_not_limited(limits: Any) -> None:
    module = Module({"ansible_facts": {"hardener_snapshot": {}}})
    module.KEEPS_LIMITS = True  # type: ignore[attr-defined]
    limits.hold(module)
    assert json.dumps(module.run()) == json.dumps({"ansible_facts": {"hardener_snapshot": {}}})


def test_a_result_of_a_module_that_is_nested_too_deeply_is_refused(limits: Any) -> None:
    with pytest.raises(AnsibleActionFail, match="nested more than"):
        limits.of_its_host({"results": json.loads("[" * 101 + "]" * 101)})


def test_a_broken_pipe_is_reported_after_the_program_has_ended(limits: Any) -> None:
    slowly = "import os, time; os.close(0); time.sleep(0.5); raise SystemExit(255)"
    with limits.bounded(CONNECTION, seconds=30):
        process = subprocess.Popen(
            [sys.executable, "-ISc", slowly], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        with pytest.raises(BrokenPipeError):
            process.stdin.write(b"x" * (1 << 20))
        assert process.returncode == 255
        assert process.stdout is not None
        process.stdout.close()
