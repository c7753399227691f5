from __future__ import annotations

import binascii
import random
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.hardener.docker.plugins.module_utils.contract import STEP
from ansible_collections.hardener.docker.plugins.plugin_utils import answer_size, host_script
from ansible_collections.hardener.docker.plugins.plugin_utils.host_script import (
    Steps,
    require_own,
    without_steps,
)

from tests.unit.plugins.loading import action as action_module

MARKER = "host-script-0123456789abcdef"
MAIN = """
import os
from .deep.other import VALUE

def echo(arguments):
    print("noise on standard output")
    return {"arguments": arguments, "value": VALUE, "files": os.listdir(arguments["cwd"])}

def encoded(arguments):
    return b'{"already": "JSON"}'

def broken(arguments):
    raise ValueError("not\\nlike\\x1b[31m this")

def refuse(arguments):
    from ..host.errors import Failed
    raise Failed(*arguments)

def leave(arguments):
    raise SystemExit("gone")

def library(arguments):
    from ..host.sources import sources
    return sorted(sources("probe"))

def strange(arguments):
    return {"a": {1, 2}}

def hang(arguments):
    import threading, time
    threading.Thread(target=time.sleep, args=(60,)).start()
    return "done"

def sleep(arguments):
    import time
    time.sleep(60)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    package = tmp_path / "probe"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "deep" / "__init__.py").write_text("from .other import VALUE as AGAIN\n")
    (package / "deep" / "other.py").write_text("VALUE = 'h\\u00e9llo'\n", encoding="utf-8")
    (package / "main.py").write_text(MAIN)
    return package


def action() -> Any:
    """The action without the world around it."""
    made = object.__new__(action_module("host_script").ActionModule)
    made._compute_environment_string = lambda: ""
    return made


def deliver(
    source: Path, entry: str, arguments: Any = None, *, timeout: int = 0, interpreters: Any = None
) -> Any:
    """What the controller makes of it when a real shell runs the command and a real Python the script."""
    payload = host_script.bundle(
        source=source, entry=entry, arguments=arguments, marker=MARKER, timeout=timeout
    )
    interpreters = interpreters or [[sys.executable]]
    ended = subprocess.run(
        ["/bin/sh", "-c", f"echo Welcome; {action()._command(interpreters)}"],
        input=payload,
        capture_output=True,
        check=False,
    )
    outcome = {"rc": ended.returncode, "stdout": ended.stdout.decode(), "stderr": ended.stderr.decode()}
    return action()._parse(outcome, MARKER, interpreters=interpreters, timeout=timeout)[:2]


def test_arguments_are_sent_and_the_result_is_returned(source: Path, tmp_path: Path) -> None:
    arguments = {"cwd": str(tmp_path), "text": "'\"$(id)`\n\u2603\0", "n": [1.5, None, True]}
    head, answer = deliver(source, "main:echo", arguments)
    assert answer["result"] == {"arguments": arguments, "value": "h\u00e9llo", "files": ["probe"]}
    assert head == {"python": sys.version.split()[0], "executable": sys.executable}


def test_a_result_that_is_encoded_json_is_accepted(source: Path) -> None:
    assert deliver(source, "main:encoded")[1] == {"result": {"already": "JSON"}}


def test_the_common_modules_are_part_of_every_bundle(source: Path) -> None:
    found = deliver(source, "main:library")[1]["result"]
    assert {
        f"{name}.py"
        for name in ("contract", "docker/keys", "host/sources", "probe/__init__", "probe/deep/other")
    } <= set(found)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("main:broken", "ValueError: not\nlike"),
        ("main:leave", "SystemExit: gone"),
        ("main:strange", "not JSON serializable"),
        ("main:missing", "has no attribute 'missing'"),
        ("nowhere:f", "No module named 'hardener_host.probe.nowhere'"),
    ],
)
def test_an_error_on_the_host_is_returned_with_its_traceback(source: Path, entry: str, why: str) -> None:
    _, answer = deliver(source, entry)
    assert why in answer["error"]
    assert "Traceback" in answer["traceback"]


@pytest.mark.parametrize(
    ("words", "said"), [(["there is no bpftool"], "there is no bpftool"), ([], "Failed: ")]
)
def test_an_error_of_hardener_is_reported_by_its_message_only(
    source: Path, words: list[str], said: str
) -> None:
    assert deliver(source, "main:refuse", words)[1]["error"] == said


def test_a_traceback_shows_the_source_line(source: Path) -> None:
    _, answer = deliver(source, "main:broken")
    assert "<host_script>/hardener_host.probe.main" in answer["traceback"]
    assert 'raise ValueError("not' in answer["traceback"]


def test_a_hanging_thread_does_not_delay_the_result(source: Path) -> None:
    assert deliver(source, "main:hang")[1] == {"result": "done"}


def test_a_script_that_takes_too_long_is_killed(source: Path) -> None:
    with pytest.raises(AnsibleActionFail, match="did not end within 1 s"):
        deliver(source, "main:sleep", timeout=1)


def fake(tmp_path: Path, name: str, text: str) -> list[str]:
    path = tmp_path / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return [str(path)]


def test_the_first_working_python_is_used(source: Path, tmp_path: Path) -> None:
    interpreters = [
        ["/nonexistent/python"],
        fake(tmp_path, "shim", "echo no such version >&2; exit 127"),
        fake(tmp_path, "old", "echo old is Python 3.6.8 >&2; exit 86"),
        [sys.executable],
        fake(tmp_path, "never", "exit 1"),
    ]
    head, _ = deliver(source, "main:encoded", interpreters=interpreters)
    assert head["executable"] == sys.executable


def test_an_interpreter_may_have_arguments(source: Path) -> None:
    assert deliver(source, "main:encoded", interpreters=[["/usr/bin/env", sys.executable]])[1]["result"]


def test_a_missing_python_and_an_old_one_are_reported(source: Path, tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match=r"no Python on the host \(tried /none, /neither\)"):
        deliver(source, "main:encoded", interpreters=[["/none"], ["/neither"]])
    old = fake(tmp_path, "old", "echo old is Python 3.6.8 >&2; exit 86")
    with pytest.raises(
        AnsibleActionFail, match=r"3\.8 or newer is needed on the host: old is Python 3\.6\.8 \(tried"
    ):
        deliver(source, "main:encoded", interpreters=[old])


class Task:
    """As much of Ansible's task as matters here."""

    delegate_to = None


class Templar:
    """Variables without templates in them."""

    @staticmethod
    def template(value: object) -> object:
        return value


@pytest.mark.parametrize(
    ("variables", "interpreters"),
    [
        ({"ansible_python_interpreter": "/opt/py/bin/python3"}, [["/opt/py/bin/python3"]]),
        ({"ansible_python_interpreter": "/usr/bin/env 'my python'"}, [["/usr/bin/env", "my python"]]),
    ],
)
def test_a_configured_interpreter_is_used(variables: Any, interpreters: Any) -> None:
    made = action()
    made._task, made._templar = Task(), Templar()
    assert made._interpreters(variables) == (interpreters, False)


def test_the_discovered_interpreter_is_tried_first_and_others_where_a_host_lacks_it() -> None:
    made = action()
    made._task, made._templar = Task(), Templar()
    known = {"ansible_facts": {"discovered_interpreter_python": "/opt/of-another-host/python3"}}
    interpreters, discovering = made._interpreters(known)
    assert interpreters[:2] == [["/opt/of-another-host/python3"], ["/usr/bin/python3"]]
    assert not discovering


def test_discovery_tries_the_interpreter_of_the_system_first() -> None:
    made = action()
    made._task, made._templar = Task(), Templar()
    for mode in ("auto", "auto_silent"):
        interpreters, discovering = made._interpreters({"ansible_python_interpreter": mode})
        assert discovering
        assert interpreters[0] == ["/usr/bin/python3"]
        assert ["python3"] in interpreters


def test_the_loader_refuses_an_old_python_before_it_reads_the_payload() -> None:
    loader = host_script._LOADER.replace("(3,8)", "(99,0)")
    ended = subprocess.run(
        [sys.executable, "-c", loader], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert ended.returncode == 86
    assert f"is Python {sys.version.split()[0]}".encode() in ended.stderr


def parse(stdout: str, stderr: str = "", rc: int = 1, *, parsed: bool = True) -> Any:
    outcome = {"rc": rc, "stdout": stdout, "stderr": stderr}
    return action()._parse(outcome, MARKER, interpreters=[["python3"]], timeout=0, parsed=parsed)


def answered(text: bytes) -> str:
    blob = binascii.b2a_base64(zlib.compress(text)).decode()
    return f"{MARKER} {{}}\n{blob}{MARKER}"


def test_a_result_may_be_returned_unparsed() -> None:
    text = b'{"result":{"a": 1e999, "b": [}}'  # JSON or not
    assert parse(answered(text), parsed=False) == ({}, {}, b'{"a": 1e999, "b": [}')
    with pytest.raises(AnsibleActionFail, match="cannot be read"):
        parse(answered(text))
    assert parse(answered(b'{"result":{"a":1}}')) == ({}, {"result": {"a": 1}}, b'{"a":1}')


@pytest.mark.parametrize("parsed", [True, False])
def test_an_error_is_parsed_even_if_results_are_not(parsed: bool) -> None:
    assert parse(answered(b'{"error":"x"}'), parsed=parsed) == ({}, {"error": "x"}, b"")
    assert parse(answered('{"result":"\u2603"}'.encode()), parsed=parsed)[2] == b""
    with pytest.raises(AnsibleActionFail, match="cannot be read"):
        parse(answered(b'{"result":1'), parsed=parsed)


def test_an_unparsed_result_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_size, "VALUES", 10)
    with pytest.raises(AnsibleActionFail, match="more than 10 values"):
        parse(answered(b'{"result":[1,2,3,4,5,6,7,8,9,10,11,12]}'), parsed=False)


@pytest.mark.parametrize(
    "stdout",
    [
        f"{MARKER} {{}}\nnot base64!\n{MARKER}\n",
        f"{MARKER} {{}}\nAAAA\n{MARKER}\n",
        f"{MARKER} {{\n\n{MARKER}\n",
        f"{MARKER} [1]\neJyrrgUAAXUA+Q==\n{MARKER}\n",
    ],
)
def test_an_altered_answer_is_refused(stdout: str) -> None:
    with pytest.raises(AnsibleActionFail, match="cannot be read"):
        parse(stdout, rc=0)


def test_an_answer_of_another_script_is_refused() -> None:
    with pytest.raises(AnsibleActionFail, match="ended with code 0 on the host"):
        parse("host-script-ffffffffffffffff {}\nAAAA\nhost-script-ffffffffffffffff", rc=0)


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_size, "ANSWER", 1000)
    with pytest.raises(AnsibleActionFail, match="larger than 1000 bytes"):
        parse(answered(b'{"result":"' + b"x" * 1_000_000 + b'"}'))


def test_output_of_the_host_is_shown_as_one_short_line() -> None:
    with pytest.raises(AnsibleActionFail) as caught:
        parse("", "lecture\n\x1b[31m" + "x" * 5000 + "\nsudo: a password is required\n")
    message = str(caught.value)
    assert message.endswith("sudo: a password is required")
    assert len(message) < 400
    assert message.isprintable()


def test_a_folder_that_is_not_a_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match=r"no __init__\.py"):
        host_script.bundle(source=tmp_path, entry="main:f", arguments={}, marker=MARKER)


def told(*pieces: bytes) -> list[str]:
    found: list[str] = []
    steps = Steps(found.append)
    for piece in pieces:
        steps.read(piece)
    return found


def line(name: str) -> bytes:
    return f"{STEP} {name}\n".encode()


@pytest.mark.parametrize("seed", range(20))
def test_steps_are_found_in_any_chunks(seed: int) -> None:
    chosen = random.Random(seed)
    names = ["back up", "write files", "restart docker", "check health"]
    text = b"warning: x\n".join(line(name) for name in names) + b"no step"
    cuts = sorted(chosen.randrange(len(text)) for _ in range(chosen.randrange(12)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert told(*pieces) == names


@pytest.mark.parametrize(
    "name", ["", " ", "Restart", "x" * 41, "\x1b[31mred", "a\u202eb", "a: b", "a{{ b }}", "a;b"]
)
def test_a_line_with_an_invalid_step_name_is_not_a_step(name: str) -> None:
    assert told(line(name)) == []


def test_endless_output_takes_bounded_memory() -> None:
    assert len(told(*[line("x") * 100] * 100)) == 200
    found: list[str] = []
    steps = Steps(found.append)
    for _ in range(100):
        steps.read(f"{STEP} ".encode() + b"x" * 100_000)
    assert len(steps._rest) <= 100
    assert found == []


def test_a_truncated_line_is_not_a_step() -> None:
    assert told(b"x" * 200, line("restart docker")) == []
    assert told(f"{STEP} ".encode() + b"x" * 500, b"y\n") == []


def test_steps_are_removed_from_the_reason_of_a_failure() -> None:
    said = "sudo: lecture\n" + line("back up").decode() + "Traceback\n" + line("roll back").decode()
    assert without_steps(said) == "sudo: lecture\nTraceback\n"


def test_data_of_the_host_at_work_is_accepted() -> None:
    require_own({"inventory_hostname": "web1"}, {"host": "web1"}, "it")


@pytest.mark.parametrize("data", [{"host": "web2"}, {"host": None}, {"host": ""}, {}])
def test_data_of_another_host_or_of_none_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(AnsibleActionFail, match=r"^it belongs to the host .*, not to 'web1'"):
        require_own({"inventory_hostname": "web1"}, data, "it")


def test_a_document_of_another_host_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_: {})
    made = object.__new__(action_module("converge").ActionModule)
    documents = [{"name": "a", "host": "web1"}, {"name": "b"}, {"name": "c", "host": "web2"}]
    made._task = SimpleNamespace(args={})
    made.validate_argument_spec = lambda **_: (None, {"documents": documents, "only": None})
    made.run_script = lambda *_, **__: pytest.fail("the host was asked")
    with pytest.raises(AnsibleActionFail, match="the document c belongs to the host 'web2', not to 'web1'"):
        made.run(task_vars={"inventory_hostname": "web1"})
