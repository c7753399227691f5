"""Shared parts of HTML reports: templates, style, script, content security policy, and findings.

Untrusted text is escaped by Jinja, or is JSON that the script inserts as text nodes: by the policy's trusted
types the browser itself refuses to parse text as HTML.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hardener.catalogue.words import IMPACTS
from hardener.decisions.remarks import remarks
from hardener.model import Control, Finding
from hardener.reports.lib.serial import compact
from hardener.reports.lib.statuses import ORDER
from hardener.text import line

_PAGE = Path(__file__).parents[1] / "page"
_SCRIPTS = ("model.js", "elements.js", "csv.js", "main.js")
CODES = dict(zip(ORDER, "pfemwn", strict=True))
_OFFENDERS_SHOWN = 50
_EVIDENCE_SHOWN = 20


def control_record(control: Control, section: int, benchmark: str) -> dict[str, Any]:
    """Return the record of a control, as ``model.js`` reads it."""
    place, role = control.benchmarks.get(benchmark), control.remediation
    return {
        "slug": control.slug,
        "id": control.id_in(benchmark),
        "section": section,
        "level": place.level if place else 0,
        "title": control.title,
        "failing": control.failing,
        "severity": control.severity.value,
        "rationale": control.rationale,
        "decision": control.decision,
        "fix": control.fix,
        "role": [role.role, role.variable, IMPACTS[role.impact]] if role else None,
        "mappings": [[each.framework, each.source, each.requirements] for each in control.mappings],
    }


def verdict_record(finding: Finding) -> list[Any]:
    """Return the record of a verdict, as ``model.js`` reads it."""
    verdict, said = finding.verdict, remarks(finding)
    return [
        line(verdict.expected, 1000),
        line(verdict.actual, 1000),
        [
            [line(each.kind), line(each.name), line(each.detail)]
            for each in verdict.offenders[:_OFFENDERS_SHOWN]
        ],
        [*said, *(line(each, 1000) for each in verdict.evidence[:_EVIDENCE_SHOWN])],
        verdict.checked,
        len(verdict.offenders),
        len(said) + len(verdict.evidence),
    ]


def data(value: Any) -> str:
    """Return JSON for a script element: nothing in it can end the element or begin a comment."""
    return compact(value).replace("<", "\\u003c")


@cache
def environment() -> Environment:
    """Return the environment that renders the templates of pages."""
    made = Environment(
        loader=FileSystemLoader(_PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["prose"] = _prose
    return made


@cache
def style() -> str:
    """Return the style sheet."""
    return (_PAGE / "page.css").read_text(encoding="utf-8")


@cache
def script() -> str:
    """Return the page's script: several files joined into one text, so that the CSP names one digest."""
    return "".join((_PAGE / name).read_text(encoding="utf-8") for name in _SCRIPTS)


def script_of(name: str) -> str:
    """Return the script of a file that is not part of the joined script."""
    return (_PAGE / name).read_text(encoding="utf-8")


def policy() -> str:
    """Return the page's content security policy: its own style sheet and script, and images as data URLs."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_digest(script())}",
            f"style-src {_digest(style())}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _prose(text: str) -> list[tuple[str, list[str]]]:
    """Split Markdown of the catalogue into paragraphs; every second piece of a paragraph is code."""
    parts: list[tuple[str, list[str]]] = []
    for part in re.split(r"\n{2,}", text):
        lines = part.split("\n")
        if all(each.startswith("    ") for each in lines):
            parts.append(("pre", ["\n".join(each[4:] for each in lines)]))
        else:
            parts.append(("p", part.split("`")))
    return parts


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
