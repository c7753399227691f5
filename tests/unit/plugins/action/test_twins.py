"""How long a stage of a recording or of a proof may take on the host."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from tests.unit.plugins.loading import action

STAGES = [("record", "fill"), ("record", "end"), ("prove", "attempt"), ("prove", "fill")]
OTHER = 600  # seconds that everything else in a stage may take at least
ANSWERS: dict[str, Any] = {
    "begin": {key: {} for key in ("run", "addresses", "empty", "problems", "container", "host", "missing")},
    "fill": {"up": False, "problems": []},
    "end": {"recordings": [], "problems": []},
    "attempt": {"observed": None, "up": False, "empty": False, "problems": []},
    "abandon": None,
}


def timeout_of(name: str, stage: str, seconds: int) -> int:
    """The limit on the host of a stage that gets so many seconds for the command in a twin."""
    timeouts: list[int] = []

    def run_script(*_: object, timeout: int, **__: object) -> Any:
        timeouts.append(timeout)
        return SimpleNamespace(result=ANSWERS[stage], facts={})

    found = object.__new__(action(name).ActionModule)
    found.run_script = run_script
    found.stage(
        name,
        {"stage": stage, "seconds": seconds},
        needs=(),
        told=action(name)._expected_fields,
        task_vars={},
    )
    [timeout] = timeouts
    return timeout


@pytest.mark.parametrize("seconds", [1, 900, 7200, 24 * 3600])
@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_a_command_in_a_twin_gets_its_full_time(name: str, stage: str, seconds: int) -> None:
    assert timeout_of(name, stage, seconds) >= seconds + OTHER


@pytest.mark.parametrize("name", ["record", "prove"])
@pytest.mark.parametrize("stage", ["begin", "abandon"])
def test_a_stage_without_a_command_gets_no_additional_time(name: str, stage: str) -> None:
    assert timeout_of(name, stage, 24 * 3600) == timeout_of(name, stage, 1)


@pytest.mark.parametrize("seconds", [-1, 0, 24 * 3600 + 1])
@pytest.mark.parametrize(("name", "stage"), [("record", "end"), ("prove", "attempt"), ("record", "begin")])
def test_the_time_of_a_stage_is_bounded(name: str, stage: str, seconds: int) -> None:
    with pytest.raises(AnsibleActionFail, match="must be from 1 to 86400"):
        timeout_of(name, stage, seconds)


@pytest.mark.parametrize("more", [{"network": "same"}, {"compose": {"project": "shop"}, "container": ""}])
def test_a_restart_is_for_one_container(monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]) -> None:
    arguments = {"stage": "begin", "container": "web", "compose": {}, "network": "own", "restart": True}
    monkeypatch.setattr(ActionBase, "run", lambda *_, **__: {})
    monkeypatch.setattr(ActionBase, "validate_argument_spec", lambda *_, **__: (None, {**arguments, **more}))
    found = object.__new__(action("record").ActionModule)
    found._task = SimpleNamespace(check_mode=False)
    with pytest.raises(AnsibleActionFail, match="restart is for one container"):
        found.run(None, {})
