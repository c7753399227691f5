"""Texts that could make a regular expression slow, made from its own parse tree.

Wherever it repeats something, that is repeated: alone, after what leads there, together with what leads there
(so that a search begins again and again), and with what would follow, but for its end.
"""

from __future__ import annotations

import re._constants as sre  # type: ignore[import-not-found]
from collections.abc import Iterator
from typing import Any

from tests.unit.expressions.automaton import Automaton, read
from tests.unit.expressions.growth import Text

_ENDS = ("", "\n", "!")
_SINGLE = (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN)
_REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT)


def texts(pattern: str | bytes, flags: int) -> list[Text]:
    """Texts for an expression, each once; an end of ``!`` fits least."""
    maker = _Maker(read(pattern, flags))
    found = {Text("", char, end): None for char in maker.chars() for end in _ENDS[::2]}
    for prefix, pump in maker.pumps():
        found.update({Text(prefix, pump, end): None for end in _ENDS if pump})
    return list(found)


class _Maker:
    def __init__(self, automaton: Automaton) -> None:
        self._automaton = automaton

    def chars(self) -> list[str]:
        """Of each kind of character that the expression tells apart, one."""
        return list(self._automaton.atoms)

    def pumps(self) -> Iterator[tuple[str, str]]:
        """What to repeat, and what stands before it."""
        tree = self._automaton.tree
        yield from self._of_sequence(list(tree), tree.state.flags, [""])

    def _of_sequence(self, items: list[Any], flags: int, before: list[str]) -> Iterator[tuple[str, str]]:
        for number, (operator, argument) in enumerate(items):
            rest = self._samples(items[number + 1 :], flags)[0]
            if operator in _REPEATS and argument[1] > 1:
                for body in filter(None, self._samples(list(argument[2]), flags)):
                    for lead in before:
                        yield from (
                            (lead, body),
                            ("", lead + body),
                            (lead, body + rest[:-1]),
                            ("", lead + body + rest[:-1]),
                        )
            for inner in _inside(operator, argument):
                yield from self._of_sequence(inner, flags, before)
            before = [lead + sample for lead in before for sample in self._sample(operator, argument, flags)][
                :3
            ]

    def _samples(self, items: list[Any], flags: int) -> list[str]:
        """Up to three texts that a sequence matches, more or less."""
        found = [""]
        for operator, argument in items:
            found = [text + sample for text in found for sample in self._sample(operator, argument, flags)][
                :3
            ]
        return found

    def _sample(self, operator: Any, argument: Any, flags: int) -> list[str]:
        if operator in _SINGLE:
            members = self._automaton.members(operator, argument, flags)
            alike = [char for char in self._automaton.atoms if char in members] or ["?"]
            return [alike[0], alike[-1]] if len(alike) > 1 else alike
        if operator in _REPEATS:
            return [sample * max(1, argument[0]) for sample in self._samples(list(argument[2]), flags)]
        branches = _inside(operator, argument) if operator in (sre.BRANCH, sre.SUBPATTERN) else ()
        return [sample for branch in branches for sample in self._samples(branch, flags)[:1]][:3] or [""]


def _inside(operator: Any, argument: Any) -> list[list[Any]]:
    """The sequences within an item."""
    if operator is sre.BRANCH:
        return [list(each) for each in argument[1]]
    if operator is sre.SUBPATTERN:
        return [list(argument[3])]
    if operator in _REPEATS:
        return [list(argument[2])]
    return [list(argument[1])] if operator in (sre.ASSERT, sre.ASSERT_NOT) else []
