"""What bpftrace prints becomes counts; names that containers choose stay names."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.record import bpftrace
from ansible_collections.hardener.docker.plugins.module_utils.record.bpftrace import Bpftrace

ID = "0123456789abcdef" * 4


class Child:
    """Stands for bpftrace: prints what it is given, at each reading."""

    def __init__(self, *lines: bytes) -> None:
        self.printed = list(lines)

    def lines(self, _seconds: float) -> Iterator[bytes]:
        yield from self.printed


def running(*lines: bytes) -> Bpftrace:
    """A bpftrace that prints these lines, and then the end of its first answer."""
    found = Bpftrace.__new__(Bpftrace)
    found._child = Child(*lines, printed("printf", "1"))  # type: ignore[assignment]
    found._turn = 0
    found._token = 7
    found._losses = {}
    return found


def printed(kind: str, data: Any) -> bytes:
    return json.dumps({"type": kind, "data": data}).encode()


def answer(name: str, *keys: str) -> list[dict[str, Any]]:
    return running(printed("map", {f"@{name}": dict.fromkeys(keys, 1)})).read_one(name)


def test_two_scripts_differ_only_in_their_token() -> None:
    for way in ("tracepoint", "fexit", ""):
        scripts = {bpftrace.script(token, "x86_64", way) for token in (1234567, 7654321)}
        assert len({re.sub(r"1234567|7654321", "", text) for text in scripts}) == 1
        assert "RECORDED" not in scripts.pop()


def test_the_script_probes_capability_checks_in_the_given_way() -> None:
    assert "rawtracepoint:cap_capable" in bpftrace.script(1, "x86_64", "tracepoint")
    assert "fexit:vmlinux:cap_capable" in bpftrace.script(1, "x86_64", "fexit")
    assert "capabilities" not in bpftrace.script(1, "x86_64", "")
    with pytest.raises(Failed, match="no script for the architecture riscv64"):
        bpftrace.script(1, "riscv64", "")


def test_calls_are_grouped_by_program_and_phase() -> None:
    assert answer("calls", "9,0,0,0,3,sh", "9,0,0,0,257,sh", "9,4,0,0,3,sh", "9,0,0,1,59,runc:[2:INIT]") == [
        {"cgroup": 9, "program": "sh", "phase": 0, "kind": 0, "runtime": False, "numbers": [3, 257]},
        {"cgroup": 9, "program": "sh", "phase": 4, "kind": 0, "runtime": False, "numbers": [3]},
        {"cgroup": 9, "program": "?", "phase": 0, "kind": 0, "runtime": True, "numbers": [59]},
    ]


@pytest.mark.parametrize(
    ("comm", "shown"),
    [
        ("a,0,1,2", "a,0,1,2"),
        ('"}, "type": "', '"}, "type": "'),
        ("a\nb", "a\\nb"),
        ("", "?"),
        ("\\uffffffc3", "\\uffffffc3"),  # in letters
    ],
)
def test_the_name_of_a_program_is_not_parsed_as_other_fields(comm: str, shown: str) -> None:
    (found,) = answer("calls", f"9,0,0,0,3,{comm}")
    assert (found["program"], found["numbers"]) == (shown, [3])


def test_bytes_above_127_are_restored() -> None:
    # As bpftrace 0.23 prints them: each byte as a negative number.
    line = rb'{"type": "map", "data": {"@execs": {"9,0,/\uffffffc3\uffffffa4\uffffffff": 1}}}'
    (found,) = running(line).read_one("execs")
    assert found["path"] == b"/\xc3\xa4\xff"


def test_executed_programs_are_named_after_their_file() -> None:
    assert answer("execs", "9,0,/bin/a,b", "9,4,/bin/a,b") == [
        {"cgroup": 9, "program": "a,b", "path": b"/bin/a,b", "phases": [0, 4]}
    ]


def test_socket_families_and_capabilities_are_parsed_as_numbers() -> None:
    assert answer("sockets", "9,4,2,0,a", "9,4,10,1,a") == [
        {"cgroup": 9, "program": "a", "family": 2, "connect": False, "phases": [4]},
        {"cgroup": 9, "program": "a", "family": 10, "connect": True, "phases": [4]},
    ]
    assert answer("capsets", "9,0,1,3,0,d") == [
        {"cgroup": 9, "program": "d", "effective": 1, "permitted": 3, "inheritable": 0, "phases": [0]}
    ]
    in_none, in_i386 = answer("capabilities", "9,0,0,0,21,a", f"9,0,{1 << 32 | 6},1,0,a")
    assert (in_none["number"], in_none["kind"], in_none["capability"]) == (-1, 0, 21)
    assert (in_i386["number"], in_i386["kind"], in_i386["level"]) == (5, 1, 1)


@pytest.mark.parametrize("key", ["", "9", "9,8,0,0,3,sh", "x,0,0,0,3,sh", "9,0,0,0"])
def test_a_malformed_key_in_the_output_of_bpftrace_is_refused(key: str) -> None:
    with pytest.raises(Failed, match="bpftrace's answer cannot be read"):
        answer("calls", key)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"Attaching 5 probes",
        b"[" * 10_000,
        b"7",
        b'{"type": "map", "data": {"@calls": 7}}',
        b'{"data": []}',
    ],
)
def test_lines_that_are_not_answers_are_ignored(line: bytes) -> None:
    assert running(line).read_one("calls") == []


def test_an_answer_without_its_end_is_an_error() -> None:
    found = running()
    found._turn = 1  # the end is that of the answer before
    with pytest.raises(Failed, match="bpftrace does not answer"):
        found.read_one("calls")


def test_a_full_map_and_a_truncated_path_are_reported_as_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpftrace, "_MOST", 2)
    found = running(printed("map", {"@calls": {"9,0,0,0,3,a": 1, "9,0,0,0,4,a": 1}}))
    found.read_one("calls")
    assert found.losses() == ["some of the system calls were lost, because a map was full"]
    found = running(printed("map", {"@execs": {"9,0,/" + "a" * 250: 1}}))
    found.read_one("execs")
    assert found.losses() == ["some of the executed programs were lost, because a path was too long"]


def test_the_cgroups_of_one_recorded_twin_are_returned() -> None:
    lines = printed("map", {"@slots": {"11": 1, "12": 2, "13": 3, "14": 3}})
    assert running(lines).cgroups(1) == {13, 14}


@pytest.mark.parametrize("identity", ["", ID[:-1], f"{ID}0", f"{ID}\n", "g" * 64, ID.upper()])
def test_an_invalid_container_id_is_refused(identity: str) -> None:
    with pytest.raises(Failed, match="not a container id"):
        running().want(identity)


def program(folder: Path, text: str) -> str:
    path = folder / "bpftrace"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "echo 'stdin:3:2: ERROR: no such field' >&2; echo code >&2",
            "bpftrace: stdin:3:2: ERROR: no such field",
        ),
        ("kill -SEGV $$", "bpftrace ended without an error message"),
    ],
)
def test_the_error_of_a_failed_start_is_reported(tmp_path: Path, text: str, reason: str) -> None:
    child = bpftrace._Child(program(tmp_path, text), "", 60)
    with pytest.raises(Failed) as caught:
        list(child.lines(30))
    assert str(caught.value) == reason
    child.end()


def test_a_child_gets_the_script_and_is_killed(tmp_path: Path) -> None:
    child = bpftrace._Child(program(tmp_path, "cat; echo; exec sleep 1000"), "the script", 60)
    assert next(line for line in child.lines(30) if line) == b"the script"
    child.end()
    with pytest.raises(ProcessLookupError):
        os.kill(child._pid, 0)


def test_an_endless_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpftrace, "_MAX_ANSWER", 100_000)
    child = bpftrace._Child(program(tmp_path, "exec tr '\\0' a </dev/zero"), "", 60)
    with pytest.raises(Failed, match="printed more than 100000 bytes"):
        list(child.lines(30))
    child.end()
