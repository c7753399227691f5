"""``hardener workload`` refuses options that exclude each other, before it reaches a host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Hardener = Callable[..., Result]
MESH = ("-i", "web1,", "--mesh", "mesh.yml")
THROUGH_A_MESH = "the ports of twins cannot be forwarded through a mesh (exercise them with --run-in)"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("record",), "give either a container or --compose FILE"),
        (("record", "web", "--compose", "compose.yaml"), "give either a container or --compose FILE"),
        (("record", "web", "--project", "shop"), "--project needs --compose FILE"),
        (("record", "web", "--run", "a", "--run-in", "web", "b"), "--run and --run-in exclude each other"),
        (("record", "web", "--run-in", "web", "a 'b"), '"a \'b" is not a command: No closing quotation'),
        (("prove", ".", "--run-in", "web", "a 'b"), '"a \'b" is not a command: No closing quotation'),
        (("record", "web", "--run-in", "web", " "), "the command is empty"),
        (("record", "web", "--out", "mesh.yml"), "'mesh.yml' is a file"),
        (("record", "web", "--out", "mesh.yml/below"), "cannot write mesh.yml/below"),
        (("record", "web", "--out", "none/below"), "there is no folder"),
        (
            ("record", "--compose", "compose.yaml", "--restart"),
            "--restart and --compose exclude each other (name one container)",
        ),
        (
            ("record", "web", "--restart", "--twin-network", "same"),
            "--restart and --twin-network same exclude each other (leave out --twin-network)",
        ),
        (("record", "web", "--run", "a", *MESH), THROUGH_A_MESH),
        (("prove", ".", "--run", "a", *MESH), THROUGH_A_MESH),
        (("prove", "."), "a proof needs an exercise (give --run or --run-in, as for the recording)"),
        (("prove", ".", "--run", "a", "--run-in", "b", "c"), "a proof needs an exercise"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    hardener: Hardener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mesh.yml").touch()
    result = hardener("workload", *words)
    assert result.exit_code == 2
    assert reason in result.stderr
