from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.checks.lib.build_history import Step, commands, steps
from hardener.checks.lib.local_images import Image
from tests.hanging import must_end
from tests.unit.operations import operations


def step(created_by: str) -> Step:
    return steps(Image({}, ({"CreatedBy": created_by},)))[0]


def ran(created_by: str) -> list[str]:
    return [str(command) for command in commands(step(created_by))]


@pytest.mark.parametrize(
    ("created_by", "instruction", "arguments"),
    [
        ("/bin/sh -c #(nop) ADD file:4b1f in / ", "ADD", "file:4b1f in /"),
        ('/bin/sh -c #(nop)  CMD ["bash"]', "CMD", '["bash"]'),
        ("/bin/bash -o pipefail -c #(nop) COPY dir:1 in /app ", "COPY", "dir:1 in /app"),
        ("/bin/sh -c apt-get update", "RUN", "/bin/sh -c apt-get update"),
        ("|1 A=b /bin/sh -c apt-get update", "RUN", "|1 A=b /bin/sh -c apt-get update"),
        ("RUN /bin/sh -c apt-get update # buildkit", "RUN", "/bin/sh -c apt-get update"),
        ("RUN |1 A=b /bin/sh -c true # buildkit", "RUN", "|1 A=b /bin/sh -c true"),
        ("COPY --chown=1:1 . /app # buildkit", "COPY", "--chown=1:1 . /app"),
        ("ADD rootfs.tar.xz / # buildkit", "ADD", "rootfs.tar.xz /"),
        ("ENV A=hmac:3f2a9c01d4e5b677", "ENV", "A=hmac:3f2a9c01d4e5b677"),
        ("/bin/sh -c echo '#(nop) ADD x /'", "RUN", "/bin/sh -c echo '#(nop) ADD x /'"),
        ("ADDED nothing", "RUN", "ADDED nothing"),
        ("", "", ""),
    ],
)
def test_the_history_of_both_builders_is_parsed(created_by: str, instruction: str, arguments: str) -> None:
    assert step(created_by) == Step(instruction, arguments)


def test_steps_come_oldest_first() -> None:
    history: tuple[Any, ...] = ({"CreatedBy": "CMD b"}, {"CreatedBy": "ADD a /"})
    assert [each.instruction for each in steps(Image({}, history))] == ["ADD", "CMD"]


@pytest.mark.parametrize(
    ("created_by", "expected"),
    [
        ("/bin/sh -c apt-get update", ["apt-get update"]),
        ("/bin/sh -c set -eux; apt-get update && rm -rf /x/*", ["set -eux", "apt-get update", "rm -rf /x/*"]),
        ("RUN |2 A=b c C=d /bin/sh -c apt-get update # buildkit", ["apt-get update"]),
        ("RUN /bin/bash -o pipefail -c curl x | sh # buildkit", ["curl x", "sh"]),
        ("RUN /bin/sh -ec apt-get update # buildkit", ["apt-get update"]),
        ("RUN apt-get update # buildkit", ["apt-get update"]),  # the exec form
        ("/bin/sh -c sudo -E DEBIAN_FRONTEND=x /usr/bin/apt-get -y update", ["apt-get -y update"]),
        ("/bin/sh -c if true; then apt-get update; fi", ["true", "apt-get update", "fi"]),
        ("/bin/sh -c (apt-get update >/dev/null 2>&1 || true)", ["apt-get update /dev/null", "true"]),
        ("/bin/sh -c apt-get \\\n  update", ["apt-get update"]),
        ("/bin/sh -c apt-get update\n# a comment; apt-get install\ntrue", ["apt-get update", "true"]),
        ("/bin/sh -c echo \"apt-get update; x\" 'y && z'", ["echo apt-get update; x y && z"]),
        (
            "/bin/sh -c bash -c 'apt-get update && true'",
            ["apt-get update", "true"],
        ),
        ("/bin/sh -c echo 'unbalanced; apt-get update", ["echo unbalanced", "apt-get update"]),
        ("/bin/sh -c ", ["sh -c"]),
        ("COPY apt-get update", []),
    ],
)
def test_shell_commands_are_split(created_by: str, expected: list[str]) -> None:
    assert ran(created_by) == expected


@given(st.text())
def test_splitting_arbitrary_text_does_not_crash(text: str) -> None:
    for prefix in ("", "/bin/sh -c ", "RUN ", "|1 A=b /bin/sh -c ", "/bin/sh -c #(nop) "):
        ran(prefix + text)


@pytest.mark.parametrize(
    "piece",
    ["a", "'", '"', "\\", "'\"", "$(", "sh -c '", "a&&", " -a", "sh -a ", "|", "\n", "# ", ">", "2>&1 "],
)
def test_splitting_takes_linear_time(piece: str) -> None:
    def text(length: int) -> str:
        return "|1 " + piece * (length // len(piece))

    assert operations(lambda: ran(text(8_000))) <= 12 * operations(lambda: ran(text(1_000)))
    with must_end():
        ran(text(200_000))
