"""A run against an ansible-runner that says what the test wants; tests/integration has the real one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hardener.errors import HardenerError, InternalError
from hardener.fleet import ansible_playbook
from hardener.fleet import run as module
from hardener.fleet.events import Hosts, Idle, Outcome, State, TaskResult
from hardener.fleet.run import Run

Script = Callable[[Callable[[dict[str, Any]], bool], Callable[[], bool]], int]


def hosts(*names: str) -> dict[str, Any]:
    data = {
        "resolved_action": "hardener.docker.hosts",
        "host": names[0],
        "res": {"hosts": dict.fromkeys(names, ())},
    }
    return {"event": "runner_on_ok", "event_data": data}


def result(event: str, host: str, **res: Any) -> dict[str, Any]:
    return {"event": event, "event_data": {"resolved_action": "collect", "host": host, "res": res}}


def stats(processed: str = "", **groups: Mapping[str, int]) -> dict[str, Any]:
    data = {"processed": dict.fromkeys(processed.split(), 1), **groups}
    return {"event": "playbook_on_stats", "event_data": data}


def printed(text: str) -> dict[str, Any]:
    return {"event": "verbose", "stdout": text}


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], list[dict[str, Any]]]:
    """Make ansible-runner follow a script; gives the options of its calls."""

    def install(script: Script) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []

        def init_runner(**options: Any) -> SimpleNamespace:
            config = SimpleNamespace(
                command=["ansible-playbook", "p.yml"],
                env={"LANG": "C", "NOT_TEXT": "\udcff"},
            )
            runner = SimpleNamespace(config=config, rc=None)

            def run() -> None:
                calls.append({**options, **vars(config)})
                runner.rc = script(options["event_handler"], options["cancel_callback"])

            runner.run = run
            return runner

        monkeypatch.setattr("ansible_runner.interface.init_runner", init_runner)
        monkeypatch.setattr(module, "_GRACE_S", 0.1)
        return calls

    return install


def events(*raw: dict[str, Any], code: int = 0) -> Script:
    def script(say: Callable[[dict[str, Any]], bool], _cancelled: Callable[[], bool]) -> int:
        for each in raw:
            say(each)
        return code

    return script


def until_cancelled(*raw: dict[str, Any]) -> Script:
    def script(say: Callable[[dict[str, Any]], bool], cancelled: Callable[[], bool]) -> int:
        for each in raw:
            say(each)
        while not cancelled():
            time.sleep(0.01)
        return 254

    return script


def says_its_number(call: Mapping[str, Any], pid: int) -> None:
    """Do what our script does first."""
    Path(call["private_data_dir"], "ansible.pid").write_text(str(pid))


def a_run(**options: Any) -> Run:
    return Run(lambda folder: {"playbook": "p.yml", "passwords": {"x": "y"}}, label="audit", **options)


def test_events_are_yielded_and_outcomes_kept(play: Callable[[Script], Any]) -> None:
    play(
        events(
            hosts("c", "a", "b", "d"),
            result("runner_on_ok", "a", changed=False),
            result("runner_on_failed", "b", msg="no Python"),
            result("runner_on_unreachable", "c", msg="refused"),
            result("runner_on_ok", "d", changed=True),
            stats("a b c d", dark={"c": 1}, failures={"b": 1}, changed={"d": 1}),
            code=4,
        )
    )
    with a_run() as run:
        seen = list(run)
    assert seen[0] == Hosts(("c", "a", "b", "d"), dict.fromkeys("cabd", ()))
    assert [event.host for event in seen if isinstance(event, TaskResult)] == ["a", "b", "c", "d"]
    assert list(run.outcomes.items()) == [
        ("c", Outcome(State.UNREACHABLE, "refused")),
        ("a", Outcome(State.OK)),
        ("b", Outcome(State.FAILED, "no Python")),
        ("d", Outcome(State.CHANGED)),
    ]


def test_a_rescued_task_is_not_a_failure(play: Callable[[Script], Any]) -> None:
    play(events(hosts("a"), result("runner_on_failed", "a", msg="x"), stats("a", rescued={"a": 1})))
    with a_run() as run:
        list(run)
    assert run.outcomes == {"a": Outcome(State.OK)}


def test_hosts_without_a_final_result_are_failures_if_ansible_stops_early(
    play: Callable[[Script], Any],
) -> None:
    play(
        events(
            hosts("a", "b"),
            result("runner_on_ok", "a"),
            printed("[ERROR]: Unexpected Exception: no space left"),
            code=250,
        )
    )
    reason = "Ansible stopped early: Unexpected Exception: no space left"
    with a_run() as run:
        seen = list(run)
    assert run.outcomes == {host: Outcome(State.FAILED, reason) for host in "ab"}
    assert seen[-2:] == [TaskResult(host, "", State.FAILED, reason) for host in "ab"]


def test_an_inventory_without_hosts_is_an_error(play: Callable[[Script], Any]) -> None:
    play(events({"event": "playbook_on_no_hosts_matched"}, stats()))
    with pytest.raises(HardenerError, match="the inventory has no hosts"), a_run() as run:
        list(run)


def test_a_defect_of_ansible_runner_is_reported_in_one_line(play: Callable[[Script], Any]) -> None:
    def broken(_say: object, _cancelled: object) -> int:
        raise RuntimeError("two\nlines")

    play(broken)
    with (
        pytest.raises(InternalError, match=r"ansible-runner failed: RuntimeError\('two\\nlines'\)"),
        a_run() as run,
    ):
        list(run)


def test_a_run_leaves_no_file(play: Callable[[Script], Any], tmp_path: Path) -> None:
    calls = play(events(hosts("a"), stats("a")))
    with a_run() as run:
        list(run)
        folder = Path(calls[0]["private_data_dir"])
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
    assert calls[0]["quiet"]
    assert calls[0]["suppress_env_files"], "the passwords would be written to a file"
    assert calls[0]["suppress_output_file"]
    assert calls[0]["event_handler"](printed("x")) is False, "the event would be written to a file"


def test_ansible_is_started_by_the_launcher_script_with_the_same_python(
    play: Callable[[Script], Any],
) -> None:
    calls = play(events(hosts("a"), stats("a")))
    with a_run() as run:
        list(run)
    number = str(Path(calls[0]["private_data_dir"], "ansible.pid"))
    start = [sys.executable, "-P", ansible_playbook.__file__, number]
    assert calls[0]["command"] == [*start, "22", "p.yml"]


def test_invalid_utf_8_is_left_out_of_the_environment(play: Callable[[Script], Any]) -> None:
    calls = play(events(hosts("a"), stats("a")))
    with a_run() as run:
        list(run)
    assert calls[0]["env"] == {"LANG": "C"}


def test_a_name_with_invalid_utf_8_is_reported(play: Callable[[Script], Any]) -> None:
    def script(_say: object, _cancelled: object) -> int:
        "/srv/\udcff".encode()
        return 0

    play(script)
    with pytest.raises(HardenerError, match=r"Ansible requires names in UTF-8: /srv/\\udcff"), a_run() as run:
        list(run)


def test_artifacts_are_kept_on_request_without_the_environment(
    play: Callable[[Script], Any], tmp_path: Path
) -> None:
    def script(say: Callable[[dict[str, Any]], bool], _cancelled: object) -> int:
        assert say(hosts("a")) is True
        facts = result("runner_on_ok", "a", ansible_facts={"converge_pending": "a token in log options"})
        facts["event_data"]["resolved_action"] = "ansible.builtin.set_fact"
        assert say(facts) is False
        folder = Path(calls[-1]["artifact_dir"]) / calls[-1]["ident"]
        folder.mkdir(parents=True)
        (folder / "command").write_text("the environment, secrets and all")
        (folder / "stdout").write_text("what Ansible said")
        say(stats("a"))
        return 0

    calls = play(script)
    for _ in range(2):
        with a_run(artifacts=tmp_path) as run:
            list(run)
    kept = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert kept == ["audit-2/stdout", "audit/stdout"]
    assert not calls[0]["suppress_output_file"]


def test_the_output_of_ansible_is_echoed_on_request(play: Callable[[Script], Any]) -> None:
    play(events(printed("PLAY [Audit]"), hosts("a"), stats("a")))
    lines: list[str] = []
    with a_run(echo=lines.append) as run:
        list(run)
    assert lines == ["PLAY [Audit]"]


@pytest.mark.parametrize("late", [0, 0.3])
def test_ansible_is_interrupted_before_it_is_killed(
    play: Callable[[Script], Any], monkeypatch: pytest.MonkeyPatch, late: float
) -> None:
    """An interrupt is passed on to its workers; a kill would leave them, and what they change."""
    sleeper = subprocess.Popen(["sleep", "60"])  # quick to start: it may be interrupted at once

    def script(say: Callable[[dict[str, Any]], bool], cancelled: Callable[[], bool]) -> int:
        say(hosts("a"))
        time.sleep(late)
        says_its_number(calls[0], sleeper.pid)
        sleeper.wait()
        assert not cancelled()
        return 254

    calls = play(script)
    monkeypatch.setattr(module, "_GRACE_S", 5)
    with a_run() as run:
        next(iter(run))
    assert sleeper.returncode == -signal.SIGINT


@pytest.fixture
def ansible() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for Ansible, and lives until its standard input ends."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process


def test_leaving_the_context_waits_for_ansible_not_for_ansible_runner(
    play: Callable[[Script], Any], ansible: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = threading.Event()
    closed = threading.Event()

    def script(say: Callable[[dict[str, Any]], bool], _cancelled: object) -> int:
        says_its_number(calls[0], ansible.pid)
        for each in (hosts("a"), stats("a")):
            say(each)
        time.sleep(0.2)
        closed.set()
        assert ansible.stdin
        ansible.stdin.close()
        ansible.wait()
        idle.wait()
        return 0

    calls = play(script)
    monkeypatch.setattr(module, "_GRACE_S", 5)
    try:
        with a_run() as run:
            list(run)
        assert closed.is_set(), "it did not wait for Ansible"
        assert [thread for thread in threading.enumerate() if thread.name == "ansible-audit"]
        assert not Path(calls[0]["private_data_dir"]).exists()
    finally:
        idle.set()


def test_leaving_the_context_waits_for_artifacts(
    play: Callable[[Script], Any],
    ansible: subprocess.Popen[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def script(say: Callable[[dict[str, Any]], bool], _cancelled: object) -> int:
        says_its_number(calls[0], ansible.pid)
        for each in (hosts("a"), stats("a")):
            say(each)
        ansible.communicate()
        time.sleep(0.2)
        (tmp_path / "last").touch()
        return 0

    calls = play(script)
    monkeypatch.setattr(module, "_GRACE_S", 5)
    with a_run(artifacts=tmp_path) as run:
        list(run)
    assert (tmp_path / "last").exists()


def test_idle_events_are_yielded_while_nothing_happens(
    play: Callable[[Script], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_IDLE_S", 0.01)
    play(until_cancelled())
    with a_run() as run:
        assert next(iter(run)) == Idle()


def terminate_at_first_event(run: Run, number: signal.Signals) -> None:
    for _ in run:
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_termination_signals_are_handled_like_an_interrupt(
    play: Callable[[Script], Any], number: signal.Signals
) -> None:
    before = signal.signal(number, signal.SIG_DFL)
    try:
        play(until_cancelled(hosts("a")))
        with pytest.raises(KeyboardInterrupt), a_run() as run:
            terminate_at_first_event(run, number)
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_an_ignored_hangup_stays_ignored(play: Callable[[Script], Any]) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        play(events(hosts("a"), stats("a")))
        with a_run() as run:
            os.kill(os.getpid(), signal.SIGHUP)
            list(run)
        assert run.outcomes == {"a": Outcome(State.OK)}
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("lease", [None, 0.1])
def test_a_stopped_ansible_process_is_ended_only_when_its_lease_expires(
    play: Callable[[Script], Any],
    ansible: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
    lease: float | None,
) -> None:
    """A process that is stopped by a signal would never end, and its slice with it."""
    monkeypatch.setattr(module, "_IDLE_S", 0.02)

    def script(say: Callable[[dict[str, Any]], bool], cancelled: Callable[[], bool]) -> int:
        says_its_number(calls[0], ansible.pid)
        ansible.send_signal(signal.SIGSTOP)
        while ansible.poll() is None and not cancelled():
            time.sleep(0.01)
        return 254

    calls = play(script)
    with a_run(lease=lease) as run:
        for number, event in enumerate(run.events()):
            assert event == Idle()
            if lease is None and number == 10:
                ansible.kill()
        assert not run.is_complete
    assert ansible.returncode == -signal.SIGKILL
