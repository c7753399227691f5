from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import run as running
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent, Failed, describe
from ansible_collections.hardener.docker.plugins.module_utils.host.read import read_bytes, read_or, read_text
from ansible_collections.hardener.docker.plugins.module_utils.host.run import find_program, run
from ansible_collections.hardener.docker.plugins.module_utils.host.text import one_line

from tests.hanging import must_end
from tests.unit.handles import handles


def test_files_are_read_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"caf\xc3\xa9 \xff")
    assert read_text(str(path)) == "café \\xff"
    assert read_or(str(path), "").startswith("café")
    assert read_or(str(tmp_path / "none"), "default") == "default"
    big = tmp_path / "big"
    big.write_bytes(b"x" * 300_000)
    assert len(read_bytes(str(big))) == 300_000
    with pytest.raises(Failed, match="larger than"):
        read_bytes(str(big), 1000)


def test_endless_files_and_pipes_do_not_block(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="larger than"):
        read_bytes("/dev/zero", 1_000_000)
    os.mkfifo(tmp_path / "pipe")
    assert read_bytes(str(tmp_path / "pipe")) == b""


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / f"program-{len(list(tmp_path.iterdir()))}"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_program_gets_unchanged_arguments_and_a_fixed_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAK", "hunter2")
    program = script(tmp_path, 'printf "%s|" "$@"; echo "$LC_ALL|$PATH|$LEAK"; cat')
    assert run(program, "a b", "$(id)", ";") == f"a b|$(id)|;|C|{running.PATH}|\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("echo no way >&2; exit 3", "no way"),
        ("exit 3", "ended with code 3"),
        ("kill -9 $$", "ended with code -9"),
        ("yes", "printed more than"),
        ("sleep 3600", "/program-0 did not end within 0.5 s$"),
        ("exec >&- 2>&-; sleep 3600", "/program-0 did not end within 0.5 s$"),
    ],
)
def test_a_failing_program_is_an_error(tmp_path: Path, text: str, why: str) -> None:
    timeout = 0.5 if "did not end" in why else 60
    with must_end(), pytest.raises(Failed, match=why):
        run(script(tmp_path, text), timeout=timeout, limit=100_000)


def test_a_missing_program_is_an_error() -> None:
    with pytest.raises(Absent, match="there is no such-program"):
        run("such-program")
    assert find_program("sh") in ("/usr/bin/sh", "/bin/sh")
    assert find_program("such-program") is None


def test_descriptors_do_not_leak(tmp_path: Path) -> None:
    program, talker = script(tmp_path, "exit 0"), script(tmp_path, "yes")
    run(program)
    before = handles()
    for _ in range(5):
        run(program)
        with pytest.raises(Failed):
            run(talker, limit=1000)
    assert not handles() - before


def test_errors_are_reported_in_one_printable_line() -> None:
    assert one_line("a\n\x1b[31m\tb" + "x" * 1000).startswith("a [31m b")
    assert len(one_line("x" * 1000)) == 300
    assert (
        describe(FileNotFoundError(2, "No such file or directory", "/a")) == "/a: No such file or directory"
    )
    assert describe(KeyError("x")) == "KeyError: 'x'"
    assert describe(Failed("why")) == "why"
