from __future__ import annotations

import re

import pytest

from tests.unit.expressions.ambiguity import find
from tests.unit.expressions.growth import TOO_MUCH, Case, Text, measured

# What stood in the project, or could have, and takes more time than in proportion to the text.
SLOW = {
    "a search begins in the run that it reads": (r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", 0, "search"),
    "two runs overlap": (r"\[[^\]\n]*trusted=yes[^\]\n]*\]", re.IGNORECASE, "search"),
    "blanks before a bracket": (r"^#.*\n|[ ]*\[\d+:\d+\]", re.MULTILINE, "sub"),
    "a name that holds another option": (
        r"""(?<![\w-])((?:-u|-U|--user)[=\s]*["']?[^\s:"']+:)([^\s"']+)""",
        0,
        "sub",
    ),
    "a sign in two classes": (r"""-u[=\s]*["']?[^\s:"']+:[^\s"']+""", 0, "fullmatch"),
    "a letter in two classes": (r"[ugoa]*[+=][rwxXst]*s[rwxXst]*", 0, "fullmatch"),
    "blank lines before a word": (r"^\s*flush\s+ruleset\b", re.MULTILINE, "search"),
    "a word before a space": (r"\S+ is Python [\w.+]+", 0, "findall"),
    "a key without a value": (r'([a-z]+)="([^"]*)"', 0, "findall"),
    "a head within a body": (r"# ExtServers: \[([^\]]*)\]", 0, "findall"),
    "blanks of data and after it": (r"(?:[A-Za-z]+: [^\n]*\n)*\s*([A-Za-z0-9\r\n]+=*)\s*-", 0, "fullmatch"),
    "a line's blanks over several lines": (r"^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)", re.MULTILINE, "findall"),
    "a name anywhere in a key": (r'"[^"\n]*secret[^"\n]*"\s*:', 0, "sub"),
    "a repeat of a repeat": (r"(?:a+)+b", 0, "match"),
    "a repeat of alternatives that overlap": (r"(?:\w|\d\w)*!", 0, "match"),
    "what is read ahead": (r"a(?=.*b)", 0, "findall"),
    "an option without end after what matches": (r"a(?:.*b)?", 0, "findall"),
    "three runs": (r"x*x*x*y", 0, "match"),
    "folded letters": (r"[a-z]*K[A-Z]*!", re.IGNORECASE, "match"),
    "bytes": (rb"[\x80-\xff]*\xfe[\x80-\xff]*!", 0, "match"),
    "an end that may be a line's": (r"[ \t]+$", re.MULTILINE, "sub"),
}
LINEAR = {
    "a run with an end of its own": (r"'[^']*'", 0, "findall"),
    "a search that begins where no run is": (r"(?<![\w.-])[\w.-]+=", 0, "search"),
    "a run that is a match": (r"\b(?:AKIA|ASIA)[0-9A-Z]*", 0, "findall"),
    "two runs apart": (r"\w+\s+\w+!", 0, "match"),
    "an anchor": (r"\A\s*x\s*y", 0, "search"),
    "an end that always comes": (r"BEGIN.*?(?:END|\Z)", re.DOTALL, "sub"),
    "what need not follow": (r"\beyJ[\w-]{8,}(?:\.[\w-]{8,}\.[\w-]*)?", 0, "search"),
    "an escape": (r'"(?:\\.|[^"\\])*"', 0, "match"),
    "escapes and quotes": (r"""'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)""", re.DOTALL, "sub"),
    "names in a row": (r"[a-z]+(?:[._-][a-z]+)*", 0, "fullmatch"),
    "a count": (r"[0-9a-f]{64}", 0, "search"),
    "a short limit": (r"v?([0-9]{1,9}(?:\.[0-9]{1,9})*)", 0, "match"),
}


@pytest.mark.parametrize(("pattern", "flags", "method"), SLOW.values(), ids=SLOW)
def test_a_slow_expression_is_found_with_an_example(pattern: str | bytes, flags: int, method: str) -> None:
    found = find(pattern, flags, method)
    assert found is not None
    plain = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    shown = Text(found.prefix, found.pump, found.suffix)
    case = Case(plain, flags, isinstance(pattern, bytes), method, shown)
    grown = (measured([case], seconds=0.1)[0] for _ in range(5))
    assert any(growth is None or growth > TOO_MUCH for growth in grown), (
        f"{found} takes no more than linear time"
    )


@pytest.mark.parametrize(("pattern", "flags", "method"), LINEAR.values(), ids=LINEAR)
def test_a_linear_expression_passes(pattern: str, flags: int, method: str) -> None:
    assert find(pattern, flags, method) is None


def test_a_large_repetition_limit_counts_as_unlimited() -> None:
    assert find(r"# ExtServers: \[([^\]]{0,1000})\]", 0, "findall") is not None
    assert find(r"# ExtServers: \[([^\]]{0,30})\]", 0, "findall") is None
