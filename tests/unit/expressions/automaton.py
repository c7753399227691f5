"""Read a regular expression as an automaton of positions, from the parse tree that Python matches with.

Every character of the expression is a position. Reading a text is a walk from position to position; the
number of walks that one text allows is what backtracking costs. Two simplifications keep automata small.
Both only add walks: a repeat of more than ``LONGEST`` counts as one without end, and an assertion of
several characters holds always (what it reads is a walk that leads nowhere).
"""

from __future__ import annotations

import re
import re._compiler as compiler  # type: ignore[import-not-found]
import re._constants as sre  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

LONGEST = 32  # a repeat with a greater limit counts as endless
_COPIES = 4  # of what must be there several times, at most
BEGIN, END = "begin", "end"

# One of every kind of character that an expression can tell apart, and all of ASCII.
_MORE = "\x85\xa0\xe9\xc9\u017f\u212a\xdf\u03a3\u03c2\u0661\xb2\xaa\u0436\u4e2d\u2028\u3000\ud800\U0001f600"
_UNIVERSE = "".join(map(chr, range(128))) + _MORE
_UNIVERSE_OF_BYTES = "".join(map(chr, range(256)))

_KNOWN: dict[tuple[str, int, bool], frozenset[str]] = {}

Guard = frozenset[Any]  # of assertions that must hold between two characters
_FREE: Guard = frozenset()


@dataclass
class _Part:
    """A part of an expression: how it can begin, end, and be empty; each with what must hold there."""

    empty: list[Guard] = field(default_factory=list)
    first: list[tuple[int, Guard]] = field(default_factory=list)
    last: list[tuple[int, Guard]] = field(default_factory=list)


class Automaton:
    """The walks of an expression.

    Args:
        pattern: the expression, text or bytes.
        flags: as for ``re.compile``.
    """

    def __init__(self, pattern: str | bytes, flags: int = 0) -> None:
        tree = parser.parse(pattern, flags)
        self._bytes = isinstance(pattern, bytes)
        self.universe = _UNIVERSE_OF_BYTES if self._bytes else _UNIVERSE
        self.sets: list[frozenset[str]] = []  # what each position reads
        self.follow: dict[int, Counter[tuple[int, Guard]]] = {}
        self.tree = tree
        self.whole = self._sequence(tree, tree.state.flags)

    @cached_property
    def atoms(self) -> dict[str, str]:
        """Characters that no position and no assertion tells apart: of each kind one, and its name."""
        asked = [*self.sets, *(each[2] for each in self._looks())]
        kinds: dict[tuple[bool, ...], str] = {}
        for char in sorted(self.universe, key=lambda char: (not char.isalnum(), not char.isprintable())):
            kinds.setdefault((*(char in each for each in asked), char == "\n", _is_word(char)), char)
        return {char: char for char in kinds.values()}

    def _looks(self) -> Iterable[Any]:
        edges = [guard for row in self.follow.values() for _, guard in row]
        ends = [guard for _, guard in (*self.whole.first, *self.whole.last)]
        for guard in (*edges, *ends, *self.whole.empty):
            yield from (each for each in guard if isinstance(each, tuple))

    # --- from the parse tree ----------------------------------------------------------------------------

    def _sequence(self, items: Iterable[Any], flags: int) -> _Part:
        found = _Part(empty=[_FREE])
        for operator, argument in items:
            found = self._then(found, self._one(operator, argument, flags))
        return found

    def _one(self, operator: Any, argument: Any, flags: int) -> _Part:
        if operator in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN):
            return self._position(self.members(operator, argument, flags))
        if operator is sre.BRANCH:
            return _either(self._sequence(each, flags) for each in argument[1])
        if operator is sre.SUBPATTERN:
            _, added, removed, inner = argument
            return self._sequence(inner, (flags | added) & ~removed)
        if operator in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            least, most, inner = argument
            return self._repeat(int(least), int(most), inner, flags)
        if operator is sre.AT:
            return _Part(empty=[frozenset({_place(argument, flags)})])
        if operator in (sre.ASSERT, sre.ASSERT_NOT):
            return self._assertion(operator is sre.ASSERT, argument[0], argument[1], flags)
        raise NotImplementedError(f"the checker does not know {operator}: teach it, or write it otherwise")

    def _position(self, members: frozenset[str]) -> _Part:
        self.sets.append(members)
        number = len(self.sets) - 1
        self.follow[number] = Counter()
        return _Part(first=[(number, _FREE)], last=[(number, _FREE)])

    def _then(self, one: _Part, other: _Part) -> _Part:
        for position, guard in one.last:
            for following, further in other.first:
                self.follow[position][following, guard | further] += 1
        return _Part(
            empty=list({guard | further for guard in one.empty for further in other.empty}),
            first=[*one.first, *((to, by | guard) for guard in one.empty for to, by in other.first)],
            last=[*other.last, *((to, by | guard) for guard in other.empty for to, by in one.last)],
        )

    def _repeat(self, least: int, most: int, inner: Any, flags: int) -> _Part:
        found = _Part(empty=[_FREE])
        for _ in range(min(least, _COPIES)):
            found = self._then(found, self._sequence(inner, flags))
        if most > LONGEST:
            if least == most:
                return found  # so many, and no other number: there is nothing to try again
            again = self._sequence(inner, flags)
            for position, guard in again.last:
                for following, further in again.first:
                    self.follow[position][following, guard | further] += 1
            return self._then(found, _Part([*again.empty, _FREE], again.first, again.last))
        more = _Part(empty=[_FREE])  # one more only where there was the one before
        for _ in range(most - least):
            once = self._then(self._sequence(inner, flags), more)
            more = _Part([*once.empty, _FREE], once.first, once.last)
        return self._then(found, more)

    def _assertion(self, holds: bool, direction: int, inner: Any, flags: int) -> _Part:
        items = list(inner)
        if len(items) == 1 and items[0][0] in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN):
            look = (
                "behind" if direction < 0 else "ahead",
                holds,
                self.members(items[0][0], items[0][1], flags),
            )
            return _Part(empty=[frozenset({look})])
        if direction < 0:
            return _Part(empty=[_FREE])
        return _Part(empty=[_FREE], first=self._sequence(inner, flags).first)

    def members(self, operator: Any, argument: Any, flags: int) -> frozenset[str]:
        """The characters of the universe that a position reads."""
        return _matched((operator, argument), flags & ~re.DEBUG, is_bytes=self._bytes)


def _matched(item: tuple[Any, Any], flags: int, *, is_bytes: bool) -> frozenset[str]:
    """The characters of the universe that an item of a parse tree matches; compiled once."""
    key = (repr(item), flags, is_bytes)
    if key not in _KNOWN:
        source = parser.SubPattern(parser.State(), [item])
        source.state.flags = flags
        source.state.str = b"" if is_bytes else ""
        matcher = compiler.compile(source, flags)
        universe = _UNIVERSE_OF_BYTES if is_bytes else _UNIVERSE
        _KNOWN[key] = frozenset(
            char for char in universe if matcher.fullmatch(char.encode("latin-1") if is_bytes else char)
        )
    return _KNOWN[key]


@cache
def read(pattern: str | bytes, flags: int) -> Automaton:
    """The automaton of an expression, made once."""
    return Automaton(pattern, flags)


def _either(parts: Iterable[_Part]) -> _Part:
    found = _Part()
    for part in parts:
        found.empty += part.empty
        found.first += part.first
        found.last += part.last
    return found


def _place(code: Any, flags: int) -> str:
    several = bool(flags & re.MULTILINE)
    return {
        sre.AT_BEGINNING: "line begins" if several else "text begins",
        sre.AT_BEGINNING_STRING: "text begins",
        sre.AT_END: "line ends",  # without MULTILINE only the last line's, which is close enough
        sre.AT_END_STRING: "text ends",
        sre.AT_BOUNDARY: "boundary",
        sre.AT_NON_BOUNDARY: "no boundary",
    }[code]


def holds(guard: Guard, before: str, after: str) -> bool:
    """Whether assertions hold between two characters, which may be ``BEGIN`` and ``END``."""
    return not guard or all(_holds(each, before, after) for each in guard)


def _holds(one: Any, before: str, after: str) -> bool:
    if isinstance(one, tuple):
        direction, wanted, members = one
        return bool(((before if direction == "behind" else after) in members) is wanted)
    return {
        "line begins": before in (BEGIN, "\n"),
        "text begins": before == BEGIN,
        "line ends": after in (END, "\n"),
        "text ends": after == END,
        "boundary": _is_word(before) != _is_word(after),
        "no boundary": _is_word(before) == _is_word(after),
    }[str(one)]


def _is_word(char: str) -> bool:
    return len(char) == 1 and (char.isalnum() or char == "_")


def words(items: Sequence[str]) -> str:
    """Atoms as the text that they stand for."""
    return "".join(items)
