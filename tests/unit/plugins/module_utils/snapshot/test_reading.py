from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent, Failed
from ansible_collections.hardener.docker.plugins.module_utils.host.once import Once
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.reading import (
    Encoded,
    Helper,
    Source,
    read,
)

from tests.unit.processes import child


def entry(function: Any, limit: float = 5) -> dict[str, Any]:
    return json.loads(Source(function, limit).entry())  # type: ignore[no-any-return]


def raising(error: BaseException) -> Any:
    def fail() -> None:
        raise error

    return fail


def test_states() -> None:
    assert entry(lambda: {"a": [1]})["data"] == {"a": [1]}
    assert entry(lambda: Encoded('{"a":1}'))["data"] == {"a": 1}
    missing = entry(raising(Absent("no auditctl")))
    assert (missing["state"], missing["error"], set(missing)) == (
        "absent",
        "no auditctl",
        {"state", "ms", "error"},
    )
    assert entry(raising(Failed("why\nso")))["error"] == "why so"
    assert entry(raising(MemoryError()))["state"] == "failed"
    assert entry(raising(SystemExit(3)))["state"] == "failed"
    assert entry(lambda: {"bytes": b"x"})["state"] == "failed"


def test_source_that_hangs_fails_alone_and_holds_up_nobody() -> None:
    begun = time.monotonic()
    found = read([("slow", lambda: time.sleep(30), 0.2), ("quick", lambda: 7, 5)])
    assert time.monotonic() - begun < 20
    assert json.loads(found["quick"])["data"] == 7
    slow = json.loads(found["slow"])
    assert (slow["state"], slow["error"]) == ("failed", "it did not end within 0.2 s")


def test_once_is_found_out_once_and_shares_its_error() -> None:
    calls = []

    def find_out() -> str:
        calls.append(1)
        return "found"

    value = Once(find_out)
    assert [value.get(), value.get()] == ["found", "found"]
    assert calls == [1]
    error = Once(raising(KeyError("x")))
    for _ in range(2):
        with pytest.raises(Failed, match="KeyError"):
            error.get()
    with pytest.raises(Absent):
        Once(raising(Absent("gone"))).get()


def test_what_is_known_can_be_asked_whatever_locks_a_fork_has_frozen() -> None:
    known = Once(lambda: "found", limit=0.1)
    known.get()
    known._lock.acquire()
    known._done._lock.acquire()
    assert known.get() == "found"


def test_once_does_not_wait_for_ever() -> None:
    begun = threading.Event()

    def find_out() -> None:
        begun.set()
        time.sleep(5)

    slow = Once(find_out, limit=0.1)
    source = Source(slow.get, 0.3)
    begun.wait()
    with pytest.raises(Failed, match="did not end in time"):
        slow.get()
    assert '"failed"' in source.entry()


def test_helper_hands_over_what_it_read() -> None:
    text = json.dumps("é\n\t" * 100_000)
    assert Helper(lambda: {"a": text, "b": "{}"}, 10).result() == {"a": text, "b": "{}"}


def test_helper_that_dies_or_hangs() -> None:
    assert Helper(lambda: os.kill(os.getpid(), 9), 10).result() == {}  # type: ignore[arg-type,return-value]
    begun = time.monotonic()
    assert Helper(lambda: time.sleep(30), 0.2).result() == {}  # type: ignore[arg-type,return-value]
    assert time.monotonic() - begun < 20


def test_the_second_process_ends_with_the_first() -> None:
    reader, writer = os.pipe()

    def collect() -> None:
        def stuck() -> dict[str, str]:
            os.write(writer, b"%10d" % os.getpid())
            re.match("(a+)+b", "a" * 64)  # no other thread of Python runs meanwhile
            return {}

        Helper(stuck, 600)
        time.sleep(600)

    first = child(collect)
    second = int(os.read(reader, 10))
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    deadline = time.monotonic() + 30
    while _runs(second):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except FileNotFoundError:
        return False
