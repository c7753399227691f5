"""Split Markdown into prose and fenced blocks of code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_MARKS = ("```", "~~~")


class Piece(NamedTuple):
    """A part of a document: prose, or one block of code.

    Args:
        line: number of the first line, from 1.
        text: the lines with their line ends; of code the fences too.
        language: what the opening fence says; None for prose.
    """

    line: int
    text: str
    language: str | None

    @property
    def code(self) -> list[str]:
        """Return the lines between the fences."""
        return self.text.splitlines()[1:-1]


def pieces(text: str) -> Iterator[Piece]:
    """Yield prose and blocks of code in order; joined, they are the whole text.

    A block that is not closed is code to the end.
    """
    held: list[str] = []
    first, fence, language = 1, "", None
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        mark = _mark(line)
        if fence:
            held.append(line)
            if mark.startswith(fence) and line.strip() == mark:
                yield Piece(first, "".join(held), language)
                held, first, fence, language = [], number + 1, "", None
        elif mark:
            if held:
                yield Piece(first, "".join(held), None)
            held, first, fence, language = [line], number, mark, line.strip()[len(mark) :].strip()
        else:
            held.append(line)
    if held:
        yield Piece(first, "".join(held), language)


def _mark(line: str) -> str:
    """Return the fence at the beginning of a line; empty if there is none."""
    text = line.strip()
    if not text.startswith(_MARKS):
        return ""
    return text[: len(text) - len(text.lstrip(text[0]))]
