from __future__ import annotations

import random

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.contract import STEP
from ansible_collections.hardener.docker.plugins.plugin_utils.steps import Steps, without_steps


def told(*pieces: bytes) -> list[str]:
    found: list[str] = []
    steps = Steps(found.append)
    for piece in pieces:
        steps.read(piece)
    return found


def line(name: str) -> bytes:
    return f"{STEP} {name}\n".encode()


@pytest.mark.parametrize("seed", range(20))
def test_steps_are_found_in_any_chunks(seed: int) -> None:
    chosen = random.Random(seed)
    names = ["back up", "write files", "restart docker", "check health"]
    text = b"warning: x\n".join(line(name) for name in names) + b"no step"
    cuts = sorted(chosen.randrange(len(text)) for _ in range(chosen.randrange(12)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert told(*pieces) == names


@pytest.mark.parametrize(
    "name", ["", " ", "Restart", "x" * 41, "\x1b[31mred", "a\u202eb", "a: b", "a{{ b }}", "a;b"]
)
def test_a_line_with_an_invalid_step_name_is_not_a_step(name: str) -> None:
    assert told(line(name)) == []


def test_endless_output_takes_bounded_memory() -> None:
    assert len(told(*[line("x") * 100] * 100)) == 200
    found: list[str] = []
    steps = Steps(found.append)
    for _ in range(100):
        steps.read(f"{STEP} ".encode() + b"x" * 100_000)
    assert len(steps._rest) <= 100
    assert found == []


def test_a_truncated_line_is_not_a_step() -> None:
    assert told(b"x" * 200, line("restart docker")) == []
    assert told(f"{STEP} ".encode() + b"x" * 500, b"y\n") == []


def test_steps_are_removed_from_the_reason_of_a_failure() -> None:
    said = "sudo: lecture\n" + line("back up").decode() + "Traceback\n" + line("roll back").decode()
    assert without_steps(said) == "sudo: lecture\nTraceback\n"
