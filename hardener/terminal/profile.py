"""Show the page of a profile with rich. All text is passed as ``Text``, and made safe to show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener.text import line
from hardener.workload.page import Name, Section, Words

_LONGEST = 200


def screen(sections: Iterable[Section], page: Path) -> Iterator[RenderableType]:
    """Return the parts of the screen: all settings, but system calls and file rules by number only.

    Args:
        sections: of the page.
        page: the file of the whole page.
    """
    for number, section in enumerate(sections):
        yield Text(f"{chr(10) if number else ''}{section.title}", style="bold")
        for sentence in section.sentences:
            yield Padding(_text(sentence), (0, 0, 0, 2), expand=False)
        if section.rows and section.detail:
            what = f"{len(section.rows)} {'entry' if len(section.rows) == 1 else 'entries'}"
            yield Text(f"  {what}: see {line(str(page), 1000)}", style="dim")
        elif section.rows:
            table = Table.grid(padding=(0, 2))
            table.add_column(ratio=2, overflow="fold")
            table.add_column(ratio=5, overflow="fold")
            for row in section.rows:
                table.add_row(Text(line(row.what.text, _LONGEST), style="cyan"), _text(row.why))
            yield Padding(table, (0, 0, 0, 2), expand=False)


def _text(words: Words) -> Text:
    text = Text()
    for each in words:
        text.append(line(each.text, _LONGEST) if isinstance(each, Name) else each)
    return text
