from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardener.errors import HardenerError
from hardener.schedule import quoting
from tests.unit.schedule.jobs import by_cron

NASTY = (
    "",
    "plain",
    "two words",
    " outer ",
    "100%",
    "%h %%",
    "$HOME ${HOME} $$ $",
    'a "quoted" word',
    "it's",
    "back\\slash \\",
    "\\x41\\n\\",
    ";",
    "a; rm -rf /",
    "$(id) `id`",
    "-",
    "@+!:",
    "#no comment",
    "ünïcödé 漢字",
    "*?[a]",
)
UNPRINTABLE = ("a\nExecStart=/bin/sh", "a\rb", "a\tb", "\0", "\x1b[31m", "\u2028", "\udc80", "a\x85b")
printable = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" ")).filter(
    str.isprintable
)


def words(text: str) -> list[str]:
    """The words of a command line, as systemd.service(5) has them."""
    found, rest = [], text
    while rest := rest.lstrip(" "):
        assert rest[0] == '"', "every word is quoted"
        word, at = "", 1
        while rest[at] != '"':
            at += rest[at] == "\\"
            word += rest[at]
            at += 1
        found.append(word)
        rest = rest[at + 1 :]
        assert rest[:1] in ("", " ")
    return found


def expanded(text: str, sign: str) -> str:
    """Text in which a sign stands for itself when it is doubled; alone it would stand for something else."""
    parts = text.split(sign * 2)
    assert not any(sign in part for part in parts)
    return sign.join(parts)


@pytest.mark.parametrize("text", NASTY)
def test_a_quoted_argument_is_unchanged(text: str) -> None:
    (word,) = words(quoting.argument(text))
    assert expanded(expanded(word, "%"), "$") == text


@given(st.lists(printable, min_size=1, max_size=5))
def test_quoted_arguments_stay_separate(texts: list[str]) -> None:
    line = " ".join(map(quoting.argument, texts))
    assert [expanded(expanded(word, "%"), "$") for word in words(line)] == texts


@pytest.mark.parametrize("text", NASTY)
def test_a_quoted_word_is_unchanged_with_its_dollar_signs(text: str) -> None:
    (word,) = words(quoting.word(text))
    assert expanded(word, "%") == text


@pytest.mark.parametrize("text", UNPRINTABLE)
@pytest.mark.parametrize("quote", [quoting.value, quoting.word, quoting.argument, quoting.program])
def test_control_characters_in_a_unit_are_refused(quote: Callable[[str], str], text: str) -> None:
    with pytest.raises(HardenerError, match="cannot be written into a unit file"):
        quote(text)


@pytest.mark.parametrize("text", ['/a b/100%/$x/"q"/it\'s', "/[a]/*"])
def test_a_path_with_special_characters_is_unchanged(text: str) -> None:
    assert expanded(quoting.path(Path(text)), "%") == text


@pytest.mark.parametrize("text", ["/a ", "/a\\", "/a\nb"])
def test_a_path_that_systemd_would_change_is_refused(text: str) -> None:
    with pytest.raises(HardenerError, match="cannot be written into a unit file"):
        quoting.path(Path(text))


@pytest.mark.parametrize("text", ["/a*", "/a?", "/[a]"])
def test_a_path_that_systemd_would_read_as_a_pattern_is_refused(text: str) -> None:
    with pytest.raises(HardenerError, match="cannot be written into a unit file"):
        quoting.path(Path(text), pattern=True)


@pytest.mark.parametrize("letter", "$\"'\\")
def test_a_program_path_that_systemd_refuses_is_refused(letter: str) -> None:
    assert quoting.program("/opt/a b 100%/python3") == '"/opt/a b 100%%/python3"'
    with pytest.raises(HardenerError, match="cannot be written into a unit file"):
        quoting.program(f"/opt/{letter}/python3")


@settings(max_examples=30)
@given(st.lists(st.sampled_from([each for each in NASTY if "\\%" not in each]) | printable, max_size=4))
def test_crons_shell_gets_the_arguments_unchanged(texts: list[str]) -> None:
    texts = [text for text in texts if "\\%" not in text]
    command = by_cron(" ".join(map(quoting.shell, texts)))
    done = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True, errors="strict"
    )
    assert done.stdout == "".join(f"{text}\n" for text in texts or [""])


@pytest.mark.parametrize("text", [*UNPRINTABLE, "a\\%b", "\\\\%"])
def test_text_that_a_crontab_cannot_contain_is_refused(text: str) -> None:
    with pytest.raises(HardenerError, match="cannot be written into a crontab"):
        quoting.shell(text)
