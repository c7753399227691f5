from __future__ import annotations

from hardener.notify import Target, deliver
from hardener.notify.target import NotDelivered


class Recorded(Target):
    def __init__(self, name: str, problem: str = "") -> None:
        self._name = name
        self.problem = problem
        self.got: list[bytes] = []

    @property
    def name(self) -> str:
        return self._name

    def send(self, message: bytes) -> None:
        if self.problem:
            raise NotDelivered(self.problem)
        self.got.append(message)


def test_a_failing_target_is_reported_in_one_line_and_the_next_one_is_notified() -> None:
    said: list[str] = []
    dead, well = Recorded("\x1b[31mmail", "no\nroute"), Recorded("chat")
    deliver([dead, well], b"{}", warn=said.append)
    assert said == ["\\x1b[31mmail was not notified: no route"]
    assert well.got == [b"{}"]
