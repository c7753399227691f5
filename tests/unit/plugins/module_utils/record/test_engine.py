"""How long the engine has for an answer to a recording."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker.http import NoAnswer
from ansible_collections.hardener.docker.plugins.module_utils.record.engine import Engine


class Silent(Engine):
    """An engine that never answers, which notes the time limits of its connections."""

    def __init__(self) -> None:
        super().__init__("/run/silent.sock")
        self.limits: list[float] = []

    def connect(self, *, seconds: float = 0.0, idle: float = 0.0) -> NoReturn:
        self.limits.append(seconds)
        raise NoAnswer("it is silent")


def test_every_request_has_time_for_a_slow_host() -> None:
    engine = Silent()
    for request in (
        lambda: engine.get("/info"),
        lambda: engine.call("POST", "/containers/a/start"),
        lambda: engine.ask("POST", "/images/create", b""),
        lambda: engine.remove("a"),
        lambda: engine.call("POST", "/containers/a/stop", seconds=930),
    ):
        with pytest.raises(NoAnswer):
            request()
    assert engine.limits == [180, 180, 180, 180, 930]


class Copying:
    """A connection to an engine that copies, which notes how its thread is scheduled meanwhile."""

    def __init__(self, seen: list[int]) -> None:
        self._seen = seen

    def __enter__(self) -> Copying:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def open(self, *_: str) -> Copying:
        return self

    def pieces(self) -> Iterator[bytes]:
        self._seen.append(os.sched_getscheduler(0))
        yield b"x"

    def request(self, _method: str, _path: str, body: Iterable[bytes], _headers: object) -> None:
        assert list(body) == [b"x"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may take back the idle priority")
def test_volumes_are_copied_at_idle_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    engine = Engine("/run/none.sock")
    monkeypatch.setattr(engine, "connect", lambda **_: Copying(seen))

    def copy() -> Any:
        engine.copy("a", "/data", "b", "/to", most=9, root=None, user=None)
        return os.sched_getscheduler(0)

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(copy).result() == os.SCHED_OTHER
    assert seen == [os.SCHED_IDLE]
