"""No expression of the project takes more time than in proportion to the text that it is put to."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.unit.expressions.ambiguity import find
from tests.unit.expressions.finding import ROOT, Expression, expressions, of_script, of_source
from tests.unit.expressions.growth import TOO_MUCH, Case, Text, measured
from tests.unit.expressions.hostile import texts

# What the checker cannot prove, and why it holds all the same; measured like all the others.
_BY_HAND = {
    ("hardener/checks/lib/build_history.py", "(?P<blank>"): (
        "digits before no redirection are read once more, as a word; and of quotes that are not closed"
        " there is one of each kind at most, since what closes an earlier one would have closed it"
    ),
}


_SAMPLE = 12  # texts for an expression that was proven linear


def _id(expression: Expression) -> str:
    return f"{expression.place}-{expression.method}"


@pytest.mark.parametrize("expression", expressions(), ids=_id)
def test_every_regular_expression_is_linear_or_a_listed_exception(expression: Expression) -> None:
    path = expression.place.partition(":")[0]
    by_hand = any(path == known and str(expression.pattern).startswith(begin) for known, begin in _BY_HAND)
    found = find(expression.pattern, expression.flags, expression.method)
    assert (found is not None) == by_hand, f"{found}: write it otherwise, or cut the text where it is applied"


def test_expressions_are_linear_on_hostile_texts() -> None:
    asked = {(each.pattern, each.flags, each.method): each for each in expressions()}.values()
    cases = [
        Case(
            each.pattern.decode("latin-1") if isinstance(each.pattern, bytes) else each.pattern,
            each.flags,
            isinstance(each.pattern, bytes),
            each.method,
            text,
        )
        for each in asked
        for text in _measured_texts(each)
    ]
    assert len(cases) > 5 * len(asked)
    for _ in range(3):  # the processor's caches make some of thousands look slow, each time others
        growths = zip(cases, measured(cases, seconds=60), strict=True)
        cases = [case for case, growth in growths if growth is None or growth > TOO_MUCH]
        if not cases:
            break
    assert not cases, cases[:3]


def _measured_texts(expression: Expression) -> Sequence[Text]:
    """Every text where there is no proof; else some whose end fits nothing, as a test of the proof."""
    found = texts(expression.pattern, expression.flags)
    if any(str(expression.pattern).startswith(begin) for _, begin in _BY_HAND):
        return found
    failing = [text for text in found if text.suffix == "!"]
    return failing[:: max(1, len(failing) // _SAMPLE)]


def test_the_search_finds_all_regular_expressions_of_the_project() -> None:
    assert len(expressions()) > 200
    files = {each.place.partition(":")[0] for each in expressions()}
    assert {"hardener/reports/page/elements.js", "plugins/module_utils/host/redact.py"} <= files


def test_the_documentation_has_the_number_of_expressions() -> None:
    found = expressions()
    different = {(each.pattern, each.flags) for each in found}
    page = " ".join((ROOT / "docs/testing.md").read_text(encoding="utf-8").split())
    assert f"{len(found)} uses of {len(different)}, on hosts and on the controller" in page


def test_the_search_finds_the_method_that_applies_a_regular_expression() -> None:
    source = """
import re
_PART = r"a+"
_ANCHORED = re.compile(_PART + "b", re.I)
_HANDED_ON = re.compile("|".join(["c", _PART]))
class Kind:
    _valid = re.compile(rf"{_PART}d")
    def ask(self):
        return self._valid.fullmatch("") or _ANCHORED.match("") or f(_HANDED_ON) or re.split("e", "")
"""
    found = {(each.pattern, each.method) for each in of_source(source, "x.py")}
    assert found == {
        ("a+b", "match"),
        ("c|a+", "search"),
        ("c|a+", "fullmatch"),
        ("a+d", "fullmatch"),
        ("e", "split"),
    }


def test_an_expression_composed_at_run_time_is_refused() -> None:
    with pytest.raises(NameError):
        list(of_source("import re\ndef f(x):\n    return re.search(x, '')", "x.py"))


@pytest.mark.parametrize(
    "line",
    [
        "from re import compile",
        "import re as r",
        "import json, re as r",
        "import regex",
        "from regex import sub",
    ],
)
def test_every_import_of_regular_expressions_except_import_re_is_refused(line: str) -> None:
    with pytest.raises(NameError, match=r"^x\.py:1: only `import re`"):
        list(of_source(f"{line}\n", "x.py"))


def test_an_expression_composed_at_run_time_in_a_script_is_refused() -> None:
    with pytest.raises(NameError, match=r"^x\.js:2: write the expression as a literal"):
        list(of_script('a;\nnew RegExp("(a+)+b").test(c);', "x.js"))


def test_expressions_in_a_script_are_found() -> None:
    source = 'a.split(/[/]x{2,}/).map((each) => each.replace(/^ \\/ +$/gm, ""));\nconst half = total / 2 / 3;'
    assert [(each.pattern, each.flags) for each in of_script(source, "x.js")] == [
        ("[/]x{2,}", 0),
        ("^ \\/ +$", 8),
    ]
