from __future__ import annotations

import ast
import contextlib
import os
import re
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.activity import main as activity
from ansible_collections.hardener.docker.plugins.module_utils.host import limits
from ansible_collections.hardener.docker.plugins.module_utils.record import main as record
from ansible_collections.hardener.docker.plugins.module_utils.record import prove
from ansible_collections.hardener.docker.plugins.module_utils.scan import main as scan
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import main as snapshot
from ansible_collections.hardener.docker.plugins.module_utils.trust import main as trust

from tests.unit.processes import child
from tests.unit.processes import ended as gone

LIBRARY = Path(limits.__file__).parents[1]


def stuck() -> None:
    """Work for hours inside one function, which lets no other thread of Python run."""
    re.match("(a+)+b", "a" * 64)


def ended(pid: int, seconds: float = 30) -> int | None:
    """How a child ended; None where it goes on."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def signalled(pid: int) -> int | None:
    """The signal that ended a child."""
    status = ended(pid)
    return os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None


def test_a_hanging_program_is_ended_after_its_time_limit() -> None:
    def work() -> None:
        limits.hold(1)
        stuck()

    assert signalled(child(work)) in {signal.SIGALRM, signal.SIGXCPU, signal.SIGKILL}


def test_a_program_that_ignores_its_alarm_is_ended_by_the_cpu_limit() -> None:
    def work() -> None:
        limits.hold(1)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        stuck()

    assert signalled(child(work)) in {signal.SIGXCPU, signal.SIGKILL}


def test_the_memory_of_a_process_is_limited() -> None:
    def work() -> None:
        limits.hold(60, 256 << 20)
        pieces = []
        try:
            for _ in range(64):
                pieces.append(bytearray(16 << 20))
        except MemoryError:
            os._exit(7)

    status = ended(child(work))
    assert status is not None
    assert os.waitstatus_to_exitcode(status) == 7


def asked(entry: Callable[[dict[str, Any]], Any], arguments: dict[str, Any]) -> int:
    """The bytes of memory that a process may have in which a program was asked for something."""

    def work() -> None:
        with contextlib.suppress(BaseException):
            entry(arguments)
        os.write(writer, str(resource.getrlimit(resource.RLIMIT_DATA)[1]).encode())
        os._exit(0)

    reader, writer = os.pipe()
    pid = child(work)
    os.close(writer)
    text = os.read(reader, 100)
    os.close(reader)
    os.waitpid(pid, 0)
    return int(text)


# Each fails on what is missing, once its limits hold.
ENTRIES: dict[str, tuple[Callable[[dict[str, Any]], Any], dict[str, Any]]] = {
    "collect": (snapshot.collect, {"limit": 60, "socket": "/nowhere"}),
    "scan": (scan.scan, {"limit": 60, "folder": "/proc/none"}),
    "verify": (trust.verify, {"limit": 60, "policy": 7}),
    "listen": (activity.listen, {"limit": 60, "folder": "/proc/none"}),
    "record": (record.begin, {"limited": True}),
    "prove": (prove.begin, {"limited": True}),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_every_program_with_untrusted_input_has_limits(name: str) -> None:
    entry, arguments = ENTRIES[name]
    assert 0 < asked(entry, arguments) <= limits.MEMORY


@pytest.mark.parametrize("user", [0, 65534])
def test_limits_are_removed_as_far_as_permitted(user: int) -> None:
    """Only who has CAP_SYS_RESOURCE may; tests/e2e/test_limits_are_read.py has that right in any case."""
    kinds = (resource.RLIMIT_CPU, resource.RLIMIT_DATA, resource.RLIMIT_AS)

    def work() -> None:
        if user and os.geteuid() == 0:
            os.setuid(user)
        limits.hold(60, 256 << 20)
        held = [resource.getrlimit(kind) for kind in kinds]
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            wanted = [(resource.RLIM_INFINITY, resource.RLIM_INFINITY)] * len(kinds)
        except (OSError, ValueError):
            wanted = held
        limits.release()
        os._exit(7 if [resource.getrlimit(kind) for kind in kinds] == wanted else 1)

    status = ended(child(work))
    assert status is not None
    assert os.waitstatus_to_exitcode(status) == 7


def test_a_lower_limit_of_the_host_is_kept() -> None:
    def work() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
        limits.hold(60)
        os._exit(resource.getrlimit(resource.RLIMIT_CPU)[1])

    status = ended(child(work))
    assert status is not None
    assert os.waitstatus_to_exitcode(status) == 5


def test_a_hanging_helper_is_ended_after_its_time_limit() -> None:
    parent = os.getpid()

    def work() -> None:
        limits.become_helper(parent, 1)
        stuck()

    assert signalled(child(work)) in {signal.SIGALRM, signal.SIGXCPU, signal.SIGKILL}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGALRM, signal.SIGTERM])
def test_a_hanging_helper_ends_with_its_parent(how: signal.Signals) -> None:
    reader, writer = os.pipe()

    def work() -> None:
        parent = os.getpid()

        def help_it() -> None:
            limits.become_helper(parent, 600)
            os.write(writer, b"begun")
            stuck()

        helper = child(help_it)
        os.write(writer, b"%10d" % helper)
        time.sleep(600)

    pid = child(work)
    os.close(writer)
    said = _read(reader, 15)
    helper = int(said.replace(b"begun", b""))
    os.kill(pid, how)
    assert signalled(pid) == how
    assert gone(helper)


def test_a_helper_without_a_parent_ends() -> None:
    status = ended(child(lambda: limits.become_helper(os.getpid() + 1, 600)))
    assert status is not None
    assert os.waitstatus_to_exitcode(status) == 1


def test_a_helper_is_ended_with_its_children() -> None:
    reader, writer = os.pipe()
    parent = os.getpid()

    def work() -> None:
        limits.become_helper(parent, 600)
        os.write(writer, b"%10d" % child(_sleep))
        stuck()

    pid = child(work)
    os.close(writer)
    started = int(_read(reader, 10))
    limits.end_helper(pid)
    assert signalled(pid) == signal.SIGKILL
    assert gone(started)
    limits.end_helper(pid)  # there is none any more


def _sleep() -> None:
    time.sleep(600)


# Processes that outlive their parent on purpose: the two workers, and what ends containers after it.
_OUTLIVE = {
    "converge/worker.py:run",
    "record/worker.py:start",
}


def _forking(source: str) -> Iterator[tuple[str, bool]]:
    """Functions that fork, and whether the child becomes a helper."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            named = {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
            if named & {"fork", "forkpty"}:
                yield node.name, "become_helper" in named


def test_every_forked_process_except_the_listed_ones_becomes_a_helper() -> None:
    assert list(_forking("def f():\n    if os.fork() == 0:\n        g()\n")) == [("f", False)]
    found = {
        f"{path.relative_to(LIBRARY)}:{name}": helper
        for path in LIBRARY.rglob("*.py")
        for name, helper in _forking(path.read_text(encoding="utf-8"))
    }
    assert len(found) > len(_OUTLIVE)
    assert {place for place, helper in found.items() if not helper} == _OUTLIVE


def _read(reader: int, length: int) -> bytes:
    said = b""
    while len(said) < length:
        piece = os.read(reader, length - len(said))
        assert piece, "it ended before it said anything"
        said += piece
    os.close(reader)
    return said
