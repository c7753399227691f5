"""Write the page of a profile as Markdown and as HTML. Untrusted names in it are escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hardener.reports.lib.page import digest, environment, policy, style
from hardener.reports.lib.text import code
from hardener.workload.page import Name, Section, Words


def markdown(sections: Iterable[Section]) -> str:
    """Return the page as Markdown; with lists, since table parsers disagree about ``|`` in code."""
    return "\n".join(_markdown(sections)) + "\n"


def _markdown(sections: Iterable[Section]) -> Iterator[str]:
    for number, section in enumerate(sections):
        if number:
            yield ""
        yield f"{'##' if number else '#'} {section.title}"
        for sentence in section.sentences:
            yield ""
            yield _marked(sentence)
        if section.rows:
            yield ""
            yield from (f"- {code(row.what.text)}: {_marked(row.why)}" for row in section.rows)


def _marked(words: Words) -> str:
    return "".join(code(each.text) if isinstance(each, Name) else each for each in words)


def html(sections: Iterable[Section]) -> str:
    """Return the page as one HTML file without scripts and external resources."""
    template = environment().get_template("profile.html")
    return template.render(sections=list(sections), policy=policy(digest(style())), style=style()) + "\n"
