"""A host that answers the control node, and a clock that goes on when it is slept on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.unit.plugins.loading import action

SECONDS = 180


class Clock:
    """Goes on when somebody sleeps."""

    now = 1000.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Connection:
    """An ssh connection's options."""

    transport = "ssh"

    def __init__(self) -> None:
        self.options: dict[str, Any] = {
            "ssh_args": "-o ControlMaster=auto",
            "timeout": 30,
            "reconnection_retries": 0,
        }

    def get_option(self, name: str) -> Any:
        return self.options[name]

    def set_option(self, name: str, value: Any) -> None:
        self.options[name] = value


class Host:
    """Answers calls in their order; an error is raised, and the last answer repeats itself."""

    def __init__(self, clock: Clock, *answers: Any) -> None:
        self.connection = Connection()
        self._clock = clock
        self._answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.ssh_args: list[str] = []
        self.timeouts: list[int] = []

    def ask(self, entry: str, arguments: dict[str, Any], **_: Any) -> Any:
        self.asked.append((entry, arguments))
        self.ssh_args.append(self.connection.options["ssh_args"])
        self.timeouts.append(self.connection.options["timeout"])
        self._clock.sleep(10)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    def made(self, name: str) -> Any:
        """An action of that name that asks this host."""
        found = object.__new__(action(name).ActionModule)
        found._connection = self.connection
        found._templar = SimpleNamespace(template=lambda value: value)
        found.ask = self.ask
        return found

    def converge(self, **more: Any) -> dict[str, Any]:
        variables = {"converge_confirm_timeout": SECONDS, **more}
        found: dict[str, Any] = self.made("converge")._guarded({"documents": []}, task_vars=variables)
        found["said"] = action("converge")._summary(found)
        return found
