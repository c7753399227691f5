"""How long the engine has for an answer to a recording."""

from __future__ import annotations

from typing import NoReturn

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
