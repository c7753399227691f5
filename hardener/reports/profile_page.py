"""Write the page of a profile as Markdown and as HTML. Untrusted names in it are escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape

from hardener.reports.lib.text import code
from hardener.text import line
from hardener.workload.page import Name, Section, Words

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code { font-family: ui-monospace, monospace; font-size: 0.9em; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
td { border-top: 1px solid #8884; padding: 0.2rem 1rem 0.2rem 0; vertical-align: top; }
td:first-child { width: 35%; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd; } }
"""


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
    style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return "\n".join(_html(list(sections), style)) + "\n"


def _html(sections: list[Section], style: str) -> Iterator[str]:
    policy = f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'"
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>{escape(sections[0].title)}</title><style>{_STYLE}</style></head><body>"
    for number, section in enumerate(sections):
        level = 2 if number else 1
        yield f"<h{level}>{escape(section.title)}</h{level}>"
        yield from (f"<p>{_escaped(sentence)}</p>" for sentence in section.sentences)
        if section.rows:
            yield "<table>"
            for row in section.rows:
                yield f"<tr><td>{_escaped((row.what,))}</td><td>{_escaped(row.why)}</td></tr>"
            yield "</table>"
    yield "</body></html>"


def _escaped(words: Words) -> str:
    return "".join(
        f"<code>{escape(line(each.text, 1000))}</code>" if isinstance(each, Name) else escape(each)
        for each in words
    )
