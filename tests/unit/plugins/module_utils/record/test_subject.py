"""What a twin has changed is remembered within limits."""

from __future__ import annotations

from typing import Any, cast

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.record.engine import Engine
from ansible_collections.hardener.docker.plugins.module_utils.record.twins import Twin
from ansible_collections.hardener.docker.plugins.module_utils.record.world import World


class Changes:
    """An engine that tells of changed paths."""

    def __init__(self, names: list[list[str]]) -> None:
        self._names = iter(names)

    def get(self, path: str, *, seconds: float = 0.0) -> Any:
        """The answer."""
        if path.endswith("/changes"):
            return [{"Kind": 1, "Path": name} for name in next(self._names)]
        return {"Mounts": []}


def changed(*names: list[str]) -> Twin:
    engine = cast(Engine, Changes(list(names)))
    found = Twin(engine, "f" * 16, {}, world=cast(World, None), created=lambda _: None)
    for _ in names:
        found.collect_changes()
    return found


def test_paths_created_in_any_start_are_recorded() -> None:
    found = changed(["/a", "/b"], ["/b", "/c\n"])
    assert found.files["created"] == {"/a", "/b", "/c\\n"}
    assert not found.differences


def test_the_number_of_changed_paths_of_all_starts_is_limited() -> None:
    found = changed([f"/a{n}" for n in range(9_000)], [f"/b{n}" for n in range(9_000)])
    assert len(found.files["created"]) == 10_000
    assert found.differences == ["more paths were changed than are listed"]


def test_the_total_length_of_changed_paths_is_limited() -> None:
    found = changed([f"/{n}{'x' * 4000}" for n in range(1_000)], ["/short"])
    assert sum(map(len, found.files["created"])) <= 2 << 20
    assert found.differences == ["more paths were changed than are listed"]


class Refusing:
    """An engine that cannot run a program."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def get(self, _path: str) -> Any:
        """The container runs."""
        return {"State": {"Running": True}}

    def call(self, _method: str, path: str, _body: Any) -> Any:
        """The answer."""
        if path.endswith("/start"):
            raise Failed(self._reason)
        return {"Id": "e"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('exec: "tool -psecret": executable file not found in $PATH: unknown', "not found"),
        ("executable file `tool -psecret\\u200b` not found", "not found"),
        ('exec: "/tool -psecret": permission denied', "permission denied"),
        ("tool -psecret", "for a reason that it does not name"),
    ],
)
def test_a_command_that_the_engine_cannot_run_does_not_get_into_the_reason(text: str, reason: str) -> None:
    engine = cast(Engine, Refusing(text))
    found = Twin(engine, "f" * 16, {}, world=cast(World, None), created=lambda _: None)
    found._identity = "t"
    with pytest.raises(Failed) as error:
        found.run(["tool -psecret"])
    assert str(error.value) == f"the engine cannot run the command: {reason}"
