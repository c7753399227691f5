from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import (
    history,
    liveness,
    rollback,
    system,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.journal import Journal
from ansible_collections.hardener.docker.plugins.module_utils.converge.liveness import Look, Session

from tests.unit.plugins.module_utils.converge.answering import answering
from tests.unit.plugins.module_utils.converge.guarded import change
from tests.unit.plugins.module_utils.converge.host import Host

SHELL, USERS = "runs programs (/bin/sh)", "runs programs of users (/bin/sh)"
PYTHON = f"runs programs ({sys.executable})"
LOOK = liveness.look


@contextmanager
def server(*greeting: bytes) -> Iterator[Session]:
    """Something that greets each connection, or only takes it."""

    def greet(connection: socket.socket) -> None:
        for part in greeting:
            connection.sendall(part)

    listener = socket.create_server(("127.0.0.1", 0))
    with answering(listener, greet):
        yield Session("127.0.0.1", "127.0.0.1", listener.getsockname()[1])


def test_a_working_host_runs_programs_of_root_and_of_users() -> None:
    found = LOOK(None)
    assert found.working == {SHELL, PYTHON, *([USERS] if os.geteuid() == 0 else [])}
    assert liveness.lost(found) == []


@pytest.mark.parametrize(
    ("greeting", "answers"),
    [
        ((b"SSH-2.0-OpenSSH_9.2p1\r\n",), True),
        ((b"this host is watched\r\n", b"SSH-2.0", b"-x\r\n"), True),
        ((b"HTTP/1.1 400 Bad Request\r\nX: SSH-2.0\r\n",), False),
        ((b"x" * 100_000,), False),
        ((), False),
    ],
)
def test_an_ssh_server_works_if_it_sends_its_identification(
    greeting: tuple[bytes, ...], *, answers: bool
) -> None:
    with server(*greeting) as came_in:
        found = {name for name in LOOK(came_in).working if name.startswith("answers")}
    expected = {f"answers new connections by ssh (127.0.0.1 port {came_in.port})"}
    assert found == (expected if answers else set())


def test_only_a_server_that_worked_before_is_reported_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "_PATIENCE", 0.1)
    with server(b"SSH-2.0-x\r\n") as came_in:
        before = LOOK(came_in)
    assert liveness.lost(before) == [
        f"this host no longer answers new connections by ssh (127.0.0.1 port {came_in.port})"
    ]
    assert liveness.lost(LOOK(came_in)) == []


def test_a_program_that_does_not_start_is_reported_as_lost_and_a_slow_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(liveness, "_MOMENT", 0.5)
    before = LOOK(None)
    outcomes = iter([system.Outcome(126, "", "Permission denied"), system.Outcome(0, "42\n", "")])
    monkeypatch.setattr(system, "run", lambda *_, **__: next(outcomes, system.Outcome(0, "42\n", "")))
    assert liveness.lost(before) == []
    monkeypatch.setattr(liveness, "_MOMENT", 0)
    monkeypatch.setattr(system, "run", lambda *_, **__: system.Outcome(0, "41\n", ""))
    assert sorted(liveness.lost(before)) == sorted(f"this host no longer {name}" for name in before.working)


def test_a_program_runs_as_another_user_only_if_the_caller_is_root() -> None:
    if os.geteuid() != 0:
        assert system.run("/bin/sh", "-c", "exit 0", user=65534).code == 126
    else:
        assert system.run("/usr/bin/id", "-u", user=65534).output == "65534\n"
        assert system.run("/usr/bin/id", "-G", user=65534).output == "65534\n"


# --- in a transaction ---------------------------------------------------------------------------------------


@pytest.fixture
def lives_by(host: Host, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of this host that stands for all: it is run by way of an interpreter, which can be broken."""
    interpreter = host.folder / "interpreter"
    interpreter.write_bytes(Path("/bin/sh").resolve().read_bytes())
    interpreter.chmod(0o755)
    program = host.folder / "program"
    program.write_text(f"#!{interpreter}\necho 42\n")
    program.chmod(0o755)
    questions = {"runs programs (one)": lambda: liveness._runs_programs(str(program))}
    monkeypatch.setattr(liveness, "look", LOOK)
    monkeypatch.setattr(liveness, "_questions", lambda *_: questions)
    monkeypatch.setattr(liveness, "_MOMENT", 0.1)
    return interpreter


def test_a_run_without_impact_that_breaks_programs_is_rolled_back(host: Host, lives_by: Path) -> None:
    tight = {"kind": "attributes", "path": str(lives_by), "at_most": "0444"}
    done = host.converge(tight, host.file("x", "new"))
    assert (done["outcome"], done["reason"]) == ("rolled_back", "this host no longer runs programs (one)")
    assert lives_by.stat().st_mode & 0o777 == 0o755
    assert not (host.folder / "x").exists()
    assert Journal.find(host.store) is None
    assert host.converge(host.file("x", "new"))["outcome"] == "changed"


def test_a_rollback_after_which_programs_do_not_start_fails(
    host: Host, lives_by: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("x", "old")
    monkeypatch.setattr(liveness, "look", lambda _: Look(frozenset({"runs programs (one)"}), None))
    monkeypatch.setattr(liveness, "_questions", lambda *_: {"runs programs (one)": lambda: False})
    done = host.converge(host.file("x", "new"))
    lost = "this host no longer runs programs (one)"
    assert (done["outcome"], done["reason"], done["problems"]) == ("rollback_failed", lost, [lost])
    assert host.read("x") == "old"


# --- when a run is rolled back later ------------------------------------------------------------------------


def test_liveness_data_is_the_same_after_a_json_round_trip() -> None:
    with server(b"SSH-2.0-x\r\n") as came_in:
        before = LOOK(came_in)
        again = Look.of(json.loads(json.dumps(before.data())))
        assert again == before
        assert liveness.lost(again) == []
    assert Look.of({}) == Look(frozenset(), None)
    assert liveness.lost(Look.of({})) == []


def test_a_requested_rollback_ends_with_a_liveness_check(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "look", LOOK)
    works = {"runs programs (one)": lambda: not Path(host.path("x")).exists() or host.read("x") != "old"}
    monkeypatch.setattr(liveness, "_questions", lambda *_: works)
    monkeypatch.setattr(liveness, "_MOMENT", 0.1)
    host.write("x", "old")
    run = host.converge(host.file("x", "new"))["run"]
    done = history.back_to(host.store, before="", who="me", check=False)
    assert (done["outcome"], done["failed"]) == ("rollback_failed", True)
    assert done["problems"] == ["this host no longer runs programs (one)"]
    assert done["reason"] == "everything is restored, but"
    assert host.read("x") == "old"
    assert host.store.record(run)["lost"] == done["problems"]
    assert Journal.find(host.store) is None


@pytest.mark.usefixtures("systemd", "missing")
def test_the_guard_ends_with_the_liveness_check_of_its_run(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked = Look(frozenset({"runs programs (one)"}), None)
    works = [True]
    monkeypatch.setattr(liveness, "look", lambda _: worked)
    monkeypatch.setattr(liveness, "_questions", lambda *_: {"runs programs (one)": lambda: works[0]})
    monkeypatch.setattr(liveness, "_MOMENT", 0.1)
    host.write("x", "old")
    assert change(host)["outcome"] == "unconfirmed"
    journal = Journal.find(host.store)
    assert journal is not None
    assert Look.of(journal.look) == worked
    works[0] = False
    done = rollback.finished(host.store, journal, "not confirmed")
    assert (done["outcome"], done["lost"]) == ("rolled_back", ["this host no longer runs programs (one)"])
    assert "everything is restored, but: this host no longer runs programs (one)" in done["notes"]
    assert host.read("x") == "old"
