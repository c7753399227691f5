"""The very script that ansible-runner starts."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_runner.utils import OutputEventFilter

from hardener.fleet import ansible_playbook as module
from hardener.fleet.ansible_playbook import inert
from tests.unit.fleet.forging import END, GONE, STATS, forged
from tests.unit.sleeping import replace_sleep

SCRIPT = Path(module.__file__)


def script(home: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    present = {"PATH": path, "LC_ALL": "C.UTF-8", "HOME": str(home), "ANSIBLE_NOCOLOR": "1"}
    command = [sys.executable, "-P", str(SCRIPT), str(home / "pid"), "22", *arguments]
    return subprocess.run(command, cwd=cwd, env=present, check=False, capture_output=True, text=True)


def test_the_launcher_runs_ansible_playbook(tmp_path: Path) -> None:
    shown = script(tmp_path, "--version", cwd=tmp_path)
    assert shown.stdout.startswith("ansible-playbook [core 2.")
    executable = Path(sys.executable).with_name("ansible-playbook")
    assert f"executable location = {executable}\n" in shown.stdout
    wrong = script(tmp_path, "--no-such-option", cwd=tmp_path)
    assert (wrong.returncode, "usage: ansible-playbook [-h]" in wrong.stderr) == (2, True)


def test_the_launcher_writes_its_process_id_first(tmp_path: Path) -> None:
    command = [sys.executable, "-P", str(SCRIPT), "pid", "22", "--no-such-option"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        process.wait()
    assert (tmp_path / "pid").read_text() == str(process.pid)


def test_no_module_is_imported_from_the_current_folder(tmp_path: Path) -> None:
    for name in ("ansible", "yaml", "json", "events"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the current folder')")
    assert script(tmp_path, "--version", cwd=tmp_path).returncode == 0


FORGED = {
    "the end of the run": STATS,
    "another host is gone": GONE,
    "another host failed": forged("runner_on_failed", host="db1", res={"msg": "x"}),
    "another host was changed": forged("runner_on_ok", host="db1", res={"changed": True}),
    "a plan of another host": forged(
        "runner_on_ok", host="db1", resolved_action="converge", res={"outcome": "would_change"}
    ),
    "hosts that are none": forged(
        "runner_on_ok", resolved_action="hardener.docker.hosts", res={"hosts": {"x": []}}
    ),
    "a task": forged("playbook_on_task_start", name="x"),
    "no data": forged("playbook_on_stats"),
    "a letter at a time": forged("playbook_on_stats", width=1),
    "in one piece": forged("playbook_on_stats", width=10_000, processed={"db1": 1}),
    "in a line": f"ssh: {GONE} and more",
    "at the end of a line": f"ssh\r\n{STATS}\r\n",
    "with line ends of Windows": STATS.replace("\x1b[K", "\r\n\x1b[K", 1),
    "after the end of ours": f"{END}{STATS}{END}",
    "only an end": END,
    "two of them": GONE + "text" + STATS,
    "after half of one": f"{GONE[:50]}{STATS}",
    "after an open escape": f"\x1b{STATS}",
    "among tabs": f"\t{STATS}\t",
    "among characters of any language": f"\u00e4\u4e2d\U0001f600{GONE}",
}
# What else acts on a terminal.
ACTING = (
    *(
        "\x1b[2J",
        "\x1b]0;title\x07",
        "\x9b2J",
        "\x90q\x9c",
        "\x07",
        "\x08\x08",
        "a\rb",
        "\x7f",
        "\x00",
        "\x0e",
    ),
    *("\u202e", "\u2066", "\u200b", "\u2028", "\ufeff", "\u061c"),
)
PROMPTS = (
    "BECOME password: ",
    "Vault password: ",
    "ssh:\nBECOME password: \nmore",
    "ssh:\r\nBECOME password: \r\n",
    "\n" * 50 + "Vault password: ",
    "BECOME password: \n" * 50,
    "BECOME password: BECOME password: ",
)


def taken(text: str) -> list[dict[str, Any]]:
    """The events that ansible-runner finds in what Ansible has printed."""
    found: list[dict[str, Any]] = []
    stream = OutputEventFilter(io.StringIO(), found.append, suppress_ansible_output=True)
    for each in (text, "\n", END):
        stream.write(each)
    stream.close()
    return [each for each in found if each["event"] not in ("verbose", "EOF")]


@pytest.mark.parametrize("text", FORGED.values(), ids=FORGED)
def test_a_message_cannot_contain_an_event(text: str) -> None:
    assert taken(text) or text == END  # this is how the attack works
    assert taken(inert(text)) == []
    assert "\x1b" not in inert(text)


@pytest.mark.parametrize("text", ACTING)
def test_control_characters_in_a_message_are_escaped(text: str) -> None:
    assert inert(f"a\tb\n{text}").removeprefix("a\tb\n").isprintable()


@pytest.mark.parametrize("text", PROMPTS)
def test_a_message_cannot_look_like_a_password_prompt(text: str) -> None:
    prompts = re.compile("^(BECOME|Vault) password: $", re.MULTILINE)
    cuts = [inert(text)[:end].replace("\n", "\r\n") for end in range(len(inert(text)) + 1)]
    assert prompts.search(text.replace("\r\n", "\n")) or "password: BECOME" in text
    assert not any(prompts.search(cut) for cut in cuts)


def test_ordinary_messages_are_unchanged() -> None:
    text = "[ERROR]: Task failed: \u00e4\u4e2d\U0001f600\n\tOrigin: /a/b.yml:1:3\n\n"
    assert inert(text) == text


def test_terminal_controls_in_the_output_of_ansible_are_escaped(tmp_path: Path) -> None:
    message = f"{STATS}\nBECOME password: \n{''.join(ACTING)}"
    (tmp_path / "variables.json").write_text(json.dumps({"message": message}))
    tasks = [{"ansible.builtin.fail": {"msg": "{{ message }}"}}]
    play = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]
    path = tmp_path / "play.json"
    path.write_text(json.dumps(play))
    ended = script(tmp_path, str(path), "-e", "@variables.json", cwd=tmp_path)
    said = ended.stdout + ended.stderr
    assert (ended.returncode, "[ERROR]: Task failed" in said) == (2, True)
    assert "\x1b" not in said
    assert "\nBECOME password: " not in said


def test_short_sleeps_of_polling_are_lengthened_and_other_sleeps_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    replace_sleep(monkeypatch, slept.append)
    module.poll_less_often()
    for seconds in (0.0001, 0.001, 0, 3):
        time.sleep(seconds)
    assert slept == [0.01, 0.01, 0, 3]


_SIGNALS = """
import os, signal, subprocess, sys, time
from functools import partial
from types import SimpleNamespace
from ansible.executor.process.worker import WorkerProcess
from hardener.fleet.ansible_playbook import end_workers_with_this_process
end_workers_with_this_process()
for _ in range(100):
    ready, told = os.pipe()
    if not (worker := os.fork()):
        os.setsid()
        ended = partial(WorkerProcess._term, SimpleNamespace(pid=os.getpid()))
        signal.signal(signal.SIGTERM, ended)
        program = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.write(told, str(program.pid).encode())
        while True:
            time.sleep(0.1)
    print(os.read(ready, 20).decode())
    while not os.waitpid(worker, os.WNOHANG)[0]:
        os.kill(worker, signal.SIGTERM)
"""


def test_a_worker_that_gets_many_signals_ends_its_programs() -> None:
    done = subprocess.run([sys.executable, "-c", _SIGNALS], capture_output=True, text=True, check=True)
    programs = [int(each) for each in done.stdout.split()]
    assert len(programs) == 100
    deadline = time.monotonic() + 20
    while left := [each for each in programs if Path(f"/proc/{each}").exists()]:
        if time.monotonic() > deadline:
            for each in left:
                os.kill(each, signal.SIGKILL)
            pytest.fail(f"{len(left)} programs were left")
        time.sleep(0.05)
