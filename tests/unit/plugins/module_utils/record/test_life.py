"""A phase happens only if the engine does what it asks for."""

from __future__ import annotations

from typing import Any, cast

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.record.observe import Unobserved
from ansible_collections.hardener.docker.plugins.module_utils.record.twins import Twin, TwinLife


class Subject:
    """A running container whose engine refuses to execute programs."""

    def __init__(self, answer: str) -> None:
        self._answer = answer

    def runs(self) -> bool:
        return True

    def run(self, words: list[str]) -> int:
        raise Failed(self._answer.format(words[0]))

    def look_for_shell(self) -> None:
        pass


@pytest.mark.parametrize(
    ("answer", "happened"),
    [
        ('OCI runtime exec failed: exec failed: exec: "{0}": stat {0}: no such file or directory', True),
        ("OCI runtime exec failed: executable file `{0}` not found: No such file or directory", True),
        ("OCI runtime exec failed: exec failed: unable to apply apparmor profile: permission denied", False),
        ("OCI runtime exec failed: exec failed: operation not permitted", False),
    ],
)
def test_the_phase_exec_fails_if_the_runtime_fails_before_it_executes_a_program(
    answer: str, happened: bool
) -> None:
    life = TwinLife(cast(Twin, Subject(answer)), cast(dict[str, Any], {}), Unobserved())
    life.exec()
    assert life.phases["exec"]["exercised"] == happened
    assert ("permi" in life.phases["exec"]["reason"]) != happened
