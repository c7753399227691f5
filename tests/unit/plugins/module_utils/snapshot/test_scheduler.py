from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent, Failed
from ansible_collections.hardener.docker.plugins.module_utils.host.once import Once
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import scheduler
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.scheduler import (
    Encoded,
    Helper,
    Source,
    read,
)

from tests.hanging import must_end
from tests.unit.processes import child, ended


def entry(function: Any, limit: float = 5) -> dict[str, Any]:
    return json.loads(Source(function, limit).entry())  # type: ignore[no-any-return]


def raising(error: BaseException) -> Any:
    def fail() -> None:
        raise error

    return fail


def test_an_entry_has_the_data_or_the_state_and_the_error_of_its_source() -> None:
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


def test_a_hanging_source_fails_alone_and_does_not_delay_others() -> None:
    with must_end():
        found = read([("slow", lambda: time.sleep(3600), 0.2), ("quick", lambda: 7, 60)])
    assert json.loads(found["quick"])["data"] == 7
    slow = json.loads(found["slow"])
    assert (slow["state"], slow["error"]) == ("failed", "it did not end within 0.2 s")


def test_a_memoised_value_is_computed_once_and_shares_its_error() -> None:
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


def test_a_memoised_value_is_readable_after_a_fork() -> None:
    known = Once(lambda: "found", limit=0.1)
    known.get()
    known._lock.acquire()
    known._done._lock.acquire()
    assert known.get() == "found"


def test_waiting_for_a_memoised_value_is_bounded() -> None:
    begun = threading.Event()

    def find_out() -> None:
        begun.set()
        time.sleep(5)

    slow = Once(find_out, limit=0.1)
    source = Source(slow.get, 0.3)
    begun.wait()
    with pytest.raises(Failed, match=r"was not read within 0\.1 s$"):
        slow.get()
    assert '"failed"' in source.entry()


def test_the_second_process_returns_its_sources() -> None:
    text = json.dumps("é\n\t" * 100_000)
    assert Helper(lambda: {"a": text, "b": "{}"}, 10).result() == {"a": text, "b": "{}"}


def test_a_second_process_that_dies_or_hangs_fails_its_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "_SPARE", 3600)  # it is ended, and does not end by itself
    monkeypatch.setattr(scheduler, "_RECEIVE", 0.2)
    assert Helper(lambda: os.kill(os.getpid(), 9), 10).result() == {}  # type: ignore[arg-type,return-value]
    with must_end():
        assert Helper(lambda: time.sleep(3600), 0.2).result() == {}  # type: ignore[arg-type,return-value]


def test_a_result_is_received_after_the_time_limit_of_a_process_that_has_read_everything() -> None:
    text = json.dumps("x" * 1_000_000)  # more than a pipe holds
    helper = Helper(lambda: {"a": text}, 0.1)
    time.sleep(0.2)  # while the first process waits for another one
    assert helper.result() == {"a": text}


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
    assert ended(second)
