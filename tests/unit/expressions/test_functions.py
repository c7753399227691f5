"""What reads hostile texts takes time in proportion to them, whatever they are made of."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import planning
from ansible_collections.hardener.docker.plugins.module_utils.host.redact import Redactor
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import images

from hardener.checks import image_builds
from hardener.checks.lib.build_history import Step, commands
from hardener.checks.lib.local_images import Image
from hardener.comparison import facts
from tests.unit.expressions.growth import TOO_MUCH


def _image(created_by: str) -> Image:
    return Image({"Id": "sha256:1"}, ({"CreatedBy": created_by},))


def _environment(value: str) -> Callable[[], Any]:
    return lambda: Redactor().assignments([f"NAME={value}"], "image i")


def _build(command: str) -> Callable[[], Any]:
    return lambda: list(image_builds._unverified(_image(f"RUN /bin/sh -c {command} # buildkit")))


def _commands(script: str) -> Callable[[], Any]:
    return lambda: list(commands(Step("RUN", script)))


def _history(names: int) -> Callable[[], Any]:
    """Every entry names a build argument, and every entry is told of all of them."""
    entries = [{"CreatedBy": f"ARG name{number}=value"} for number in range(names)]
    environment = [f"NAME{number}=value" for number in range(names)]
    return lambda: images.redact_history(entries, environment, Redactor(), "image i")


CASES: dict[str, tuple[int, Callable[[int], Callable[[], Any]]]] = {
    "tokens in an environment": (8000, lambda size: _environment("-eyJ" * (size // 4))),
    "users of curl in an environment": (8000, lambda size: _environment("curl " + "!-u" * (size // 3))),
    "a name of an environment": (8000, lambda size: lambda: Redactor().assignments(["passwor" * size], "i")),
    "words that name a tool": (250, lambda size: lambda: Redactor().words(["mysql"] * size, "c")),
    "users of curl": (6000, lambda size: lambda: Redactor().text("curl " + "!-u" * (size // 3), "c")),
    "build arguments": (200, _history),
    "values of one environment": (
        200,
        lambda size: (
            lambda: images.redact_history(
                [{"CreatedBy": "ENV " + " ".join(f"a{number}=1" for number in range(size))}],
                [f"a{number}=1" for number in range(size)],
                Redactor(),
                "i",
            )
        ),
    ),
    "options of a source": (2400, lambda size: _build("[trusted=yes" * (size // 12))),
    "modes": (4000, lambda size: _build(f"chmod +{'s' * size}0 x")),
    "quotes that are not closed": (4000, lambda size: _commands("'\"" * (size // 2) + "'")),
    "digits": (4000, lambda size: _commands("0" * size)),
    "backslashes and quotes": (4000, lambda size: _commands("\\\"'" * (size // 3))),
    "shells in shells": (4000, lambda size: _commands("sh -c '" * (size // 7))),
    "blanks of a packet filter's rules": (4000, lambda size: lambda: facts._uncounted(" " * size + "\n")),
    "names in a file that is to be changed": (
        4000,
        lambda size: lambda: planning.redacted('="' + "pwd" * (size // 3)),
    ),
}


@pytest.mark.parametrize(("size", "make"), CASES.values(), ids=CASES)
def test_functions_that_apply_expressions_take_linear_time(
    size: int, make: Callable[[int], Callable[[], Any]]
) -> None:
    short, long = make(size), make(8 * size)
    took, before = _time(long), 0.0
    for _ in range(8):  # what disturbs a measurement makes it longer, never shorter
        before = max(before, min(_time(short) for _ in range(3)))
        if took <= TOO_MUCH * before:
            break
        took = min(took, _time(long))
    assert took <= TOO_MUCH * before


def _time(call: Callable[[], Any]) -> float:
    begun = time.thread_time()  # which other processes have no part in
    call()
    return time.thread_time() - begun
